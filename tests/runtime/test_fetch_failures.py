from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from idp import (
    BOUNDS,
    Flood,
    Idp,
    half_closed,
    jwks,
    kids,
    redirect_to,
    running,
    serving,
    until,
)
from loopback import Clock, Handler, cut, drip, hang

from pdp.runtime.fetch import JwksSource


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    async with serving() as made:
        yield made


FAILING: list[tuple[Handler, str]] = [
    (Idp.publish(b"", 500), "status"),
    (Idp.publish(b"not json"), "garbage"),
    (Idp.publish(b"\xff\xfe\x00"), "garbage"),
    (Idp.publish(b"{}"), "garbage"),
    (Idp.publish(b'{"keys": [], "keys": []}'), "garbage"),
    (Idp.publish(b"[" * 9_999), "garbage"),
    (Idp.publish(b""), "garbage"),
    (Idp.publish(b" " * 10_001), "too_large"),
    (hang, "timeout"),
    (drip, "timeout"),
    (redirect_to("/elsewhere"), "redirect"),
    (cut, "cut_short"),
    (half_closed, "cut_short"),
]


@pytest.mark.parametrize(("failing", "problem"), FAILING)
async def test_the_last_good_keys_serve_through_a_failure(
    idp: Idp, failing: Handler, problem: str
) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        idp.answer = failing
        await until(lambda: source.state().failures >= 2)
        assert kids(source) == ["a"]
        assert source.state().loaded
        assert source.state().problem == problem
        assert source.results[problem] >= 2
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])
        assert (source.state().failures, source.state().problem) == (0, None)
        assert "/elsewhere" not in idp.paths


async def test_a_redirect_leads_to_no_other_host(idp: Idp) -> None:
    async with serving() as other, running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        other.answer = other.publish(jwks("evil"))
        idp.answer = redirect_to(other.url)
        await until(lambda: source.state().failures >= 3)
        assert other.asked == 0
        assert kids(source) == ["a"]


async def test_of_a_flood_no_more_is_taken_than_the_bound(idp: Idp) -> None:
    flood = Flood()
    idp.answer = flood
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.state().problem == "too_large"
    # Beside the 10 kB that are read: what the system's buffers took of one or two attempts.
    assert flood.written < 32 * 1_048_576


async def test_a_fetch_that_fails_at_start_is_tried_again(idp: Idp) -> None:
    idp.answer = idp.publish(b"", 503)
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 2)
        assert source.current() is None
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: source.state().loaded)


@pytest.mark.parametrize(
    ("url", "problem"),
    [("http://127.0.0.1:1/", "connection"), ("https://127.0.0.1:{port}/", "tls")],
)
async def test_an_endpoint_that_cannot_be_reached_is_a_failure(
    idp: Idp, url: str, problem: str
) -> None:
    idp.url = url.format(port=idp.base.rpartition(":")[2])
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.current() is None
        assert source.state().problem == problem


async def test_a_set_without_usable_keys_withdraws_all(idp: Idp) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b'{"keys": []}')
        await until(lambda: source.current() is None)
        assert not source.state().loaded
        assert source.state().failures >= 1
        assert source.state().problem == "no_usable_key"
        idp.answer = idp.publish(b"", 500)
        await until(lambda: source.state().problem == "status")
        assert source.current() is None  # what was withdrawn does not come back


async def test_no_compressed_answer_is_asked_for_nor_expanded(idp: Idp) -> None:
    asked: list[str | None] = []

    async def bomb(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Accept-Encoding"))
        response = web.Response(body=b" " * 5_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    idp.answer = bomb
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.state().problem == "garbage"  # as it came; expanded, it is too large
    assert asked[0] == "identity"


async def test_an_hour_of_outage_leaves_the_keys_serving(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, refresh=0.02, clock=clock) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b"", 500)
        for failures in range(1, 61):
            clock.now += 60
            await until(lambda least=failures: source.state().failures >= least)
            assert kids(source) == ["a"]
        state = source.state()
        assert (state.loaded, state.stale, state.age_seconds) == (True, True, 3600)


async def test_keys_beyond_the_stale_bound_count_as_never_loaded(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, refresh=0.02, clock=clock, stale_max_seconds=100) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b"", 500)
        await until(lambda: source.state().failures >= 1)
        clock.now += 99.9
        assert kids(source) == ["a"]
        clock.now += 0.1
        assert source.current() is None
        assert await source.after_unknown_kid() is None
        state = source.state()
        assert (state.loaded, state.keys, state.stale, state.age_seconds) == (False, 0, False, 100)
        idp.answer = idp.publish(jwks("a"))
        await until(lambda: kids(source) == ["a"])


async def test_a_refetch_that_fails_hastens_the_next_fetch(idp: Idp) -> None:
    good, idp.answer = idp.answer, idp.publish(b"", 500)
    async with running(idp, refresh=300) as source:
        await until(lambda: source.state().failures >= 1)
        idp.answer = good
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b'{"keys": []}')
        assert await source.after_unknown_kid() is None
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])


async def test_a_bug_is_a_failure_and_ends_no_fetching(idp: Idp) -> None:
    class Broken(JwksSource):
        async def _locate(self, _session: object) -> str:
            if self.state().failures < 2:
                raise KeyError("secret")
            return idp.url

    source = Broken("i", "https://h/", 300, bounds=BOUNDS)
    await source.start()
    await until(lambda: source.state().loaded)
    await source.stop()
    assert source.results == {"ok": 1, "internal_error": 2}
