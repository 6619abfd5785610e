"""A real JWKS endpoint on loopback, and sources that ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pdp.runtime.fetch import FetchBounds, JwksSource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def jwks(*kids: str) -> bytes:
    made = {kid: ec.generate_private_key(ec.SECP256R1()).public_key() for kid in kids}
    entries = [{**ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid} for kid, key in made.items()]
    return json.dumps({"keys": entries}).encode()


class Idp:
    """A real JWKS endpoint whose answer can be changed; it counts what it is asked."""

    def __init__(self) -> None:
        self.answer: Handler = self.publish(jwks("a"))
        self.asked = 0
        self.paths: list[str] = []
        self.url = ""

    @staticmethod
    def publish(body: bytes, status: int = 200, **headers: str) -> Handler:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers=headers)

        return answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.paths.append(request.path)
        return await self.answer(request)


@asynccontextmanager
async def serving() -> AsyncIterator[Idp]:
    made = Idp()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    yield made
    await runner.cleanup()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    idp: Idp, refresh: float = 300, bounds: FetchBounds | None = None, clock: Clock | None = None
) -> AsyncIterator[JwksSource]:
    source = JwksSource(
        "https://idp.example.com/",
        idp.url,
        refresh,
        bounds=bounds or FetchBounds(timeout=0.3, size=10_000, retry_first=0.02, refetch_wait=0.2),
        clock=clock or Clock(),
    )
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


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()
