"""Several workers' metrics as one."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pdp.runtime.merged_metrics import LEAST, SUMMED, counters, merge
from pdp.runtime.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def told(counted: int, gauges: dict[str, float], label: str = "a") -> bytes:
    registry = CollectorRegistry()
    Counter("pdp_asked", "Asked.", ("by",), registry=registry).labels(label).inc(counted)
    seconds = Histogram("pdp_seconds", "Seconds.", buckets=(1.0, 2.0), registry=registry)
    for _ in range(counted):
        seconds.observe(1.5)
    for name, value in gauges.items():
        Gauge(name, "A gauge.", registry=registry).set(value)
    return generate_latest(registry)


def value(text: bytes, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if (sample.name, sample.labels) == (name, labels):
                return sample.value
    return None


def test_one_worker_alone_is_told_as_it_tells_itself() -> None:
    metrics = Metrics()
    metrics.reloaded("activated", stale=False)
    metrics.policy_loaded("sha256:1", 5.0)
    text = metrics.exposition()
    kept = [line for line in text.splitlines() if not line.startswith(b"process_")]
    merged = [line for line in merge([text]).splitlines() if not line.startswith(b"process_")]
    assert merged == kept


def test_counters_and_histograms_add_up() -> None:
    found = merge([told(3, {}), told(4, {}), told(5, {}, "b")])
    assert value(found, "pdp_asked_total", by="a") == 7
    assert value(found, "pdp_asked_total", by="b") == 5
    assert value(found, "pdp_seconds_count") == value(found, "pdp_seconds_bucket", le="2.0") == 12
    assert value(found, "pdp_seconds_bucket", le="1.0") == 0
    assert value(found, "pdp_seconds_sum") == 18


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pdp_connections", 7), ("pdp_ready", 2), ("pdp_policy_stale", 5), ("pdp_new_gauge", 5)],
)
def test_gauges_are_summed_or_the_worst(name: str, expected: float) -> None:
    assert value(merge([told(1, {name: 5}), told(1, {name: 2})]), name) == expected


@pytest.mark.parametrize("order", [1, -1])
def test_an_age_that_nobody_knows_is_the_worst(order: int) -> None:
    texts = [told(1, {"pdp_jwks_age_seconds": age}) for age in (math.nan, 5.0)][::order]
    found = value(merge(texts), "pdp_jwks_age_seconds")
    assert found is not None
    assert math.isnan(found)


def test_of_who_is_gone_only_counters_count() -> None:
    left = counters(told(3, {"pdp_connections": 5, "pdp_policy_stale": 1}))
    assert value(left, "pdp_connections") is None
    found = merge([told(4, {"pdp_connections": 2, "pdp_policy_stale": 0})], [left])
    assert value(found, "pdp_asked_total", by="a") == 7
    assert value(found, "pdp_connections") == 2
    assert value(found, "pdp_policy_stale") == 0


def test_the_tables_name_gauges_that_there_are() -> None:
    gauges = set(re.findall(r"^\| `(\w+)` \| gauge \|", PAGE, re.MULTILINE))
    assert gauges > SUMMED | LEAST
    assert not SUMMED & LEAST
