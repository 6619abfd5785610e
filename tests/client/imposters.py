"""Servers that are not what a client hopes for, and a service to put in front of a PDP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

HANGING = 30.0  # seconds; far longer than any deadline here
ALLOWED: dict[str, Any] = {
    "verdict": "allow",
    "status": 200,
    "subject": {"id": "alice", "roles": ["member"]},
    "response": {"status": 200, "headers": {}, "body": ""},
    "decision_id": "d",
    "policy_revision": "r",
}
REFUSED: dict[str, Any] = {
    **ALLOWED,
    "verdict": "forbidden",
    "status": 403,
    "response": {"status": 403, "headers": {"X-Why": "no"}, "body": "no"},
}


class Imposter:
    """Answers everything alike, and keeps what it was asked."""

    def __init__(self, body: object, status: int, headers: dict[str, str]) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self._answer = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._status, self._headers = status, headers

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.headers), json.loads(await request.read())))
        fields = {"Content-Type": "application/json", **self._headers}
        return web.Response(status=self._status, body=self._answer, headers=fields)


@asynccontextmanager
async def imposter(body: object, status: int = 200, **headers: str) -> AsyncIterator[Imposter]:
    """One that answers with these bytes, or this value as JSON."""
    made = Imposter(body, status, {k.replace("_", "-"): v for k, v in headers.items()})
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.1)
    async with _running(runner) as made.url:
        yield made


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The URL of an application."""
    async with _running(web.AppRunner(app, shutdown_timeout=0.1)) as url:
        yield url


@asynccontextmanager
async def _running(runner: web.BaseRunner[Any]) -> AsyncIterator[str]:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """The URL of a server that does with each connection what `talk` does."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except asyncio.CancelledError:  # the end of the test
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read, and say nothing."""
    await reader.read(1)
    await asyncio.sleep(HANGING)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer byte by byte, none of them late."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    )
    for _ in range(900):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a question and go."""
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
