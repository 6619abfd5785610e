"""What searches have worked out of one snapshot, kept within bounds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from heapq import merge
from threading import Lock
from typing import Any, Final, TypeVar

MOST_KEPT: Final = 1 << 22  # names and rows, in all that is kept for one snapshot
_OVERHEAD: Final = 64  # a key takes as much memory as so many names
_LARGE: Final = 1 << 10
_RUN: Final = 1 << 12  # names that are sorted in one go
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Memo:
    """Values by what they were made of, the oldest dropped first; large ones that are used stay.

    INVARIANT: all of them together weigh at most `most`. Looking one up takes no lock, or a short
    one. Two threads may make the same value; one of them is kept.
    """

    most: int = MOST_KEPT
    weight: int = 0
    kept: dict[Hashable, tuple[Any, int]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def get(self, key: Hashable, make: Callable[[], T], weigh: Callable[[T], int]) -> T:
        """The value of `key`, made if it is not there."""
        known = self.kept.get(key)
        if known is not None:
            value: T = known[0]
            if known[1] >= _LARGE:
                self._renew(key, known)
            return value
        value = make()
        self._keep(key, value, weigh(value) + _OVERHEAD)
        return value

    def _renew(self, key: Hashable, known: tuple[Any, int]) -> None:
        """What is large and still used is dropped last."""
        with self.lock:
            if self.kept.pop(key, None) is not None:
                self.kept[key] = known

    def _keep(self, key: Hashable, value: Any, weight: int) -> None:
        if weight > self.most:
            return
        with self.lock:
            if key in self.kept:
                return
            self.weight += weight
            while self.weight > self.most:
                oldest = next(iter(self.kept))
                self.weight -= self.kept.pop(oldest)[1]
            self.kept[key] = value, weight


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names by code points, sorted in steps that other threads get their turn between."""
    known = list(names if isinstance(names, set | frozenset | dict) else set(names))
    runs = [sorted(known[start : start + _RUN]) for start in range(0, len(known), _RUN)]
    return tuple(runs[0]) if len(runs) == 1 else tuple(merge(*runs))
