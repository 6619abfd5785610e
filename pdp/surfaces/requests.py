"""A request, as far as anything depends on it: one line, its fields, its body and its client."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import StreamReader
from msgspec import Struct
from multidict import CIMultiDictProxy

from pdp.surfaces.certificates import Certified


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
