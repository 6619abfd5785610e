from __future__ import annotations

import threading
import time

import pytest

from pdp.runtime.pacing import Pace, at_most

NAP = 0.001  # shorter rests only let others have their turn


class Thread:
    """A thread that works as it is told while others do, and rests when `pace` says so."""

    def __init__(self, busy: float = 0.0) -> None:
        """`busy` is how much of a core the others need; what they miss meanwhile they do later."""
        self.busy, self.missed = busy, 0.0
        self.wall = self.own = self.others = 0.0
        self.rests: list[float] = []
        self.pace = Pace(
            lambda: self.wall, lambda: self.own, lambda: self.own + self.others, self._rest
        )

    def _rest(self, seconds: float) -> None:
        self.wall += seconds
        self.missed += self.busy * seconds
        done = min(seconds, self.missed)
        self.others, self.missed = self.others + done, self.missed - done
        if seconds > NAP:
            self.rests.append(seconds)

    def work(self, seconds: float, others: float = 0.0) -> None:
        self.own += seconds
        self.others += others
        self.missed += self.busy * seconds
        self.wall += seconds + others
        self.pace()


def test_whoever_is_alone_does_not_rest() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(0.0015, others=0.0001)
    assert thread.rests == []
    assert thread.wall < 1.05 * (thread.own + thread.others)


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.7, 0.9])
def test_it_takes_less_the_less_others_leave(busy: float) -> None:
    thread = Thread(busy)
    thread.work(0.002, others=0.002)
    own, wall = thread.own, thread.wall
    for _ in range(300):
        thread.work(0.0003)
    left = 1 - busy
    assert (thread.own - own) / (thread.wall - wall) == pytest.approx(left / (left + 2.5), rel=0.1)


def test_it_goes_on_even_where_others_leave_nothing() -> None:
    thread = Thread(busy=1.0)
    thread.work(0.002, others=0.002)
    for _ in range(300):
        thread.work(0.0003)
    assert thread.own / thread.wall == pytest.approx(1 / 50, rel=0.5)
    assert thread.wall < at_most(thread.own)


def test_an_edit_does_not_wait_for_others_for_ever() -> None:
    thread = Thread()
    while sum(thread.rests) < 40:
        thread.work(0.002, others=0.002)
    own, rested = thread.own, sum(thread.rests)
    for _ in range(1_000):
        thread.work(0.002, others=0.002)
    assert sum(thread.rests) - rested == pytest.approx(2 * (thread.own - own), rel=0.05)


def test_what_others_did_while_it_rested_counts() -> None:
    thread = Thread()
    thread.work(0.002, others=0.001)
    thread.others += 0.001
    thread.work(0.002)
    thread.work(0.002)
    assert len(thread.rests) == 2


def test_once_the_others_are_done_it_goes_on() -> None:
    thread = Thread()
    thread.work(0.002, others=0.002)
    thread.work(0.002)
    assert len(thread.rests) == 1


def test_no_rest_is_long() -> None:
    thread = Thread()
    thread.work(1.0, others=1.0)
    assert thread.rests == [0.05]


def test_by_the_clocks_of_the_system_it_sees_whether_another_thread_works() -> None:
    rests: list[float] = []
    end = threading.Event()

    def busy() -> None:
        while not end.is_set():
            sum(range(1_000))

    other = threading.Thread(target=busy)
    other.start()
    try:
        pace = Pace(rest=lambda seconds: (rests.append(seconds), time.sleep(seconds))[1])
        until = time.monotonic() + 10
        while max(rests, default=0) < NAP and time.monotonic() < until:
            pace()
    finally:
        end.set()
        other.join()
    assert max(rests) > NAP
