"""Reads the body of a JSON request: only of that type, whole, and within bounds."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import StreamReader, web

from pdp.errors import PdpError, RequestError
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.requests import Request

_JSON: Final = "application/json"


class TooLarge(PdpError):
    """A body over the bound: 413."""


async def read_body(request: Request, server: ServerSettings) -> bytes:
    """The whole body; TooLarge, or RequestError.

    That is for one of another content type, or that does not arrive whole and in time.
    """
    headers, content = request.headers, request.content
    kind = headers.get("Content-Type", "")
    if kind != _JSON and kind.partition(";")[0].strip().lower() != _JSON:
        raise RequestError("Content-Type", "must be application/json")
    if "Content-Encoding" in headers:
        raise RequestError("Content-Encoding", "is not supported")
    if not isinstance(content, bytes):
        return await _arriving(request, content, server)
    if len(content) > server.max_body_bytes:
        raise TooLarge
    return content


async def _arriving(request: Request, content: StreamReader, server: ServerSettings) -> bytes:
    headers, transport = request.headers, request.peer.transport
    if int(headers.get("Content-Length", "0")) > server.max_body_bytes:
        raise TooLarge  # which need not be waited for
    if transport is not None and headers.get("Expect", "").lower() == "100-continue":
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(server.body_seconds):
            return await _read(content, server.max_body_bytes)
    except TimeoutError:
        raise RequestError("body", "did not arrive in time") from None
    except (ConnectionError, web.RequestPayloadError):
        raise RequestError("body", "did not arrive whole") from None


async def _read(content: StreamReader, most: int) -> bytes:
    data = b""
    while piece := await content.readany():
        data += piece
        if len(data) > most:
            raise TooLarge
    return data
