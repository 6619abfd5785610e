"""Loads and swaps a large policy: how long, how much memory, and how long the event loop waits.

    python benchmarks/loading.py --rows 100000      # so many `p` rows, and as many `g` rows

Lateness is that of a task that sleeps for a millisecond, over and over, on the loop that serves;
`own` is the worst of it while this process computed, which other processes have no part in.
Ends by itself. `--short` takes few rows: its counts of work are exact, its times mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import uvloop
from policies_made import ALLOW, BY_PATH, NO_DENY, conf
from reporting import percentile, tell

from pdp.cli.timing import resident
from pdp.policy.checks import check_text
from pdp.policy.settings import CASBIN_PAIR
from pdp.policy.shape import read_shape
from pdp.policy.text import read_model, read_policy
from pdp.runtime.garbage import only_young
from pdp.runtime.load import load
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service

T = TypeVar("T")
MODEL = conf(BY_PATH, policy="sub, obj, act, eft", effect=f"{ALLOW} && {NO_DENY}", roles="_, _")
PAUSE_SECONDS = 0.001
SWAPS = 3
SHORT_ROWS = 500
WORK_ROWS = (200, 2_000)
SWITCH_SECONDS = 0.001  # as `pdp serve` sets it


def write_policy(directory: Path, rows: int) -> Path:
    """A policy of so many rules and as many members: ten for each role, roles below roles."""
    roles = max(1, rows // 10)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CASBIN_PAIR.model).write_text(MODEL)
    with (directory / CASBIN_PAIR.policy).open("w") as file:
        for i in range(rows):
            file.write(f"p, role{i % roles}, /org{i}/:id, ^(GET|HEAD)$, allow\n")
        for i in range(rows - roles // 10):
            file.write(f"g, user{i}, role{i % roles}\n")
        for i in range(roles // 10):
            file.write(f"g, role{i}, role{roles - 1 - i}\n")
    return directory


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of computing, however busy the machine is, and what came of it."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def stages(directory: Path) -> dict[str, float]:
    """Seconds of each stage of a load; `rest` are role graphs, matchers and indexes."""
    with only_young():
        return _stages(directory)


def _stages(directory: Path) -> dict[str, float]:
    model = read_model((directory / CASBIN_PAIR.model).read_text(), CASBIN_PAIR.model)
    read, data = timed((directory / CASBIN_PAIR.policy).read_bytes)
    rows, (policy, _) = timed(lambda: read_policy(data, CASBIN_PAIR.policy))
    text = read_shape(CASBIN_PAIR, model, policy)
    checks, problems = timed(lambda: check_text(text))
    if problems:
        raise SystemExit(f"the policy of this benchmark is wrong: {problems[0]}")
    whole, _ = timed(lambda: load(directory))
    return {
        "read": read,
        "rows": rows,
        "checks": checks,
        "rest": whole - read - rows - checks,
        "whole": whole,
    }


def memory(directory: Path) -> int:
    """The bytes that a loaded policy adds to a process of its own."""
    before = resident() or 0
    loaded = load(directory)
    added = (resident() or 0) - before
    del loaded
    return added


def in_its_own_process(directory: Path) -> int:
    """`memory`, where nothing else was loaded before."""
    command = [sys.executable, __file__, "--memory", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)  # noqa: S603
    return int(done.stdout)


class Lateness:
    """How late a task on the loop wakes up, in milliseconds, for each phase."""

    def __init__(self) -> None:
        self.phase = "idle"
        self.found: dict[str, list[float]] = {}
        self.own: dict[str, float] = {}

    async def watch(self) -> None:
        """Sleep and look at the clock until cancelled."""
        while True:
            phase, started, computed = self.phase, time.perf_counter(), time.process_time()
            await asyncio.sleep(PAUSE_SECONDS)
            late = time.perf_counter() - started - PAUSE_SECONDS
            own = min(late, time.process_time() - computed)
            self.found.setdefault(phase, []).append(late * 1000)
            self.own[phase] = max(own * 1000, self.own.get(phase, 0.0))

    def summary(self) -> dict[str, dict[str, float]]:
        """Median, 99th percentile and the worst of each phase, and the worst of our own making."""
        return {
            phase: {
                "median": percentile(late, 50),
                "p99": percentile(late, 99),
                "worst": max(late),
                "own": self.own[phase],
            }
            for phase, late in self.found.items()
        }


async def stalls(directory: Path) -> dict[str, dict[str, float]]:
    """The lateness while idle, while a reload builds, and while the old policy goes."""
    sys.setswitchinterval(SWITCH_SECONDS)
    service = Service(load(directory))
    reloader = Reloader(service, lambda _: [])
    reloader.start()
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    await asyncio.sleep(0.5)
    for swap in range(SWAPS):
        with (directory / CASBIN_PAIR.policy).open("a") as file:
            file.write(f"g, late{swap}, role0\n")
        lateness.phase = "loading"
        attempt = await reloader.reload()
        if attempt.result == "rejected":
            raise SystemExit(f"the policy of this benchmark is wrong: {attempt.problems[0]}")
        lateness.phase = "swapping"
        await asyncio.sleep(1)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await reloader.stop()
    return lateness.summary()


def work(directory: Path) -> int:
    """The byte codes that one load executes: the same on every machine, however busy."""
    count = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return step

    load(directory)  # what is compiled or cached once is not counted
    sys.settrace(step)
    try:
        load(directory)
    finally:
        sys.settrace(None)
    return count


def main() -> None:
    """Print what was found, a line for each stage; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ROWS} rows")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.memory:
        tell(str(memory(given.memory)))
        return
    rows = SHORT_ROWS if given.short else given.rows
    with tempfile.TemporaryDirectory() as base:
        directory = write_policy(Path(base) / "large", rows)
        found = {
            "rows": 2 * rows,
            "seconds": stages(directory),
            "bytes_per_row": in_its_own_process(directory) // (2 * rows),
            "late_ms": uvloop.run(stalls(directory)),
            "steps_per_row": {
                2 * n: work(write_policy(Path(base) / str(n), n)) // (2 * n) for n in WORK_ROWS
            },
        }
    tell(json.dumps(found) if given.json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    seconds = ", ".join(f"{name} {took:.2f} s" for name, took in found["seconds"].items())
    late = [
        f"late while {phase}: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in summary.items())
        for phase, summary in found["late_ms"].items()
    ]
    steps = ", ".join(f"{count} at {rows} rows" for rows, count in found["steps_per_row"].items())
    return [
        f"{found['rows']} rows: {seconds}",
        f"memory: {found['bytes_per_row']} bytes a row",
        *late,
        f"byte codes a row: {steps}",
    ]


if __name__ == "__main__":
    main()
