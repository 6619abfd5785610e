"""A request, as far as anything depends on it: one line, its fields, its body and its client."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import StreamReader, web
from msgspec import Struct
from multidict import CIMultiDictProxy

from pdp.errors import PdpError, RequestError
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.certificates import Certified


class TooLarge(PdpError):
    """A body over the bound: 413."""


class Peer(Protocol):
    """The connection that a request came by."""

    @property
    def client(self) -> Certified:
        """What the client's certificate says."""
        ...

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once it is gone."""
        ...


class Request(Struct, frozen=True, eq=False):
    """What a client asks. `target` is as it came: of aiohttp's own paths, some are decoded."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    peer: Peer
    content: bytes | StreamReader  # all of the body, or where it is still to arrive

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody is there any more who could read the answer."""
        return self.peer.transport is None

    async def body(self, server: ServerSettings) -> bytes:
        """All of it; TooLarge, or RequestError for one that does not arrive whole and in time."""
        content, most = self.content, server.max_body_bytes
        if isinstance(content, bytes):
            return _bounded(content, most)
        if int(self.headers.get("Content-Length", "0")) > most:
            raise TooLarge  # which need not be waited for
        transport = self.peer.transport
        if transport is not None and self.headers.get("Expect", "").lower() == "100-continue":
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(server.body_seconds):
                return await _read(content, most)
        except TimeoutError:
            raise RequestError("body", "did not arrive in time") from None
        except (ConnectionError, web.RequestPayloadError):
            raise RequestError("body", "did not arrive whole") from None


async def _read(content: StreamReader, most: int) -> bytes:
    data = b""
    while piece := await content.readany():
        data = _bounded(data + piece, most)
    return data


def _bounded(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise TooLarge
    return data
