"""Counts decisions and how long they took: in plain numbers, which are told when somebody asks."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pdp.model import Outcome, Reason, Verdict

# Seconds: a decision takes microseconds, one that waits for an issuer up to its deadline.
BUCKETS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
_BOUNDS: Final = (*map(floatToGoString, BUCKETS), "+Inf")
_DURATION: Final = "pdp_decision_duration_seconds"

Key = tuple[Outcome, Reason, str, str]  # verdict, reason, surface and layer: bounded, all of them


class DecisionMetrics(Collector):
    """What became of every decision; only the event loop's thread calls it.

    prometheus_client's own counters take a lock for each number, which costs more than a record.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions: dict[Key, _Count] = {}
        self._surfaces: dict[str, _Durations] = {}
        registry.register(self)

    def decided(self, verdict: Verdict, surface: str, seconds: float) -> None:
        """Count a verdict and how long it took."""
        key = verdict.outcome, verdict.reason, surface, verdict.layer or ""
        found = self._decisions.get(key)
        if found is None:
            durations = self._surfaces.setdefault(surface, _Durations())
            found = self._decisions[key] = _Count(durations)
        found.value += 1
        durations = found.durations
        durations.total += seconds
        durations.buckets[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """All of it, as `Counter` and `Histogram` would tell it."""
        decisions = CounterMetricFamily(
            "pdp_decisions",
            "Decisions by verdict, reason, surface and deciding layer.",
            labels=("verdict", "reason", "surface", "layer"),
        )
        for key, count in self._decisions.items():
            decisions.add_metric([str(label) for label in key], count.value, count.created)
        yield decisions
        latency = HistogramMetricFamily(
            _DURATION, "Time from the canonical question to the verdict.", labels=("surface",)
        )
        for surface, durations in self._surfaces.items():
            sums = map(float, accumulate(durations.buckets))
            latency.add_metric([surface], [*zip(_BOUNDS, sums, strict=True)], durations.total)
            latency.add_sample(f"{_DURATION}_created", {"surface": surface}, durations.created)
        yield latency


class _Durations:
    """A histogram: how many are within each bound, and not within the one before."""

    __slots__ = ("buckets", "created", "total")

    def __init__(self) -> None:
        self.buckets = [0] * len(_BOUNDS)
        self.total = 0.0
        self.created = time.time()


class _Count:
    """A counter, and the histogram that its decisions belong to as well."""

    __slots__ = ("created", "durations", "value")

    def __init__(self, durations: _Durations) -> None:
        self.value = 0
        self.durations = durations
        self.created = time.time()
