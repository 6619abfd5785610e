"""A storage for the library `limits` that is bounded in memory and starts no thread.

A moving window is kept as slices: how many hits, and when they stop counting. Up to SLICES hits
in a window each have a slice of their own, which is exact. Where a limit is higher, hits of the
same 32nd of the window share one and count until the last of them could have left: up to a 32nd
of the window too long, never too short. So a counter is small whatever its limit is.

Which counters are remembered is least recently used. What can somebody make of that who floods it?
Numbers are for the defaults: two limits, and 50,000 counters for each.

- Forget his own failures with an account: he must first bring in 50,000 other pairs of account and
  network, by 50,000 failures within the ten minutes of the window. A network that had 100 of them
  is blocked, so this takes 500 networks, which are then of no use to him. Were it for nothing,
  he would still have 100 guesses from a network instead of 10: the counters of networks are kept
  apart, and forgetting those takes a failure from each of 50,000 further networks.
- End a block: blocks are not kept here, see `Blocks`. Each costs a whole window of failures, and
  only 50,000 others that begin later drive one out.
- Lock somebody out: an evicted counter begins at zero. Eviction takes hits away and never adds
  any, and no two keys share a counter.
- Push out another kind of counter: every limit has a storage of its own. Requests from ever new
  networks, which cost nothing, touch neither failures nor what authenticated subjects used.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NoReturn

from limits.storage import MovingWindowSupport, Storage

Clock = Callable[[], float]

SLICES: Final = 32
_FEW: Final = 2  # so many are cleared away when one is added: more than come, and never a pause


class BoundedStorage(Storage, MovingWindowSupport):
    """At most `bound` counters of moving windows, for one thread; `clock` is in seconds.

    Fixed windows are not offered: twice a limit fits around their border.
    """

    STORAGE_SCHEME = None  # not to be had by a URI

    def __init__(self, bound: int, clock: Clock) -> None:
        super().__init__()
        self._bound = bound
        self._clock = clock
        # By turns when a slice stops counting and its hits, oldest slice first; never empty.
        self._counters: OrderedDict[str, array[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether `amount` more fit into the window; they are counted only if they do."""
        now = self._clock()
        counter = self._live(key, now)
        if (sum(counter[1::2]) if counter else 0) + amount > limit:
            return False
        ends = _ends(now, limit, expiry)
        if counter is None:
            self._make_room(now)
            self._counters[key] = array("d", (ends, amount))
        elif counter[-2] == ends:
            counter[-1] += amount
        else:
            counter.extend((ends, amount))
        return True

    def get_moving_window(
        self,
        key: str,
        limit: int,  # noqa: ARG002 - the library's
        expiry: int,
    ) -> tuple[float, int]:
        """When the oldest slice began to count, and the hits in the window."""
        now = self._clock()
        counter = self._live(key, now)
        return (now, 0) if counter is None else (counter[0] - expiry, int(sum(counter[1::2])))

    def _live(self, key: str, now: float) -> array[float] | None:
        """The counter without the slices that have left the window; it counts as used."""
        counter = self._counters.get(key)
        if counter is None:
            return None
        if counter[-2] <= now:
            del self._counters[key]
            return None
        while counter[0] <= now:
            del counter[:2]
        self._counters.move_to_end(key)
        return counter

    def _make_room(self, now: float) -> None:
        for _ in range(_FEW):
            oldest = next(iter(self._counters), None)
            if oldest is None or (
                len(self._counters) < self._bound and self._counters[oldest][-2] > now
            ):
                return
            del self._counters[oldest]

    def check(self) -> bool:
        """It is there as long as the process is."""
        return True

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._counters.pop(key, None)

    def reset(self) -> int:
        """Forget all counters; how many there were."""
        count = len(self._counters)
        self._counters.clear()
        return count

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What may go wrong with the place where counters are: nothing."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> NoReturn:
        """Not offered."""
        raise NotImplementedError(_FIXED)

    def get(self, key: str) -> NoReturn:
        """Not offered."""
        raise NotImplementedError(_FIXED)

    def get_expiry(self, key: str) -> NoReturn:
        """Not offered."""
        raise NotImplementedError(_FIXED)


_FIXED: Final = "fixed windows are not offered"


def _ends(now: float, limit: int, expiry: int) -> float:
    """When a hit stops counting; hits of one slice of a high limit all at the same time."""
    if limit <= SLICES:
        return now + expiry
    width = expiry / SLICES
    return (now // width + 1) * width + expiry


class Blocks:
    """At most `bound` keys that are blocked, each for `seconds` from when it was added.

    INVARIANT: all last equally long, so the first is the next to end; it is also the one that
    gives way when there are too many.
    """

    def __init__(self, bound: int, seconds: int, clock: Clock) -> None:
        self._bound = bound
        self._seconds = seconds
        self._clock = clock
        self._ends: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def left(self, key: str) -> float:
        """Seconds until the block of `key` ends; not above 0 where there is none."""
        end = self._ends.get(key)
        return 0.0 if end is None else end - self._clock()

    def add(self, key: str) -> None:
        """Block `key`, which is not blocked, from now on."""
        now = self._clock()
        self._ends.pop(key, None)
        for _ in range(_FEW):
            oldest = next(iter(self._ends), None)
            if oldest is None or (len(self._ends) < self._bound and self._ends[oldest] > now):
                break
            del self._ends[oldest]
        self._ends[key] = now + self._seconds
