from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from aiohttp import web
from idp import (
    ISSUER,
    Idp,
    jwks,
    kids,
    private,
    running,
    serving,
    source_of,
    token,
    until,
)
from loopback import Clock, hang
from prometheus_client import CollectorRegistry

from pdp.errors import KeysUnavailable
from pdp.identity.issuer import IssuerSettings
from pdp.identity.jwt import Issuer, parse, verify
from pdp.identity.keys import StaticKeys
from pdp.model import Identity, Reason, Rejected
from pdp.runtime.fetch import REFRESH_LEAST, REFRESH_MOST, JwksSource, max_age
from pdp.runtime.http_client import FetchBounds, Received
from pdp.runtime.key_metrics import register_metrics


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


async def judged(source: JwksSource, text: str) -> Reason | None:
    """Why a token is refused; None if it is not."""
    settings = IssuerSettings(issuer=ISSUER, audiences=("api",), algorithms=("ES256",))
    found = await verify(text, parse(text), Issuer(settings, source), time.time())
    assert isinstance(found, Identity | Rejected)
    return found.reason if isinstance(found, Rejected) else None


async def test_a_new_key_counts_at_once_and_a_withdrawn_one_after_a_refresh(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, clock=clock) as source:
        await until(lambda: source.state().loaded)
        assert [await judged(source, token(kid)) for kid in "ab"] == [None, Reason.TOKEN_INVALID]
        clock.now += 30  # the interval that `b` has used up
        idp.answer = idp.publish(jwks("a", "b"))
        assert [await judged(source, token(kid)) for kid in "ab"] == [None, None]
        assert idp.asked == 3
    async with running(idp, refresh=0.05) as source:
        await until(lambda: kids(source) == ["a", "b"])
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])
        assert [await judged(source, token(kid)) for kid in "ab"] == [Reason.TOKEN_INVALID, None]


async def test_another_key_under_a_known_kid_replaces_it(idp: Idp) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(jwks("b").replace(b'"kid": "b"', b'"kid": "a"'))
        before = source.current()
        await until(lambda: source.current() is not before)
        assert await judged(source, token("a")) is Reason.TOKEN_INVALID


async def test_three_hundred_tokens_with_unknown_kids_cause_one_fetch(idp: Idp) -> None:
    claims = {"iss": ISSUER, "aud": "api", "sub": "mallory", "exp": time.time() + 60}
    forged = [
        jwt.encode(claims, private("mallory"), "ES256", {"kid": f"k{number}"})
        for number in range(300)
    ]
    async with running(idp) as source:
        await until(lambda: source.state().loaded)
        found = await asyncio.gather(*(judged(source, each) for each in forged))
        assert {*found} == {Reason.TOKEN_INVALID}
        assert idp.asked == 2
        idp.answer = idp.publish(b"", 500)
        await asyncio.gather(*(judged(source, each) for each in forged))
        assert idp.asked == 2


async def test_an_outage_is_no_refusal_of_tokens_that_cannot_be_judged(idp: Idp) -> None:
    idp.answer = idp.publish(b"", 500)
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 1)
        with pytest.raises(KeysUnavailable):
            await judged(source, token("a"))


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


@pytest.mark.parametrize(
    ("header", "age"),
    [
        ("", None),
        ("no-cache, no-store", None),
        ("max-age=120", 120),
        ("public, Max-Age=120, must-revalidate", 120),
        ('max-age="60"', 60),
        ("max-age=300, max-age=20", 20),
        ("s-maxage=5", None),
        ("max-age=-1", None),
        ("max-age=x", None),
        ("max-age=" + "9" * 400, None),
    ],
)
def test_an_answer_may_say_how_long_it_is_fresh(header: str, age: float | None) -> None:
    assert max_age(header) == age


@pytest.mark.parametrize(
    ("refresh", "stale_max", "header", "interval"),
    [
        (None, 86_400, "", REFRESH_MOST),
        (None, 86_400, "max-age=120", 120),
        (None, 86_400, "max-age=0", REFRESH_LEAST),
        (None, 86_400, "max-age=86400", REFRESH_MOST),
        (600, 86_400, "max-age=120", 600),
        (5, 86_400, "", 5),
        (None, 60, "", 30),  # or they would be too old before they are fetched again
    ],
)
def test_keys_are_fetched_as_often_as_settings_or_answers_say(
    refresh: float | None, stale_max: float, header: str, interval: float
) -> None:
    source = JwksSource("i", "https://h/", refresh, stale_max_seconds=stale_max)
    assert source._interval_after(Received(200, b"", header)) == interval


async def test_the_answers_freshness_is_heeded(idp: Idp) -> None:
    idp.answer = idp.publish(jwks("a"), Cache_Control="max-age=40")
    async with running(idp, refresh=None) as source:
        await until(lambda: source.state().loaded)
        assert 32 <= source._pause() <= 38


async def test_keys_older_than_they_should_get_are_stale(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, clock=clock) as source:
        assert not source.state().stale
        await until(lambda: source.state().loaded)
        clock.now += 300
        assert not source.state().stale
        clock.now += 1
        assert source.state().stale


async def test_metrics_tell_of_every_fetched_issuer(idp: Idp) -> None:
    registry, clock = CollectorRegistry(), Clock()
    never = source_of(idp)
    never.issuer = "never"
    async with running(idp, clock=clock, refresh=0.05) as source:
        register_metrics({"a": source, "b": never, "c": StaticKeys(None)}, registry)
        await until(lambda: source.state().loaded)
        clock.now += 7

        def value(name: str, issuer: str = ISSUER, **labels: str) -> float | None:
            return registry.get_sample_value(name, {"issuer": issuer, **labels})

        assert value("pdp_jwks_loaded") == value("pdp_jwks_keys") == 1
        await until(lambda: source.results["ok"] >= 2)
        assert (value("pdp_jwks_fetches_total", result="ok") or 0) >= 2
        idp.answer = idp.publish(b"", 500)
        await until(lambda: value("pdp_jwks_fetch_failures") == 2)
        assert value("pdp_jwks_fetches_total", result="status") == 2
        clock.now += 5
        assert value("pdp_jwks_age_seconds") == 5
        assert value("pdp_jwks_loaded", "never") == value("pdp_jwks_keys", "never") == 0
        assert math.isnan(value("pdp_jwks_age_seconds", "never") or 0)
        assert value("pdp_jwks_loaded", "c") is None


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
