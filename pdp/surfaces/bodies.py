"""Reads the body of a JSON request: only of that type, whole, and within bounds."""

from __future__ import annotations

from typing import Final

from pdp.errors import RequestError
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.requests import Request

_JSON: Final = "application/json"


async def read_body(request: Request, server: ServerSettings) -> bytes:
    """The whole body; TooLarge, or RequestError for another content type, or as `body` does."""
    headers = request.headers
    kind = headers.get("Content-Type", "")
    if kind != _JSON and kind.partition(";")[0].strip().lower() != _JSON:
        raise RequestError("Content-Type", "must be application/json")
    if "Content-Encoding" in headers:
        raise RequestError("Content-Encoding", "is not supported")
    return await request.body(server)
