"""Times decisions one by one, for `pdp bench`: whole ones, and each layer's share."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdp.cli.drawing import Question
from pdp.pipeline import decide
from pdp.policy.snapshot import Snapshot

_CALIBRATIONS = 10_000
_clock = time.perf_counter_ns


@dataclass(frozen=True, slots=True)
class Figures:
    """Microseconds."""

    p50: float
    p99: float


@dataclass(slots=True)
class Timings:
    """Nanoseconds of every call, and how often each outcome came."""

    whole: list[int] = field(default_factory=list)
    layers: dict[str, list[int]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Decisions that one core makes, one after the other."""
        return len(self.whole) / max(sum(self.whole), 1) * 1e9


def figures(nanoseconds: Sequence[int]) -> Figures:
    """The median and the 99th percentile, by rank; of one call or more."""
    ordered, last = sorted(nanoseconds), len(nanoseconds) - 1
    return Figures(ordered[last // 2] / 1_000, ordered[last * 99 // 100] / 1_000)


def time_decisions(
    snapshot: Snapshot, ask: Callable[[], Question], seconds: float, now: float
) -> Timings:
    """Questions for `seconds` of real time, drawing them included; at least one.

    A layer is timed for every question, whether or not the decision would come as far, with facts
    that no layer has seen; what timing costs by itself is subtracted.
    """
    overhead, found = _empty_call(), Timings(layers={layer.name: [] for layer in snapshot.layers})
    deadline = time.monotonic() + seconds
    while not found.whole or time.monotonic() < deadline:
        query, identity = ask()
        start = _clock()
        verdict = decide(query, identity, snapshot, now)
        found.whole.append(max(0, _clock() - start - overhead))
        found.outcomes[verdict.outcome.value] += 1
        facts = snapshot.facts(query, identity, now)
        for layer in snapshot.layers:
            start = _clock()
            layer.judge(facts)
            found.layers[layer.name].append(max(0, _clock() - start - overhead))
    return found


def _empty_call() -> int:
    """The median of a call that does nothing, timed as all others are."""

    def nothing() -> None:
        return None

    spent = []
    for _ in range(_CALIBRATIONS):
        start = _clock()
        nothing()
        spent.append(_clock() - start)
    return sorted(spent)[_CALIBRATIONS // 2]


def resident() -> int | None:
    """Bytes of memory that this process holds, where the system tells."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
