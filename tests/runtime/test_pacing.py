from __future__ import annotations

import pytest

from pdp.runtime.pacing import Pace


class Thread:
    """A thread that works and waits as it is told, and rests when `pace` says so."""

    def __init__(self) -> None:
        self.wall = self.own = 0.0
        self.rests: list[float] = []
        self.pace = Pace(lambda: self.wall, lambda: self.own, self._rest)

    def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.wall += seconds

    def work(self, seconds: float, waiting: float = 0.0) -> None:
        self.own += seconds
        self.wall += seconds + waiting
        self.pace()


def test_whoever_is_alone_does_not_rest() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(0.0015, waiting=0.0001)
    assert thread.rests == []


def test_where_others_want_their_turn_it_rests_twice_as_long_as_it_works() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(0.0006, waiting=0.0006)
    assert len(thread.rests) == 50
    assert sum(thread.rests) == pytest.approx(2 * 0.06)


def test_once_the_others_are_done_it_goes_on() -> None:
    thread = Thread()
    thread.work(0.002, waiting=0.002)
    thread.work(0.002)
    assert len(thread.rests) == 1


def test_no_rest_is_long() -> None:
    thread = Thread()
    thread.work(1.0, waiting=1.0)
    assert thread.rests == [0.01]
