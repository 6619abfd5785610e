"""Reads the body of a JSON request: its type, its size and its time are bounded."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pdp.errors import PdpError, RequestError
from pdp.runtime.settings import ServerSettings


class TooLarge(PdpError):
    """A body over the bound: 413."""


async def read_body(request: web.BaseRequest, server: ServerSettings) -> bytes:
    """The whole body; RequestError for another content type or a body that does not arrive."""
    if request.content_type != "application/json":
        raise RequestError("Content-Type", "must be application/json")
    if request.headers.getall("Content-Encoding", ()):
        raise RequestError("Content-Encoding", "is not supported")
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(server.body_seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    except TimeoutError:
        raise RequestError("body", "did not arrive in time") from None
