from __future__ import annotations

import asyncio
import base64
from urllib.parse import unquote_plus

import pytest
from aiohttp import web
from introspection_server import (
    ACTIVE,
    ALICE,
    INACTIVE,
    NOW,
    SECRET,
    TOKEN,
    Endpoint,
    asking,
    saying,
    slow,
)
from loopback import Clock, Handler


async def test_a_token_is_posted_as_a_form_by_a_client_that_says_who_it_is(
    endpoint: Endpoint,
) -> None:
    token = "a+b/c=&d e%"
    endpoint.answer = saying(ALICE, headers={"Set-Cookie": "s=1"})
    async with asking(endpoint, cache=0) as introspector:
        assert await introspector.inspect(token, NOW) == ALICE
        assert await introspector.inspect(token, NOW) == ALICE
    asked = endpoint.asked[1]
    assert (asked.method, asked.path) == ("POST", "/introspect")
    assert asked.body == "token=a%2Bb%2Fc%3D%26d+e%25&token_type_hint=access_token"
    assert asked.form == {"token": token, "token_type_hint": "access_token"}
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    assert "Cookie" not in asked.headers
    scheme, _, encoded = asked.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded) == b"p+d%3Ap:s%3Ae%25c+r%2Bt%2F%C3%A9"
    pair = base64.b64decode(encoded).decode().split(":")
    assert [unquote_plus(half) for half in pair] == ["p d:p", SECRET]


async def test_no_proxy_of_the_environment_sees_a_token(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    async with asking(endpoint) as introspector:
        assert await introspector.inspect(TOKEN, NOW) == ALICE


async def test_an_active_token_is_asked_about_once_in_the_cache_time(endpoint: Endpoint) -> None:
    clock = Clock()
    async with asking(endpoint, clock=clock) as introspector:
        for later in (0.0, 15.0, 29.9):
            clock.now = 1000 + later
            assert await introspector.inspect(TOKEN, NOW + later) == ALICE
        assert endpoint.times == 1
        clock.now = 1030
        assert await introspector.inspect(TOKEN, NOW + 30) == ALICE
    assert endpoint.times == 2
    assert introspector.results["active"] == introspector.results["cached"] == 2


@pytest.mark.parametrize(("tick", "now"), [(30.0, -3600.0), (0.0, 30.0)])
async def test_a_clock_that_is_set_or_stands_still_prolongs_nothing(
    endpoint: Endpoint, tick: float, now: float
) -> None:
    clock = Clock()
    async with asking(endpoint, clock=clock) as introspector:
        await introspector.inspect(TOKEN, NOW)
        clock.now += tick
        await introspector.inspect(TOKEN, NOW + now)
    assert endpoint.times == 2


async def test_the_cache_time_begins_when_the_question_was_asked(endpoint: Endpoint) -> None:
    clock = Clock()
    async with asking(endpoint, clock=clock) as introspector:
        endpoint.answer = slow(0.1)
        asked = asyncio.create_task(introspector.inspect(TOKEN, NOW))
        await asyncio.sleep(0.05)
        clock.now += 29
        assert await asked == ALICE
        clock.now += 1
        await introspector.inspect(TOKEN, NOW)
    assert endpoint.times == 2


async def test_nothing_is_remembered_past_its_exp(endpoint: Endpoint) -> None:
    endpoint.answer = saying(ALICE | {"exp": NOW + 5})
    async with asking(endpoint) as introspector:
        await introspector.inspect(TOKEN, NOW)
        await introspector.inspect(TOKEN, NOW + 4.9)
        assert endpoint.times == 1
        endpoint.answer = INACTIVE
        assert await introspector.inspect(TOKEN, NOW + 5) is None
    assert endpoint.times == 2


async def test_what_is_expired_is_not_remembered_at_all(endpoint: Endpoint) -> None:
    endpoint.answer = saying(ALICE | {"exp": NOW})
    async with asking(endpoint) as introspector:
        for _ in range(3):
            assert await introspector.inspect(TOKEN, NOW) == ALICE | {"exp": NOW}
    assert endpoint.times == 3


@pytest.mark.parametrize(("cache", "least"), [(30.0, 5.0), (2.0, 2.0)])
async def test_a_flood_of_an_inactive_token_is_one_request_in_a_while(
    endpoint: Endpoint, cache: float, least: float
) -> None:
    endpoint.answer = INACTIVE
    clock = Clock()
    async with asking(endpoint, cache, clock) as introspector:
        for _ in range(100):
            assert await introspector.inspect(TOKEN, NOW) is None
        clock.now += least - 0.1
        assert await introspector.inspect(TOKEN, NOW) is None
        assert endpoint.times == 1
        endpoint.answer = ACTIVE
        clock.now += 0.1
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert endpoint.times == 2
    assert introspector.results["inactive"] == 1


@pytest.mark.parametrize("answer", [ACTIVE, INACTIVE])
async def test_without_a_cache_time_nothing_is_remembered(
    endpoint: Endpoint, answer: Handler
) -> None:
    endpoint.answer = answer
    async with asking(endpoint, cache=0) as introspector:
        for _ in range(3):
            await introspector.inspect(TOKEN, NOW)
    assert endpoint.times == 3


async def test_fifty_who_ask_at_once_make_one_request(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.05)
    async with asking(endpoint) as introspector:
        found = await asyncio.gather(*(introspector.inspect(TOKEN, NOW) for _ in range(50)))
    assert found == [ALICE] * 50
    assert endpoint.times == 1
    assert introspector.results["active"] == 1


async def test_each_token_has_its_own_answer(endpoint: Endpoint) -> None:
    async def by_token(request: web.Request) -> web.StreamResponse:
        return await saying(ALICE | {"sub": endpoint.asked[-1].form["token"]})(request)

    endpoint.answer = by_token
    names = [f"of-alice-{number}" for number in range(20)]
    async with asking(endpoint) as introspector:
        for _ in range(2):
            for name in names:
                found = await introspector.inspect(name, NOW)
                assert found is not None
                assert found["sub"] == name
    assert endpoint.times == 20


async def test_whoever_gives_up_takes_the_answer_from_nobody(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.1)
    async with asking(endpoint) as introspector:
        first, second = (asyncio.create_task(introspector.inspect(TOKEN, NOW)) for _ in range(2))
        await asyncio.sleep(0.03)
        first.cancel()
        assert await second == ALICE
        assert first.cancelled()
        assert endpoint.times == 1


async def test_an_answer_that_nobody_waits_for_any_more_is_remembered(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.05)
    async with asking(endpoint) as introspector:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await introspector.inspect(TOKEN, NOW)
        await asyncio.sleep(0.1)
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert endpoint.times == 1
