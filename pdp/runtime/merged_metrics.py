"""One view of several workers' metrics: texts in, one text out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Merge = Callable[[float, float], float]
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _sum(one: float, other: float) -> float:
    return one + other


def _most(one: float, other: float) -> float:
    return one if math.isnan(one) or one > other else other


def _least(one: float, other: float) -> float:
    return one if math.isnan(one) or one < other else other


# Of each worker its share; what is not in these tables is the worst of all: the most.
SUMMED: Final = frozenset(
    {
        "pdp_connections",
        "pdp_token_cache_tokens",
        "pdp_passwords_computed",
        "pdp_limits_tracked",
        "pdp_decision_log_queue",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
    }
)
LEAST: Final = frozenset(
    {
        "pdp_ready",
        "pdp_jwks_loaded",
        "pdp_jwks_keys",
        "pdp_revocations",
        "process_max_fds",
        "process_start_time_seconds",
    }
)
_ADDING_UP: Final = frozenset({"counter", "histogram"})


def merge(live: Iterable[bytes], left: Iterable[bytes] = ()) -> bytes:
    """The expositions of workers as one, in the Prometheus text format.

    Counters and histograms add up, also those in `left` of workers that are no more. Of gauges
    there is the sum, the least or the most, as the tables here say.
    """
    merged: dict[str, tuple[Metric, Values]] = {}
    for text, counting_only in (*((text, False) for text in live), *((t, True) for t in left)):
        for family in text_string_to_metric_families(text.decode()):
            if not counting_only or _counts(family):
                _add(merged, family)
    return generate_latest(_Merged(merged))


def counters(text: bytes) -> bytes:
    """What of an exposition goes on to count when its worker is no more."""
    return merge((), [text])


def _counts(family: Metric) -> bool:
    return family.type in _ADDING_UP or family.name.endswith("_created")


def _add(merged: dict[str, tuple[Metric, Values]], family: Metric) -> None:
    _, values = merged.setdefault(family.name, (family, {}))
    way = _way(family)
    for sample in family.samples:
        key = sample.name, tuple(sorted(sample.labels.items()))
        before = values.get(key)
        values[key] = sample.value if before is None else way(before, sample.value)


def _way(family: Metric) -> Merge:
    if family.type in _ADDING_UP or family.name in SUMMED:
        return _sum
    if family.name in LEAST or family.name.endswith("_created"):
        return _least
    return _most


class _Merged(Collector):
    """What was merged, as the library's writer wants it."""

    def __init__(self, merged: Mapping[str, tuple[Metric, Values]]) -> None:
        self._merged = merged

    def collect(self) -> Iterator[Metric]:
        for family, values in self._merged.values():
            told = Metric(family.name, family.documentation, family.type)
            for (name, labels), value in values.items():
                told.add_sample(name, dict(labels), value)
            yield told
