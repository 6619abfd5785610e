from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from idp import Clock, Idp, hang, jwks, kids, running, serving, until

from pdp.runtime.fetch import FetchBounds, JwksSource


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    async with serving() as made:
        yield made


async def test_keys_are_fetched_at_once_and_their_age_is_known(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, clock=clock) as source:
        state = source.state()
        assert (state.loaded, state.age_seconds, state.failures) == (False, None, 0)
        await until(lambda: source.state().loaded)
        clock.now += 7
        assert kids(source) == ["a"]
        assert source.state().age_seconds == 7


async def test_keys_are_refreshed_and_a_withdrawn_one_is_gone(idp: Idp) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: kids(source) == ["a"])
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])


async def test_unknown_kids_share_one_fetch_per_interval(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, clock=clock) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(jwks("a", "b"))
        await asyncio.gather(*(source.after_unknown_kid() for _ in range(300)))
        assert kids(source) == ["a", "b"]
        assert idp.asked == 2
        clock.now += 29.9
        await source.after_unknown_kid()
        assert idp.asked == 2
        clock.now += 0.1
        await source.after_unknown_kid()
        assert idp.asked == 3


async def test_failed_refetches_count(idp: Idp) -> None:
    async with running(idp) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b"", 500)
        for _ in range(5):
            assert await source.after_unknown_kid() is source.current()
        assert idp.asked == 2
        assert kids(source) == ["a"]


async def test_nobody_waits_longer_than_the_bound(idp: Idp) -> None:
    bounds = FetchBounds(timeout=5, refetch_wait=0.05)
    async with running(idp, bounds=bounds) as source:
        await until(lambda: source.state().loaded)
        idp.answer = hang
        async with asyncio.timeout(1):
            await source.after_unknown_kid()
            await source.after_unknown_kid()
        assert kids(source) == ["a"]
        assert idp.asked == 2


async def test_a_request_that_gives_up_does_not_end_the_fetch(idp: Idp) -> None:
    release = asyncio.Event()
    late = idp.publish(jwks("b"))

    async def slow(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return await late(request)

    async with running(idp, bounds=FetchBounds(timeout=5)) as source:
        await until(lambda: source.state().loaded)
        idp.answer = slow
        waiting = asyncio.create_task(source.after_unknown_kid())
        await until(lambda: idp.asked == 2)
        waiting.cancel()
        await asyncio.wait({waiting})
        release.set()
        await until(lambda: kids(source) == ["b"])


async def test_nothing_is_fetched_before_start_or_after_stop(idp: Idp) -> None:
    source = JwksSource("i", idp.url, 300)
    assert await source.after_unknown_kid() is None
    await source.stop()
    await source.start()
    await until(lambda: source.state().loaded)
    await source.stop()
    await source.stop()
    assert await source.after_unknown_kid() is source.current()
    assert kids(source) == ["a"]
    assert idp.asked == 1


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(0, 240, 285), (1, 1, 1), (3, 4, 4), (9, 60, 60), (9999, 60, 60)],
)
def test_pauses_back_off_and_never_exceed_the_refresh_time(
    failures: int, least: float, most: float
) -> None:
    source = JwksSource("i", "https://h/", 300)
    source._failures = failures
    assert least <= source._pause() <= most


async def test_log_lines_name_the_issuer_and_no_key(
    idp: Idp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.jwks")
    async with running(idp, refresh=0.03) as source:
        await until(lambda: idp.asked >= 3)
        idp.answer = idp.publish(b"", 500)
        await until(lambda: source.state().failures >= 1)
    records = [r for r in caplog.records if r.name == "pdp.jwks"]
    assert [r.getMessage() for r in records][:2] == ["jwks_loaded", "jwks_fetch_failed"]
    assert all(vars(r)["facts"]["issuer"] == "https://idp.example.com/" for r in records)
    assert vars(records[1])["facts"]["detail"] == "status 500"
