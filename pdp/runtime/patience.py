"""Work that mostly waits for nothing: begun at once, and waited for only where it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Work = Coroutine[Any, Any, T]


class Begun(Generic[T]):
    """Work that has begun to wait; awaiting it, once, is awaiting what is left of it."""

    __slots__ = ("_waits_for", "_work")

    def __init__(self, work: Work[T], waits_for: Any) -> None:
        self._work, self._waits_for = work, waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        """What it comes to."""
        work, waits_for = self._work, self._waits_for
        try:
            while True:
                try:
                    found = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the work's, cancellation included
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(found)
        except StopIteration as done:
            result: T = done.value
            return result


def begin(work: Work[T]) -> T | Begun[T]:
    """The result of `work`, if it waits for nothing; else what is left of it.

    A task of its own would cost more than most requests do. Where there is none, timers cannot be
    set: what needs one asks `in_task` for it first.
    """
    try:
        return Begun(work, work.send(None))
    except StopIteration as done:
        result: T = done.value
        return result


async def in_task() -> None:
    """Go on within a task: if there is none yet, in that of whoever awaits the rest."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)


async def within(seconds: float, work: Work[T]) -> T:
    """The result of `work`; TimeoutError if it waits longer than that.

    A timer costs more than most credentials do, so there is none before the first wait. What
    `work` does up to there is bounded by nothing, but neither would a timer interrupt it.
    """
    begun = begin(work)
    if not isinstance(begun, Begun):
        return begun
    await in_task()
    async with asyncio.timeout(seconds):
        return await begun
