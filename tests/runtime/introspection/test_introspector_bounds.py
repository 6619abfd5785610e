from __future__ import annotations

import asyncio

import pytest
from introspection_server import (
    ACTIVE,
    ALICE,
    AT_ONCE,
    INACTIVE,
    ISSUER,
    NOW,
    SECRET,
    SOON,
    TOKEN,
    Endpoint,
    asking,
    refused,
    saying,
    slow,
)
from loopback import hang
from prometheus_client import CollectorRegistry, generate_latest

from pdp.runtime.introspection import Client, Introspector, register


async def test_requests_and_those_that_wait_have_a_bound(endpoint: Endpoint) -> None:
    endpoint.answer = slow(0.1)
    async with asking(endpoint, requests=2, waiting=2, timeout=5) as introspector:
        asked = [asyncio.create_task(introspector.inspect(f"t{n}", NOW)) for n in range(4)]
        await asyncio.sleep(0.03)
        assert await refused(introspector) < AT_ONCE
        assert await refused(introspector) < AT_ONCE
        assert await asyncio.gather(*asked) == [ALICE] * 4
        assert await introspector.inspect(TOKEN, NOW) == ALICE
    assert endpoint.most_under_way == 2
    assert introspector.results["refused_by_budget"] == 2


async def test_whoever_waits_in_the_queue_waits_no_longer(endpoint: Endpoint) -> None:
    endpoint.answer = hang
    async with asking(endpoint, requests=1) as introspector:
        waited = await asyncio.gather(*(refused(introspector, f"t{n}") for n in range(10)))
    assert max(waited) < SOON
    assert endpoint.times < 10


async def test_made_up_tokens_take_no_good_tokens_place(endpoint: Endpoint) -> None:
    async with asking(endpoint, answers=3) as introspector:
        for name in ("a", "b", "c"):
            await introspector.inspect(name, NOW)
        endpoint.answer = INACTIVE
        for number in range(10):
            await introspector.inspect(f"made-up-{number}", NOW)
        assert len(introspector._answers) == 6
        assert await introspector.inspect("a", NOW) == ALICE
        endpoint.answer = ACTIVE
        await introspector.inspect("d", NOW)
        assert len(introspector._answers) == 6
        asked = endpoint.times
        await introspector.inspect("a", NOW)
        assert endpoint.times == asked
        await introspector.inspect("b", NOW)  # used the longest time ago
        assert endpoint.times == asked + 1


@pytest.mark.parametrize("text", ["", "a\nb", "\u00e9", "\ud800", "x" * 16_385])
async def test_what_cannot_be_a_token_is_not_sent(endpoint: Endpoint, text: str) -> None:
    async with asking(endpoint) as introspector:
        assert await introspector.inspect(text, NOW) is None
    assert endpoint.times == 0


async def test_stopping_ends_what_is_under_way(endpoint: Endpoint) -> None:
    endpoint.answer = hang
    async with asking(endpoint, timeout=30) as introspector:
        waiting = asyncio.create_task(refused(introspector))
        await asyncio.sleep(0.05)
        await introspector.stop()
        assert await waiting < 5
        assert await refused(introspector, "another") < AT_ONCE
        await introspector.stop()


async def test_nothing_is_asked_before_the_start() -> None:
    introspector = Introspector(Client(ISSUER, "http://127.0.0.1:1/", "pdp", SECRET), 30)
    await refused(introspector)
    await introspector.stop()
    assert SECRET not in repr(Client(ISSUER, "http://127.0.0.1:1/", "pdp", SECRET))


async def test_metrics_tell_how_questions_ended(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    async with asking(endpoint) as introspector:
        other = Introspector(Client("other", endpoint.url, "pdp", SECRET), 30)
        register((introspector, other), registry)
        for token in ("a", "a", "b"):
            await introspector.inspect(token, NOW)
        endpoint.answer = saying(b"", 500)
        await refused(introspector)
    shown = generate_latest(registry).decode().splitlines()
    for issuer, result, number in (
        (ISSUER, "active", 2),
        (ISSUER, "inactive", 0),
        (ISSUER, "cached", 1),
        (ISSUER, "failed", 1),
        (ISSUER, "refused_by_budget", 0),
        ("other", "active", 0),
    ):
        labels = f'issuer="{issuer}",result="{result}"'
        assert f"pdp_introspections_total{{{labels}}} {number}.0" in shown
