"""A deadline for what may have to wait, at no cost for what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; TimeoutError if it waits longer than that.

    A timer costs more than most credentials do, so there is none before the first wait. What
    `work` does up to there is bounded by nothing, but neither would a timer interrupt it.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _go_on(work, waits_for)


@coroutine
def _go_on(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """What is left of `work`, which has begun to wait."""
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
