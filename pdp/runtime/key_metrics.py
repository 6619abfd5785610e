"""Tells Prometheus how fetched keys are; its labels are the names of configured issuers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pdp.identity.keys import KeySource
from pdp.runtime.fetch import JwksSource, SourceState

_GAUGES: Final[tuple[tuple[str, str, Callable[[SourceState], float]], ...]] = (
    (
        "pdp_jwks_loaded",
        "1 while there are fetched keys to decide with.",
        lambda state: float(state.loaded),
    ),
    (
        "pdp_jwks_age_seconds",
        "Since the last good fetch of keys; NaN if there was none.",
        lambda state: math.nan if state.age_seconds is None else state.age_seconds,
    ),
    (
        "pdp_jwks_keys",
        "Usable keys that serve.",
        lambda state: float(state.keys),
    ),
    (
        "pdp_jwks_fetch_failures",
        "Failed fetches since the last good one.",
        lambda state: float(state.failures),
    ),
)


def register_metrics(sources: Mapping[str, KeySource], registry: CollectorRegistry) -> None:
    """Have `registry` tell of those `sources` that are fetched."""
    registry.register(_Fetched(sources))


class _Fetched(Collector):
    """The sources, looked at whenever somebody asks."""

    def __init__(self, sources: Mapping[str, KeySource]) -> None:
        self._sources = [s for s in sources.values() if isinstance(s, JwksSource)]

    def collect(self) -> Iterator[Metric]:
        """Gauges of the states, and a counter of fetches by how they ended."""
        states = [(source.issuer, source.state()) for source in self._sources]
        for name, help_, value in _GAUGES:
            gauge = GaugeMetricFamily(name, help_, labels=("issuer",))
            for issuer, state in states:
                gauge.add_metric((issuer,), value(state))
            yield gauge
        fetches = CounterMetricFamily(
            "pdp_jwks_fetches", "Fetches of keys, by how they ended.", labels=("issuer", "result")
        )
        for source in self._sources:
            for result, times in source.results.items():
                fetches.add_metric((source.issuer, result), times)
        yield fetches
