"""A deadline bounds what waits, wherever it waits, and leaves the rest alone."""

from __future__ import annotations

import asyncio

import pytest

from pdp.runtime.patience import within


async def waiting(*seconds: float) -> list[float]:
    for each in seconds:
        await asyncio.sleep(each)
    return [*seconds]


async def failing(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
    raise LookupError


@pytest.mark.parametrize("seconds", [(), (0,), (0.01, 0, 0.01)])
async def test_what_is_done_in_time_gives_its_result(seconds: tuple[float, ...]) -> None:
    assert await within(5, waiting(*seconds)) == [*seconds]


@pytest.mark.parametrize("seconds", [(60,), (0, 60), (0.01, 0, 60)])
async def test_what_waits_too_long_is_ended(seconds: tuple[float, ...]) -> None:
    with pytest.raises(TimeoutError):
        await within(0.05, waiting(*seconds))


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_an_error_of_the_work_is_its_own(seconds: float) -> None:
    with pytest.raises(LookupError):
        await within(5, failing(seconds))


async def test_whoever_is_cancelled_ends_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    asking = asyncio.create_task(within(60, work()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended.is_set()


async def test_a_deadline_inside_and_one_around_it_each_do_their_work() -> None:
    async def inner() -> str:
        try:
            async with asyncio.timeout(0.02):
                await asyncio.sleep(60)
        except TimeoutError:
            await asyncio.sleep(0.01)
            return "inner"
        return "none"

    assert await within(5, inner()) == "inner"

    async def patient() -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await within(0.05, patient())
