"""What replacing a large policy adds to the p99 of a steady load, for service.py."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

import uvloop
from processes import on_core, stolen
from service_report import Results, Round
from service_servers import CORES, PINNED
from soak_load import Edits, Load, meanwhile, reloads
from soak_made import make_directory, requests, server

PARTS = {"half": 0.5, "a quarter": 0.25}  # of the rate at full speed
SIZES = {10_000: ("half",), 100_000: ("half", "a quarter")}
SHORT_SIZES = {500: ("half",)}
ROUNDS = 3
SECONDS = 25.0  # quiet, then busy: a build that rests for others ends within
EDIT_SECONDS = 2.0
LOOK_SECONDS = 1.0
IDLE = 0.05  # of a core: a build that had begun has ended
SETTLE_SECONDS = 30.0
CALIBRATION_SECONDS = 4.0
TOKENS = 2_000  # all of them are remembered


class Steady:
    """One PDP on the first core, asked at a part of the rate that it can take."""

    def __init__(self, base: Path, count: int, *, short: bool) -> None:
        base.mkdir()
        self._directory, self._place = base / "policies", str(base / "pdp")
        self._directory.mkdir()
        self._scale = 0.2 if short else 1.0
        self._rounds = 1 if short else ROUNDS
        key, self._known = make_directory(self._directory, count)
        self._asked = requests(key, TOKENS)
        self._edits = Edits(self._directory, count)

    async def rounds(self, parts: tuple[str, ...]) -> dict[str, list[Round]]:
        """Quiet and busy in turns, so that what else the machine does falls on both."""
        found: dict[str, list[Round]] = {part: [] for part in parts}
        with server(self._directory, self._place, before=PINNED) as process:
            await self._load(CALIBRATION_SECONDS / 4)
            for part in parts * self._rounds:
                found[part].append(await self._round(process.pid, PARTS[part]))
        return found

    async def _round(self, pid: int, part: float) -> Round:
        await settled(pid)
        rate = part * await self._full_rate()
        quiet = await self._load(SECONDS, rate)
        before = await self._activated()
        stolen_before = stolen()
        async with meanwhile(self._replace()):
            busy = await self._load(SECONDS, rate)
        share = (stolen() - stolen_before) / (SECONDS * self._scale)
        await settled(pid)
        after = await self._activated()
        if wrong := quiet.seen.wrong + busy.seen.wrong:
            raise SystemExit(f"wrong answers: {dict(wrong)}")
        late = [(one.seen.late(500), one.seen.late(990)) for one in (quiet, busy)]
        return Round(rate, after - before, *late, share)

    async def _full_rate(self) -> float:
        """Requests per second; for each round anew, since other work may slow the machine down."""
        full = await self._load(CALIBRATION_SECONDS)
        return len(full.seen.milliseconds) / (CALIBRATION_SECONDS * self._scale)

    async def _replace(self) -> None:
        """Edit the policy, and again once that is live, but not too often."""
        while True:
            before = await self._activated()
            self._edits.swap()
            await asyncio.sleep(EDIT_SECONDS * self._scale)
            while await self._activated() == before:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(LOOK_SECONDS * self._scale)

    async def _activated(self) -> int:
        return (await reloads(self._place))["activated"]

    async def _load(self, seconds: float, rate: float | None = None) -> Load:
        load = Load(self._place, self._asked, self._known)
        await load.run(seconds * self._scale, rate)
        return load


async def settled(pid: int) -> None:
    """Wait until the process has next to nothing to do."""
    end, step = time.monotonic() + SETTLE_SECONDS, 0.5
    while time.monotonic() < end:
        before = on_core(pid)
        await asyncio.sleep(step)
        if on_core(pid) - before < IDLE * step:
            return
    raise SystemExit("the PDP does not come to rest")


def measure_reloads(results: Results, place: Path, *, short: bool) -> None:
    """Every size of policy, with a PDP of its own."""
    place.mkdir()
    gc.freeze()  # what is here stays, and this program shall not pause for it
    os.sched_setaffinity(0, CORES[-1:])
    for count, parts in (SHORT_SIZES if short else SIZES).items():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            steady = Steady(place / f"{count}", count, short=short)
            found = runner.run(steady.rounds(parts))
        for part, rounds in found.items():
            results.reloads[f"{count:,}", part] = rounds
