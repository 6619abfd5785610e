from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web
from introspection_server import (
    ACTIVE,
    ALICE,
    AT_ONCE,
    NOW,
    SOON,
    TIMEOUT,
    TOKEN,
    Endpoint,
    asking,
    bomb,
    hang_up,
    redirect,
    refused,
    saying,
    slow,
)
from loopback import Clock, Handler, cut, drip, hang

from pdp.identity.introspection import IntrospectionUnavailable

FAILING: dict[str, Handler] = {
    "500": saying(b"", 500),
    "503": saying({"active": True, "sub": "alice"}, 503),
    "404": saying(b"", 404),
    "400": saying({"error": "invalid_request"}, 400),
    "429": saying(b"", 429, {"Retry-After": "60"}),
    "201": saying(ALICE, 201),
    "401": saying(ALICE, 401),
    "403": saying(ALICE, 403),
    "garbage": saying(b"<html>of-alice</html>"),
    "empty": saying(b""),
    "no truth": saying({"active": "true", "sub": "of-alice"}),
    "twice": saying(b'{"active": true, "sub": "of-alice", "sub": "bob"}'),
    "list": saying([ALICE]),
    "huge": saying(b'{"active": true}' + b" " * 10_000),
    "hang": hang,
    "drip": drip,
    "redirect": redirect,
    "cut": cut,
    "hang up": hang_up,
    "bomb": bomb,
}


class Going(Clock):
    """A clock that also goes on by itself."""

    def __call__(self) -> float:
        return self.now + time.monotonic()


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
async def test_without_an_answer_nobody_is_let_in_nor_waits_for_long(
    endpoint: Endpoint, failing: Handler
) -> None:
    async with asking(endpoint, failures=100) as introspector:
        assert await introspector.inspect("known", NOW) == ALICE
        endpoint.answer = failing
        assert await refused(introspector) < SOON
        assert await introspector.inspect("known", NOW) == ALICE
        assert introspector.results["failed"] == 1
        endpoint.answer = ACTIVE
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert {asked.path for asked in endpoint.asked} == {"/introspect"}


async def test_an_endpoint_that_is_not_there_gives_no_answer(endpoint: Endpoint) -> None:
    endpoint.url = "http://127.0.0.1:1/"
    async with asking(endpoint) as introspector:
        assert await refused(introspector) < SOON


async def test_a_failure_is_told_to_all_who_wait_for_it(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.05, saying(b"", 500))
    async with asking(endpoint) as introspector:
        await asyncio.gather(*(refused(introspector) for _ in range(20)))
    assert endpoint.times == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_client_that_is_refused_is_our_fault_and_said_aloud(
    endpoint: Endpoint, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answer = saying({"active": False}, status)
    async with asking(endpoint) as introspector:
        await refused(introspector)
        await refused(introspector, "another")
    (record,) = [r for r in caplog.records if r.name == "pdp.introspection"]
    assert (record.levelname, record.getMessage()) == ("ERROR", "introspection_client_refused")
    assert record.facts["detail"] == f"status {status}"  # type: ignore[attr-defined]


async def test_failures_are_logged_once_a_second(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answer = saying(b"garbage")
    clock = Clock()
    async with asking(endpoint, clock=clock) as introspector:
        for number in range(30):
            await refused(introspector, f"made-up-{number}")
        clock.now += 1
        await refused(introspector)
    told = [r.getMessage() for r in caplog.records if r.name == "pdp.introspection"]
    assert told == ["introspection_failed"] * 2


async def test_a_kept_connection_that_was_closed_is_no_failure(endpoint: Endpoint) -> None:
    async def once(request: web.Request) -> web.StreamResponse:
        endpoint.answer = ACTIVE
        return await hang_up(request)

    async with asking(endpoint, cache=0) as introspector:
        await introspector.inspect(TOKEN, NOW)
        endpoint.answer = once
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert endpoint.times == 3
    assert introspector.results["failed"] == 0


async def test_a_dead_endpoint_is_left_alone_for_a_second_at_a_time(endpoint: Endpoint) -> None:
    endpoint.answer = hang
    clock = Going()  # how long it was asked tells a dead endpoint from a question that waited
    async with asking(endpoint, clock=clock, timeout=0.8) as introspector:
        for number in range(3):
            await refused(introspector, f"t{number}")
        for number in range(20):
            assert await refused(introspector, f"u{number}") < AT_ONCE
        assert endpoint.times == 3
        clock.now += 1
        await asyncio.gather(*(refused(introspector, f"v{number}") for number in range(20)))
        assert endpoint.times == 4
        clock.now += 1
        endpoint.answer = ACTIVE
        assert await introspector.inspect(TOKEN, NOW) == ALICE
        tokens = [f"w{number}" for number in range(5)]
        assert await asyncio.gather(*(introspector.inspect(t, NOW) for t in tokens)) == [ALICE] * 5
    assert endpoint.times == 10


async def test_the_one_who_tries_again_holds_up_nobody_else(endpoint: Endpoint) -> None:
    endpoint.answer = saying(b"", 500)
    clock = Clock()
    async with asking(endpoint, clock=clock, failures=1, requests=1) as introspector:
        await refused(introspector)
        clock.now += 1
        endpoint.answer = hang
        trying = asyncio.create_task(refused(introspector))
        await asyncio.sleep(0.05)
        assert await refused(introspector, "another") < AT_ONCE
        await trying
    assert endpoint.times == 2


async def test_the_pause_begins_when_the_failure_is_known(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.1, saying(b"", 500))
    clock = Clock()
    async with asking(endpoint, clock=clock, failures=1) as introspector:
        failing = asyncio.create_task(refused(introspector))
        await asyncio.sleep(0.05)
        clock.now += 0.9
        await failing
        clock.now += 0.9
        await refused(introspector, "another")
        assert endpoint.times == 1
        clock.now += 0.1
        await refused(introspector, "a third")
    assert endpoint.times == 2


async def test_failures_must_come_in_a_row(endpoint: Endpoint) -> None:
    async with asking(endpoint, cache=0) as introspector:
        for _ in range(4):
            for _ in range(2):
                endpoint.answer = saying(b"", 500)
                await refused(introspector)
            endpoint.answer = ACTIVE
            assert await introspector.inspect(TOKEN, NOW) == ALICE


@pytest.mark.parametrize("name", ["400", "garbage", "huge", "twice"])
async def test_no_token_can_make_the_endpoint_look_dead(endpoint: Endpoint, name: str) -> None:
    endpoint.answer = FAILING[name]
    async with asking(endpoint) as introspector:
        for number in range(10):
            await refused(introspector, f"made-up-{number}")
        endpoint.answer = ACTIVE
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert endpoint.times == 11


async def test_time_spent_in_line_says_nothing_against_the_endpoint(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.375 * TIMEOUT)
    async with asking(endpoint, clock=Going(), requests=4) as introspector:
        crowd = (introspector.inspect(f"{TOKEN}{i}", NOW) for i in range(12))
        found = await asyncio.gather(*crowd, return_exceptions=True)
        assert sum(isinstance(answer, IntrospectionUnavailable) for answer in found) >= 4
        assert await introspector.inspect(TOKEN, NOW) is not None
