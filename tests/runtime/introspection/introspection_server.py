"""A real introspection endpoint on loopback, and introspectors that ask it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from loopback import Clock, Handler, listening

from pdp.identity.introspection import IntrospectionUnavailable
from pdp.runtime.introspection import Client, Introspector
from pdp.runtime.introspection_bounds import IntrospectionBounds

TOKEN = "2YotnFZFEjr1zCsicMWpAA"
ALICE = {"active": True, "sub": "alice"}
AT_ONCE, TIMEOUT, SOON = 0.9, 1.6, 6.0  # seconds; a request that hangs takes TIMEOUT
NOW = 1_900_000_000.0
ISSUER = "https://idp.example.com/"
SECRET = "s:e%c r+t/\u00e9"


def saying(
    answer: object = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> Handler:
    """A handler that says one thing to everybody: an object, or bytes as they are."""

    async def handle(_: web.Request) -> web.StreamResponse:
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status, headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    return handle


ACTIVE = saying(ALICE)
INACTIVE = saying({"active": False})


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    body: str
    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Endpoint:
    """What is asked of it, and what it answers."""

    answer: Handler = ACTIVE
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(Asked(request.method, request.path, body, form, request.headers.copy()))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.answer(request)
        finally:
            self.under_way -= 1

    @property
    def times(self) -> int:
        return len(self.asked)


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with listening(endpoint.handle) as url:
        endpoint.url = f"{url}/introspect"
        yield endpoint


@asynccontextmanager
async def asking(
    endpoint: Endpoint,
    cache: float = 30.0,
    clock: Clock | None = None,
    **bounds: float,
) -> AsyncIterator[Introspector]:
    introspector = Introspector(
        Client(ISSUER, endpoint.url, "p d:p", SECRET),
        cache,
        bounds=IntrospectionBounds(**({"timeout": TIMEOUT, "size": 10_000} | bounds)),  # type: ignore[arg-type]
        clock=clock or Clock(),
    )
    await introspector.start()
    try:
        yield introspector
    finally:
        await introspector.stop()


async def refused(introspector: Introspector, token: str = TOKEN, now: float = NOW) -> float:
    """How long it took to say that there is no answer."""
    began = time.perf_counter()
    with pytest.raises(IntrospectionUnavailable) as caught:
        await introspector.inspect(token, now)
    assert token not in str(caught.value)
    return time.perf_counter() - began


def secrets_in(records: Iterable[logging.LogRecord]) -> list[str]:
    """What of the token, of the client and of what answers say stands in log records."""
    told = "".join(str(vars(record)) for record in records)
    authorization = Client(ISSUER, "", "p d:p", SECRET).authorization()
    secrets = (TOKEN, SECRET, authorization.split()[1], "of-alice", "made-up")
    return [secret for secret in secrets if secret in told]


def slow(seconds: float, then: Handler = ACTIVE) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await then(request)

    return handle


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/elsewhere")


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def bomb(_: web.Request) -> web.StreamResponse:
    response = web.Response(body=b" " * 5_000_000)
    response.enable_compression(web.ContentCoding.gzip)
    return response
