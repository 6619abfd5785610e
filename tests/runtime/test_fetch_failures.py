from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from idp import Handler, Idp, hang, jwks, kids, running, serving, until


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    async with serving() as made:
        yield made


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "999"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.close()
    return response


FAILING: list[Handler] = [
    Idp.publish(b"", 500),
    Idp.publish(b"not json"),
    Idp.publish(b"{}"),
    Idp.publish(b" " * 10_001),
    hang,
    drip,
    redirect,
    cut,
]


@pytest.mark.parametrize("failing", FAILING)
async def test_the_last_good_keys_serve_through_a_failure(idp: Idp, failing: Handler) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        idp.answer = failing
        await until(lambda: source.state().failures >= 2)
        assert kids(source) == ["a"]
        assert source.state().loaded
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])
        assert source.state().failures == 0
        assert "/elsewhere" not in idp.paths


async def test_a_fetch_that_fails_at_start_is_tried_again(idp: Idp) -> None:
    idp.answer = idp.publish(b"", 503)
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 2)
        assert source.current() is None
        idp.answer = idp.publish(jwks("b"))
        await until(lambda: source.state().loaded)


async def test_an_endpoint_that_is_not_there_is_a_failure(idp: Idp) -> None:
    idp.url = "http://127.0.0.1:1/"
    async with running(idp) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.current() is None


async def test_a_set_without_usable_keys_withdraws_all(idp: Idp) -> None:
    async with running(idp, refresh=0.05) as source:
        await until(lambda: source.state().loaded)
        idp.answer = idp.publish(b'{"keys": []}')
        await until(lambda: source.current() is None)
        assert not source.state().loaded
        assert source.state().failures >= 1


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
    assert asked[0] == "identity"
