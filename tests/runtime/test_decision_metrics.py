"""Decisions are told as prometheus_client's own counter and histogram would tell them."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from pdp.model import Outcome, Reason, Verdict
from pdp.runtime.decision_metrics import BUCKETS, DecisionMetrics

SECONDS = st.sampled_from((*BUCKETS, 0.0, 3.0)) | st.floats(0, 5)
DECIDED = st.lists(
    st.tuples(
        st.sampled_from(Outcome),
        st.sampled_from(Reason),
        st.sampled_from((None, "rbac", 'an "odd" one')),
        st.sampled_from(("nginx", "native")),
        SECONDS,
    )
)


def told(registry: CollectorRegistry) -> str:
    """All of it but when each began."""
    return re.sub(r"(_created\{.*\}) .*", r"\1", generate_latest(registry).decode())


@given(DECIDED)
@example([])
def test_what_is_told_is_what_the_library_tells(
    decided: list[tuple[Outcome, Reason, str | None, str, float]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    metrics = DecisionMetrics(ours)
    count = Counter(
        "pdp_decisions",
        "Decisions by verdict, reason, surface and deciding layer.",
        ("verdict", "reason", "surface", "layer"),
        registry=theirs,
    )
    latency = Histogram(
        "pdp_decision_duration_seconds",
        "Time from the canonical question to the verdict.",
        ("surface",),
        buckets=BUCKETS,
        registry=theirs,
    )
    for outcome, reason, layer, surface, seconds in decided:
        metrics.decided(Verdict(outcome, reason, layer=layer), surface, seconds)
        count.labels(outcome, reason, surface, layer or "").inc()
        latency.labels(surface).observe(seconds)
    assert told(ours) == told(theirs)
