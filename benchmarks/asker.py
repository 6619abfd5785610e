"""Asks a PDP as a gateway does, at a steady rate, over connections that are kept."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Sequence

Answer = tuple[int, float]  # the status, and after how many milliseconds it came


def forward(path: str, token: str | None = None) -> bytes:
    """What a gateway asks on behalf of a client that wants this path."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        "GET /authz/forward HTTP/1.1\r\nHost: pdp\r\nX-Forwarded-Method: GET\r\n"
        f"X-Forwarded-Uri: {path}\r\nX-Forwarded-Host: api\r\nX-Forwarded-Proto: https\r\n"
        f"X-Forwarded-For: 192.0.2.1\r\n{bearer}\r\n"
    ).encode()


class Asker:
    """Connections to one PDP; another one where none is idle. As little work as can be."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port, self._tls = port, tls
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Answer:
        """The answer to one request."""
        if not self._idle:
            place = "127.0.0.1", self._port
            self._idle.append(await asyncio.open_connection(*place, ssl=self._tls))
        reader, writer = self._idle.pop()
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        taken = (time.perf_counter() - began) * 1_000
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        self._idle.append((reader, writer))
        return int(head[9:12]), taken


async def steadily(asker: Asker, requests: Sequence[bytes], per_second: int) -> list[Answer]:
    """The answers to questions that are put at a steady rate, whatever becomes of the others."""
    began, tasks = time.perf_counter(), []
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(asker.ask(request)))
    return list(await asyncio.gather(*tasks))


def milliseconds(answers: Sequence[Answer], status: int) -> list[float]:
    """When they came; SystemExit if one has another status."""
    if wrong := {found for found, _ in answers} - {status}:
        raise SystemExit(f"wrong answer: {wrong}, not {status}")
    return [taken for _, taken in answers]


async def until_open(asker: Asker, request: bytes, seconds: float = 15) -> None:
    """Wait until the PDP, with everything loaded, allows this; SystemExit if it never does."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if (await asker.ask(request))[0] == 200:
                return
        if time.monotonic() > deadline:
            raise SystemExit("the PDP does not answer")
        await asyncio.sleep(0.05)
