"""How much of a core the work in the background may take from those who are waiting for answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_SLICE: Final = 0.001  # seconds of work between two looks
_CROWDED: Final = 0.1  # of the time, others had their turn: then somebody is waiting for us
_REST: Final = 2.0  # for each second of work, where it is crowded
_LONGEST: Final = 0.01  # seconds of one rest


class Pace:
    """Rests between slices of work while others want the interpreter; to be made in the thread.

    Whoever gives it up gets it back only after the switch interval. A loop that answers thousands
    of requests in a second does so several times for each, and would hardly get on.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        own: Callable[[], float] = time.thread_time,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clocks = wall, own
        self._rest = rest
        self._begin()

    def _begin(self) -> None:
        self._since = [clock() for clock in self._clocks]

    def __call__(self) -> None:
        """Rest, if it is time for that."""
        (wall, own), (begun, before) = self._clocks, self._since
        worked = own() - before
        if worked < _SLICE:
            return
        waited = wall() - begun - worked
        if waited > _CROWDED * worked:
            self._rest(min(_REST * worked, _LONGEST))
        self._begin()
