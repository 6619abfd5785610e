"""Swaps the policy of a real PDP under load, tears files, kills the process: nothing may be wrong.

    python benchmarks/chaos.py --swaps 10000 --kills 200

Old and new policy disagree on every question, so each answer must be what the revision that it
names says. Ends by itself; exits with 1 if anything was wrong, mixed, or open too early.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from chaos_made import (
    ALLOWED,
    METHODS,
    plain,
    revisions,
    tear,
    write_and_rename,
    write_in_place,
)
from processes import Pdp, pdp_over
from reporting import tell

CLIENTS = 4
PAUSE_SECONDS = 0.003


@dataclass
class Report:
    """What was seen; `wrong` must stay empty."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def ask(session: aiohttp.ClientSession, port: int, subject: str) -> tuple[str, int]:
    """The revision that an answer names, and its status."""
    body = {"subject": subject, "action": "GET", "resource": "/x"}
    async with session.post(f"http://127.0.0.1:{port}/v1/decision", json=body) as response:
        answer = json.loads(await response.read())
        return answer["policy_revision"], answer["status"]


async def until_open(session: aiohttp.ClientSession, port: int, seconds: float = 15) -> None:
    """Wait until the port answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await ask(session, port, "alice")
        except aiohttp.ClientError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)
        else:
            return


def judge(report: Report, known: dict[str, str], subject: str, answer: tuple[str, int]) -> None:
    """Note an answer, and whether it is what its revision says."""
    revision, status = answer
    name = known.get(revision)
    report.counts["answers"] += 1
    if name is None or status != (200 if ALLOWED[name] == subject else 403):
        report.wrong.append(f"{subject}: {status} by {name or 'an unknown revision'}")


@contextlib.asynccontextmanager
async def load_from(
    session: aiohttp.ClientSession, port: int, known: dict[str, str], report: Report
) -> AsyncIterator[None]:
    """Clients that ask all the while, and check every answer."""

    async def client(subject: str) -> None:
        while True:
            judge(report, known, subject, await ask(session, port, subject))
            await asyncio.sleep(PAUSE_SECONDS)  # the machine has other things to do, too

    tasks = [asyncio.create_task(client(("alice", "bob")[i % 2])) for i in range(CLIENTS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                report.wrong.append(f"a client failed: {type(result).__name__}")


async def reload(session: aiohttp.ClientSession, admin: int) -> str:
    """Ask for a reload, and say what became of it."""
    async with session.post(f"http://127.0.0.1:{admin}/v1/reload") as response:
        return str(json.loads(await response.read())["result"])


async def swap(base: Path, method: str, swaps: int, known: dict[str, str], seed: int) -> Report:
    """Swap back and forth by one method under load, torn files in between where it can tear."""
    report, rng = Report(), random.Random(seed)  # noqa: S311 - chaos, not cryptography
    make, edit = METHODS[method]
    directory = base / method
    make(directory)
    with pdp_over(directory) as server:
        async with aiohttp.ClientSession() as session:
            await until_open(session, server.port)
            async with load_from(session, server.port, known, report):
                for index in range(swaps):
                    if method in ("in-place", "rename") and index % 5 == 0:
                        tear(directory, rng)
                        result = await reload(session, server.admin)
                        report.counts[f"torn-{result}"] += 1
                        if result == "activated":
                            report.wrong.append("a torn file went live")
                    edit(directory, ("new", "old")[index % 2])
                    report.counts[await reload(session, server.admin)] += 1
                    revision, _ = await ask(session, server.port, "alice")
                    if known.get(revision) != ("new", "old")[index % 2]:
                        report.wrong.append(f"swap {index} is not live")
    report.counts["swaps"] = swaps
    return report


async def kill(base: Path, kills: int, known: dict[str, str], seed: int) -> Report:
    """kill -9 at any moment of start and reload; the port is never open without a good policy."""
    report, rng = Report(), random.Random(seed)  # noqa: S311
    directory = base / "kills"
    plain(directory)
    for _ in range(kills):
        torn = rng.random() < 0.3
        if torn:
            tear(directory, rng)
        else:
            write_and_rename(directory, rng.choice(["old", "new"]))
        with pdp_over(directory) as server:
            await _watch_start(report, server, known, torn=torn, rng=rng, directory=directory)
        report.counts["kills"] += 1
    return report


async def _watch_start(
    report: Report,
    server: Pdp,
    known: dict[str, str],
    *,
    torn: bool,
    rng: random.Random,
    directory: Path,
) -> None:
    """Ask from the first moment on, edit meanwhile, and leave at a random one."""
    leave = time.monotonic() + (15 if torn else rng.uniform(0.1, 2.5))
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < leave and server.process.poll() is None:
            try:
                answer = await ask(session, server.port, "alice")
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.005)
                continue
            report.counts["answers-after-start"] += 1
            judge(report, known, "alice", answer)
            if torn:
                report.wrong.append("the port was open on a torn policy")
            write_in_place(directory, rng.choice(["old", "new"]))
    if torn and server.process.poll() != 3:
        report.wrong.append(f"a torn policy at start: exit {server.process.poll()}, not 3")


async def main(swaps: int, kills: int, seed: int, methods: list[str]) -> dict[str, Report]:
    """All methods, then the kills."""
    base = Path(tempfile.mkdtemp(prefix="pdp-chaos-"))
    try:
        known = revisions(base)
        reports = {name: await swap(base, name, swaps, known, seed) for name in methods}
        if kills:
            reports["kill -9"] = await kill(base, kills, known, seed)
        return reports
    finally:
        shutil.rmtree(base, ignore_errors=True)


def show(reports: dict[str, Report]) -> bool:
    """Print every report; whether all is well."""
    for name, report in reports.items():
        counts = ", ".join(f"{key} {value}" for key, value in sorted(report.counts.items()))
        tell(f"{name:10} {counts}, wrong {len(report.wrong)}")
        for line in report.wrong[:5]:
            tell(f"           {line}")
    return not any(report.wrong for report in reports.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=10_000, help="by each method")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--method", action="append", choices=list(METHODS))
    given = parser.parse_args()
    began = time.monotonic()
    found = asyncio.run(main(given.swaps, given.kills, given.seed, given.method or list(METHODS)))
    good = show(found)
    tell(f"seed {given.seed}, {time.monotonic() - began:.0f} s")
    sys.exit(0 if good else 1)
