"""How much of a core the work in the background may take from those who are waiting for answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_ALONE: Final = 0.001  # seconds between two looks whether others work, while nobody does
_SLICE: Final = 0.00025  # seconds of work at a time, where somebody does
_CROWDED: Final = 0.1  # of our own time on a core, others had one: somebody does
_REST: Final = 2.5  # for each second of work, where it is crowded; more, the more others take
_LEAST: Final = 0.05  # of a core is what others are said to leave, when they take all of it
_NAP: Final = 0.00002  # seconds; a thread that waits for the interpreter has it then
_LONGEST: Final = 0.05  # seconds of one rest
_PATIENCE: Final = 40.0  # seconds of rests; then an edit has waited long enough
_LESS: Final = 2.0  # is then the rest for each second of work


def at_most(worked: float) -> float:
    """Seconds in which so many seconds of work end, rests included, whatever others do."""
    return worked + min(_REST / _LEAST * worked, _PATIENCE + _LESS * worked)


class Pace:
    """Rests between slices of work while other threads work, too; to be made in its own thread.

    A loop that answers thousands of requests in a second gives up the interpreter several times
    for each. It has to wait for as long as our slice whenever we are there to take it. What we take
    is a part of what others leave: a loop that hardly keeps up is the one that can spare least.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        own: Callable[[], float] = time.thread_time,
        everybody: Callable[[], float] = time.process_time,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wall, self._own, self._everybody = wall, own, everybody
        self._rest = rest
        self._rested = 0.0
        before = own()
        self._begin(wall(), before, everybody() - before, _ALONE)

    def _begin(self, now: float, own: float, others: float, seconds: float) -> None:
        self._since, self._before, self._others = now, own, others
        self._end = self._wall() + seconds

    def __call__(self) -> None:
        """Rest, if it is time for that."""
        if self._wall() < self._end:
            return
        self._rest(_NAP)
        now, own = self._wall(), self._own()
        others = self._everybody() - own
        worked, taken = own - self._before, others - self._others
        crowded = taken > _CROWDED * worked
        if crowded:
            left = max(1.0 - taken / (now - self._since), _LEAST)
            each = _REST / left if self._rested < _PATIENCE else _LESS
            seconds = min(each * worked, _LONGEST)
            self._rested += seconds
            self._rest(seconds)
        self._begin(now, own, others, _SLICE if crowded else _ALONE)
