"""`GET /.well-known/authzen-configuration`: where the endpoints of the AuthZEN API are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from pdp.model import Answer
from pdp.runtime.settings import ServerSettings, is_local, parse_listen
from pdp.surfaces.context import Context, plain
from pdp.surfaces.requests import Request

PATH: Final = "/.well-known/authzen-configuration"
ENDPOINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "access_evaluation_endpoint": "/access/v1/evaluation",
        "access_evaluations_endpoint": "/access/v1/evaluations",
        "search_subject_endpoint": "/access/v1/search/subject",
        "search_resource_endpoint": "/access/v1/search/resource",
        "search_action_endpoint": "/access/v1/search/action",
    }
)
_UNKNOWN: Final = (
    b'{"error":"not_found","message":"This PDP has no public URL: set `server.public_url`."}'
)


def discovery(context: Context) -> Callable[[Request], Awaitable[Answer]]:
    """A handler for the metadata, or for a 404 where nobody said under which URL we are known.

    It asks for no key: whoever looks for the PDP does not have one yet.
    """
    base = base_url(context.service.loaded.server)
    answer = plain(404, _UNKNOWN) if base is None else plain(200, _metadata(base))

    async def handle(_: Request) -> Answer:
        return answer

    return handle


def base_url(server: ServerSettings) -> str | None:
    """`public_url`; else, for development, the address of a loopback listener."""
    if server.public_url is not None:
        return server.public_url
    place = parse_listen(server.listen)
    if isinstance(place, str) or not is_local(server.listen):
        return None
    return f"http://{server.listen}"


def _metadata(base: str) -> bytes:
    endpoints = {name: base + path for name, path in ENDPOINTS.items()}
    return msgspec.json.encode({"policy_decision_point": base, **endpoints})
