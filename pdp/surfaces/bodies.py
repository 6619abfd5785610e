"""Reads the body of a JSON request: its type, its size and its time are bounded."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from pdp.errors import PdpError, RequestError
from pdp.runtime.settings import ServerSettings

_JSON: Final = "application/json"


class TooLarge(PdpError):
    """A body over the bound: 413."""


async def read_body(request: web.BaseRequest, server: ServerSettings) -> bytes:
    """The whole body; RequestError for another content type or a body that does not arrive."""
    headers = request.headers
    if headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        raise RequestError("Content-Type", "must be application/json")
    if "Content-Encoding" in headers:
        raise RequestError("Content-Encoding", "is not supported")
    content = request.content
    if content.is_eof():  # all of it is here, as it mostly is: nothing to wait for
        return _bounded(content.read_nowait(), server)
    if (request.content_length or 0) > server.max_body_bytes:
        raise TooLarge  # which need not be waited for
    if headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(server.body_seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    except TimeoutError:
        raise RequestError("body", "did not arrive in time") from None
    except (ConnectionError, web.RequestPayloadError):
        raise RequestError("body", "did not arrive whole") from None


def _bounded(data: bytes, server: ServerSettings) -> bytes:
    if len(data) > server.max_body_bytes:
        raise TooLarge
    return data
