"""A real identity provider on loopback that can do all that goes wrong, and sources that ask it."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from loopback import Clock, Handler, listening

from pdp.runtime.fetch import JwksSource
from pdp.runtime.http_client import FetchBounds

ISSUER = "https://idp.example.com/"
BOUNDS = FetchBounds(timeout=0.3, size=10_000, retry_first=0.02, refetch_wait=0.2)


@functools.cache
def private(kid: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwks(*kids: str) -> bytes:
    entries = [
        {**ECAlgorithm.to_jwk(private(kid).public_key(), as_dict=True), "kid": kid} for kid in kids
    ]
    return json.dumps({"keys": entries}).encode()


def token(kid: str, **changed: Any) -> str:
    """A token signed with the key that `jwks(kid)` publishes, good for an hour."""
    claims = {"iss": ISSUER, "aud": "api", "sub": "alice", "exp": time.time() + 3600, **changed}
    return jwt.encode(claims, private(kid), "ES256", {"kid": kid})


class Idp:
    """An identity provider whose answers can be changed; it counts what it is asked.

    GET is answered by `at[path]`, or else by `answer`; POST by `post`.
    """

    def __init__(self) -> None:
        self.answer: Handler = self.publish(jwks("a"))
        self.at: dict[str, Handler] = {}
        self.post: Handler = self.publish(b"", 404)
        self.paths: list[str] = []
        self.posted: list[dict[str, str]] = []  # the forms
        self.base = ""
        self.url = ""

    @property
    def asked(self) -> int:
        return len(self.paths)

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.paths)

    @staticmethod
    def publish(body: bytes, status: int = 200, **headers: str) -> Handler:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers=named)

        return answer

    def describe(self, path: str = "/.well-known/openid-configuration", **changed: Any) -> None:
        """Publish metadata at `path`: those of `base`, with its `url`, unless `changed`."""
        document = {"issuer": self.base, "jwks_uri": self.url, **changed}
        self.at[path] = self.publish(json.dumps(document).encode())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        if request.method == "POST":
            form = await request.post()
            self.posted.append({name: str(value) for name, value in form.items()})
            return await self.post(request)
        return await self.at.get(request.path, self.answer)(request)


@asynccontextmanager
async def serving() -> AsyncIterator[Idp]:
    made = Idp()
    async with listening(made.handle) as url:
        made.base, made.url = url, f"{url}/jwks.json"
        yield made


def source_of(
    idp: Idp, refresh: float | None = 300, *, discover: bool = False, **options: Any
) -> JwksSource:
    """A source that is not started: by the provider's `url`, or by what it says of itself."""
    given = {"bounds": BOUNDS, "clock": Clock(), **options}
    issuer, url = (idp.base, None) if discover else (ISSUER, idp.url)
    return JwksSource(issuer, url, refresh, **given)


@asynccontextmanager
async def running(
    idp: Idp, refresh: float | None = 300, *, discover: bool = False, **options: Any
) -> AsyncIterator[JwksSource]:
    source = source_of(idp, refresh, discover=discover, **options)
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the source tells nobody when it is done
            await asyncio.sleep(0.005)


def kids(source: JwksSource) -> list[str | None]:
    ring = source.current()
    return [] if ring is None else [key.kid for key in ring.keys]


async def half_closed(request: web.Request) -> web.StreamResponse:
    """The head of an answer, after which nothing can follow, though the connection is up."""
    response = web.StreamResponse(headers={"Content-Length": "999"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.write_eof()
    await asyncio.sleep(60)
    return response


def redirect_to(url: str) -> Handler:
    async def redirect(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(url)

    return redirect


class Flood:
    """64 MiB of white space; `written` is how many bytes of it somebody took."""

    def __init__(self) -> None:
        self.written = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1024):
            await response.write(b" " * 65_536)
            self.written += 65_536
        return response
