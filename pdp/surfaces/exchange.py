"""A request that aiohttp has heard of, and how its answer is made."""

from __future__ import annotations

import contextlib
from typing import Protocol, cast

from aiohttp import web

from pdp.model import Answer
from pdp.surfaces.replies import reply


class Exchange(web.BaseRequest):
    """aiohttp's own request, whose answer does not say what we are made of."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


class Asked(Protocol):
    """The connection that it came by."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client does not read its answers."""
        ...

    async def rest(self, exchange: web.BaseRequest, /) -> Answer:
        """The answer, which may have begun before."""
        ...


async def _read_up(request: web.BaseRequest) -> None:
    """Wait until the client has read its answers, or is gone: else they would pile up."""
    with contextlib.suppress(ConnectionError):
        await request.protocol._drain_helper()  # noqa: SLF001 - aiohttp has no other


async def handle(exchange: web.BaseRequest) -> web.StreamResponse:
    """Answer it, once there is room for an answer."""
    asked = cast(Asked, exchange.protocol)
    if asked.writing_paused:
        await _read_up(exchange)
    return reply(exchange, await asked.rest(exchange))
