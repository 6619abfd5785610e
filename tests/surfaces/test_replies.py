"""Answers on the wire: written by us they are what aiohttp would write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from aiohttp import web

from pdp.model import Answer
from pdp.surfaces.replies import reply, response, wire

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

ANSWERS = {
    "/empty": Answer(200, (("X-Auth-Subject", "alice"), ("X-Auth-Roles", ""))),
    "/refusal": Answer(
        401,
        (
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("WWW-Authenticate", 'Bearer realm="api"'),
        ),
        b'{"error":"unauthenticated"}',
    ),
    "/fault": Answer(503, (("Content-Type", "application/json"), ("Retry-After", "1")), b"{}"),
}
HEADS = [
    "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET %s HTTP/1.0\r\nHost: x\r\n\r\n",
    "GET %s HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
]


class Request(web.BaseRequest):
    """As ours: nothing tells what the server is made of."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


async def ours(request: web.BaseRequest) -> web.StreamResponse:
    return reply(request, ANSWERS[request.raw_path])


async def theirs(request: web.BaseRequest) -> web.StreamResponse:
    return response(ANSWERS[request.raw_path])


async def heard(handler: Handler, asked: bytes) -> tuple[bytes, bool]:
    """What comes back, its date made one, and whether the connection then ends."""
    loop = asyncio.get_running_loop()

    make = partial(Request, loop=loop, client_max_size=1_000)
    server = web.Server(handler, request_factory=make, access_log=None)
    listening = await loop.create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(asked)
    told = b""
    ended = False
    while not ended:
        try:
            async with asyncio.timeout(0.1):
                piece = await reader.read(65_536)
        except TimeoutError:
            break
        told, ended = told + piece, not piece
    writer.close()
    listening.close()
    await server.shutdown(0.1)
    return re.sub(rb"Date: [^\r]+", b"Date: now", told), ended


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("path", ANSWERS)
async def test_an_answer_is_written_as_aiohttp_would_write_it(head: str, path: str) -> None:
    asked = (head % path).encode()
    told, ended = await heard(ours, asked)
    assert (told, ended) == await heard(theirs, asked)
    assert told.startswith(b"HTTP/1.")


async def test_requests_that_come_together_are_answered_in_order() -> None:
    asked = "".join(HEADS[0] % path for path in ANSWERS).encode()
    told, _ = await heard(ours, asked)
    assert re.findall(rb"HTTP/1.1 (\d+)", told) == [b"200", b"401", b"503"]


@pytest.mark.parametrize("odd", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize("place", ["name", "value"])
def test_no_field_begins_a_line_of_its_own(odd: str, place: str) -> None:
    field = (odd, "x") if place == "name" else ("X-Auth-Subject", odd)
    with pytest.raises(ValueError, match="line break"):
        wire(Answer(200, (("Cache-Control", "no-store"), field)), keep_alive=True)
