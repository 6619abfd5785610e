"""Asks identity providers by HTTP: bounded, in the clear to nobody, and led nowhere by answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_CHUNK: Final = 65_536
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
# The first that fits names the failure.
_KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "timeout"),
    (aiohttp.InvalidURL, "url"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientPayloadError, "cut_short"),
    (aiohttp.ClientResponseError, "malformed"),
    (aiohttp.ClientError, "connection"),
    (OSError, "connection"),
    (ValueError, "malformed"),
)
_EXPECTED: Final = tuple(kind for kind, _ in _KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBounds:
    """What a fetch may cost, in seconds and bytes."""

    timeout: float = 5.0
    size: int = 1_048_576
    retry_first: float = 1.0
    retry_most: float = 60.0
    refetch_interval: float = 30.0
    refetch_wait: float = 0.5  # below `authentication_seconds`: an unknown key is a 401


class Failed(Exception):
    """Nothing usable was received: `kind` is one of a few words, `detail` quotes no answer."""

    def __init__(self, kind: str, detail: str = "", status: int | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Received:
    """A whole answer; its body, as it came, may hold secrets."""

    status: int
    body: bytes = field(repr=False)
    cache_control: str = ""  # all its field lines, joined


def http_session(timeout: float, connections: int = 4) -> aiohttp.ClientSession:
    """A client whose every exchange ends within `timeout` seconds.

    It keeps no cookies, expands nothing compressed, and heeds no proxy of the environment.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        auto_decompress=False,
        trust_env=False,
    )


async def exchange(
    session: aiohttp.ClientSession, method: str, url: str, most: int, **options: Any
) -> Received:
    """The answer, whatever its status, of at most `most` bytes; Failed if there is none.

    A redirect is an answer as any other. `options` are those of aiohttp's `request`.
    """
    data = bytearray()
    try:
        async with session.request(method, url, allow_redirects=False, **options) as response:
            async for chunk in response.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise Failed("too_large", f"more than {most} bytes")
            caching = ", ".join(response.headers.getall("Cache-Control", ()))
            return Received(response.status, bytes(data), caching)
    except _EXPECTED as error:
        kind = next(name for family, name in _KINDS if isinstance(error, family))
        raise Failed(kind, type(error).__name__) from None


async def get(session: aiohttp.ClientSession, url: str, most: int) -> Received:
    """What stands at `url`; Failed for any status but 200, redirects included."""
    received = await exchange(session, "GET", url, most)
    status = received.status
    if status != _OK:
        kind = "redirect" if status in _REDIRECTS else "status"
        raise Failed(kind, f"status {status}", status)
    return received
