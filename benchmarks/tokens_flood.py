"""Floods a real PDP with tokens of unknown keys while its JWKS endpoint is slow: tokens.py."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median

import jwt
from aiohttp import web
from chaos import free_port, start
from tokens_made import ISSUER, KEYS, claims, published, sign

JWKS_SECONDS = 3.0
GOOD_PER_SECOND = 200
BAD_PER_SECOND = 250
POLICY = """[authentication]
[[authentication.issuers]]
issuer = "{issuer}"
audiences = ["api"]
algorithms = ["ES256"]
jwks_url = "http://127.0.0.1:{port}/jwks.json"
jwks_refresh_seconds = 1
[[layers]]
name = "pages"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
"""
MODEL = """[request_definition]
r = obj, act
[policy_definition]
p = obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = keyMatch2(r.obj, p.obj) && r.act == p.act
"""


@contextlib.asynccontextmanager
async def slow_jwks() -> AsyncIterator[tuple[int, list[float]]]:
    """An endpoint that answers the first time, and then takes seconds; its port, and when asked."""
    asked: list[float] = []

    async def answer(_: web.BaseRequest) -> web.Response:
        asked.append(time.monotonic())
        await asyncio.sleep(JWKS_SECONDS if len(asked) > 1 else 0)
        return web.Response(body=published("ES256"))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()
    try:
        yield int(site.name.rpartition(":")[2]), asked
    finally:
        await runner.cleanup()


def serve(directory: Path, jwks_port: int) -> tuple[subprocess.Popen[bytes], int]:
    """A real PDP over a policy that lets any subject read, and its port."""
    (directory / "pdp.toml").write_text(POLICY.format(issuer=ISSUER, port=jwks_port))
    (directory / "model.conf").write_text(MODEL)
    (directory / "policy.csv").write_text("p, /invoices/:id, GET\n")
    port = free_port()
    return start(directory, port, free_port()), port


class Asker:
    """Asks as a gateway does, over connections that are kept; as little work as can be."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, token: str) -> tuple[int, float]:
        """The status, and after how many milliseconds it came."""
        request = (
            "GET /authz/forward HTTP/1.1\r\nHost: pdp\r\nX-Forwarded-Method: GET\r\n"
            "X-Forwarded-Uri: /invoices/7\r\nX-Forwarded-Host: api\r\nX-Forwarded-Proto: https\r\n"
            f"X-Forwarded-For: 192.0.2.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        if not self._idle:
            self._idle.append(await asyncio.open_connection("127.0.0.1", self._port))
        reader, writer = self._idle.pop()
        began = time.perf_counter()
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        taken = (time.perf_counter() - began) * 1_000
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        self._idle.append((reader, writer))
        return int(head[9:12]), taken


async def steadily(asker: Asker, tokens: list[str], per_second: int) -> list[tuple[int, float]]:
    """The answers to questions that are put at a steady rate, whatever becomes of the others."""
    began, tasks = time.perf_counter(), []
    for number, token in enumerate(tokens):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(asker.ask(token)))
    return list(await asyncio.gather(*tasks))


def impostor() -> str:
    """A token by a known key, by its own account; refused at once."""
    head, _, signature = sign("ES256").rpartition(".")
    return f"{head}.{signature[2:]}AA"


def stranger() -> str:
    """A token as it should be, by a key that nobody has published."""
    kid = secrets.token_urlsafe(32)
    return jwt.encode(claims(), KEYS["ES256"], "ES256", {"kid": kid})


PHASES: dict[str, Callable[[], str] | None] = {
    "quiet": None,
    "bad signatures": impostor,
    "unknown keys": stranger,
}


async def phase(
    good: Asker, bad: Asker, seconds: float, make: Callable[[], str] | None
) -> list[float]:
    """Milliseconds of good answers, while bad tokens of one sort arrive, or none."""
    known = [sign("ES256")] * int(GOOD_PER_SECOND * seconds)
    tokens = [make() for _ in range(int(BAD_PER_SECOND * seconds))] if make else []
    answers, refusals = await asyncio.gather(
        steadily(good, known, GOOD_PER_SECOND), steadily(bad, tokens, BAD_PER_SECOND)
    )
    statuses = {status for status, _ in answers}, {status for status, _ in refusals}
    if statuses != ({200}, {401} if tokens else set()):
        raise SystemExit(f"wrong answer: {statuses}")
    return [taken for _, taken in answers]


async def until_open(asker: Asker, seconds: float = 15) -> None:
    """Wait until the PDP answers, with its keys loaded."""
    deadline, token = time.monotonic() + seconds, sign("ES256")
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            status, _ = await asker.ask(token)
            if status == 200:
                return
        if time.monotonic() > deadline:
            raise SystemExit("the PDP does not answer")
        await asyncio.sleep(0.05)


def share(taken: list[float], below: float) -> float:
    """The time within which such a share of the answers came."""
    ordered = sorted(taken)
    return ordered[int((len(ordered) - 1) * below)]


def told(found: dict[str, list[list[float]]], asked: int, seconds: float) -> str:
    """A line for each phase: over all of them, and beside the quiet before it."""
    rounds, lines = len(found["quiet"]), []
    for name, phases in found.items():
        taken = [one for phase in phases for one in phase]
        pairs = zip(found["quiet"], phases, strict=True)
        added = median(share(high, 0.99) - share(low, 0.99) for low, high in pairs)
        figures = (share(taken, 0.5), share(taken, 0.99), added)
        lines.append("{}: p50 {:.2f} ms, p99 {:.2f} ms, added {:.2f} ms".format(name, *figures))
    bad = rounds * int(BAD_PER_SECOND * seconds)
    return "\n".join([*lines, f"{bad} unknown keys, {asked} requests for keys"])


async def flood(rounds: int, seconds: float) -> str:
    """What good requests wait for in each phase, by turns; `added` is the median over rounds."""
    found: dict[str, list[list[float]]] = {name: [] for name in PHASES}
    async with slow_jwks() as (jwks_port, asked):
        with tempfile.TemporaryDirectory() as directory:
            process, port = serve(Path(directory), jwks_port)
            try:
                good, bad = Asker(port), Asker(port)
                await until_open(good)
                for _ in range(rounds):
                    for name, make in PHASES.items():
                        found[name].append(await phase(good, bad, seconds, make))
            finally:
                process.kill()
                process.wait()
    return told(found, len(asked), seconds)
