"""Floods a real PDP with tokens of unknown keys while its JWKS endpoint is slow: tokens.py."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from statistics import median

import jwt
from aiohttp import web
from asker import Asker, forward, milliseconds, steadily, until_open
from policies_made import PAGES, issuer, layer, write_files
from processes import free_port, pdp_over
from reporting import percentile
from tokens_made import KEYS, claims, published, sign

JWKS_SECONDS = 3.0
GOOD_PER_SECOND = 200
BAD_PER_SECOND = 250


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


def write_policy(directory: Path, jwks_port: int) -> None:
    """A policy that lets any subject read."""
    keys = f'jwks_url = "http://127.0.0.1:{jwks_port}/jwks.json"\njwks_refresh_seconds = 1'
    files = {"pages.conf": PAGES, "pages.csv": "p, /invoices/:id, GET\n"}
    write_files(directory, {"pdp.toml": issuer("ES256", keys) + layer("pages"), **files})


def impostor() -> str:
    """A token by a known key, by its own account; refused at once."""
    head, _, signature = sign("ES256").rpartition(".")
    return f"{head}.{signature[2:]}AA"


def stranger() -> str:
    """A token as it should be, by a key that nobody has published."""
    kid = secrets.token_urlsafe(32)
    return jwt.encode(claims(), KEYS["ES256"], "ES256", {"kid": kid})


asking = partial(forward, "/invoices/7")
PHASES: dict[str, Callable[[], str] | None] = {
    "quiet": None,
    "bad signatures": impostor,
    "unknown keys": stranger,
}


async def phase(
    good: Asker, bad: Asker, seconds: float, make: Callable[[], str] | None
) -> list[float]:
    """Milliseconds of good answers, while bad tokens of one sort arrive, or none."""
    known = [asking(sign("ES256"))] * int(GOOD_PER_SECOND * seconds)
    tokens = [asking(make()) for _ in range(int(BAD_PER_SECOND * seconds))] if make else []
    answers, refusals = await asyncio.gather(
        steadily(good, known, GOOD_PER_SECOND), steadily(bad, tokens, BAD_PER_SECOND)
    )
    milliseconds(refusals, 401)
    return milliseconds(answers, 200)


def told(found: dict[str, list[list[float]]], asked: int, seconds: float) -> str:
    """A line for each phase: over all of them, and beside the quiet before it."""
    rounds, lines = len(found["quiet"]), []
    for name, phases in found.items():
        taken = [one for phase in phases for one in phase]
        pairs = zip(found["quiet"], phases, strict=True)
        added = median(percentile(high, 99) - percentile(low, 99) for low, high in pairs)
        figures = (percentile(taken, 50), percentile(taken, 99), added)
        lines.append("{}: p50 {:.2f} ms, p99 {:.2f} ms, added {:.2f} ms".format(name, *figures))
    bad = rounds * int(BAD_PER_SECOND * seconds)
    return "\n".join([*lines, f"{bad} unknown keys, {asked} requests for keys"])


async def flood(rounds: int, seconds: float) -> str:
    """What good requests wait for in each phase, by turns; `added` is the median over rounds."""
    found: dict[str, list[list[float]]] = {name: [] for name in PHASES}
    async with slow_jwks() as (jwks_port, asked):
        with tempfile.TemporaryDirectory() as directory:
            write_policy(Path(directory), jwks_port)
            with pdp_over(Path(directory)) as server:
                good, bad = Asker(server.port), Asker(server.port)
                await until_open(good, asking(sign("ES256")))
                for _ in range(rounds):
                    for name, make in PHASES.items():
                        found[name].append(await phase(good, bad, seconds, make))
    return told(found, len(asked), seconds)
