"""Half of what a PDP can take, for a long time, with reloads: errors, lateness and memory.

    python benchmarks/soak.py --minutes 30
    python benchmarks/soak.py --rows 1000000 --minutes 1     # what a large policy needs

First a few seconds at full speed say what half is. Then questions with tokens, more of them than
are remembered, come at that rate, while the policy is swapped every few seconds, one time in four
for one that has to be refused. Old and new policy disagree about everybody, so that each answer
must be what the revision that it names says. Ends by itself; exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from soak_made import ALLOWED, make_directory, requests, rows, server

CONNECTIONS = 16
CALIBRATION_SECONDS = 5.0
SWAP_SECONDS = 5.0
SAMPLE_SECONDS = 1.0
REFUSED_EVERY = 4
MOST_GROWTH = (0.05, 16.0)  # of the memory, from the second quarter to the last; or so many MB


@dataclass
class Seen:
    """What was seen; `wrong` must stay empty."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB, a sample each second


def megabytes(pid: int, name: str = "VmRSS") -> float:
    """The memory of a process now, or with `VmHWM` the most it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


async def ask(reader: asyncio.StreamReader) -> dict[str, object]:
    """The next answer's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    line = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    found: dict[str, object] = json.loads(await reader.readexactly(int(line.split(b":")[1])))
    return found


class Load:
    """Connections that ask, all at full speed or all together at a rate."""

    def __init__(self, place: str, asked: list[tuple[int, bytes]], known: dict[str, str]) -> None:
        self._place, self._known = place, known
        self._asked = itertools.cycle(asked)
        self.seen = Seen()

    async def run(self, seconds: float, rate: float | None = None) -> None:
        """Ask for so long; at `rate` questions a second, if given."""
        pause = CONNECTIONS / rate if rate else 0.0
        end = time.monotonic() + seconds
        await asyncio.gather(
            *(self._client(end, pause, pause * i / CONNECTIONS) for i in range(CONNECTIONS))
        )

    async def _client(self, end: float, pause: float, first: float) -> None:
        due = time.monotonic() + first
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_unix_connection(self._place)
                try:
                    while (now := time.monotonic()) < end:
                        await asyncio.sleep(max(0.0, due - now))
                        await self._one(reader, writer, due if pause else time.monotonic())
                        due += pause
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.seen.wrong[f"connection: {type(error).__name__}"] += 1
                await asyncio.sleep(0.1)

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, due: float
    ) -> None:
        user, asked = next(self._asked)
        writer.write(asked)
        answer = await ask(reader)
        # From when it was due: a server that stalls is charged for those that wait behind.
        self.seen.milliseconds.append((time.monotonic() - due) * 1000)
        name = self._known.get(str(answer.get("policy_revision")))
        expected = 200 if name and user % 2 == ALLOWED[name] else 403
        self.seen.counts[f"{name} {answer.get('status')}"] += 1
        if name is None or answer.get("status") != expected:
            self.seen.wrong[f"{answer.get('status')} by {name or 'an unknown revision'}"] += 1


async def swap(directory: Path, count: int, seen: Seen) -> None:
    """Put another policy in place, over and over, at times one that must be refused."""
    texts = {name: rows(name, count) for name in ALLOWED}
    names = itertools.cycle(("new", "old"))
    for number in itertools.count(1):
        await asyncio.sleep(SWAP_SECONDS)
        bad = number % REFUSED_EVERY == 0
        text = "p, even, /x\n" if bad else texts[next(names)]
        (directory / ".next").write_text(text)
        (directory / ".next").replace(directory / "rbac.csv")
        seen.counts["edits"] += 1


async def weigh(pid: int, seen: Seen) -> None:
    """Note the memory, once a second."""
    while True:
        seen.memory.append(megabytes(pid))
        await asyncio.sleep(SAMPLE_SECONDS)


@contextlib.asynccontextmanager
async def meanwhile(*work: object) -> AsyncIterator[None]:
    """Have these go on within."""
    tasks = [asyncio.ensure_future(task) for task in work]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reloads(place: str) -> dict[str, int]:
    """How attempts to reload ended, by the PDP's own count."""
    reader, writer = await asyncio.open_unix_connection(place + ".admin")
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    lines = (await reader.read()).decode().splitlines()
    writer.close()
    found = (line for line in lines if line.startswith("pdp_policy_reloads_total{"))
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in found}


def growth(memory: list[float]) -> tuple[float, float]:
    """The median of the second quarter, and by how much the last quarter's is more."""
    quarter = max(1, len(memory) // 4)
    before, after = (
        statistics.median(p) for p in (memory[quarter : 2 * quarter], memory[-quarter:])
    )
    return before, after - before


def report(seen: Seen, rate: float, pid: int, seconds: float) -> bool:
    """Tell what was seen; whether all was well."""
    cuts = statistics.quantiles(seen.milliseconds, n=1000)
    before, more = growth(seen.memory)
    answered = len(seen.milliseconds)
    tell(
        f"asked for {seconds:.0f} s at {rate:.0f}/s: {answered} answers, {answered / seconds:.0f}/s"
    )
    tell("late: " + ", ".join(f"p{q / 10:g} {cuts[q - 1]:.1f} ms" for q in (500, 990, 999)))
    tell(f"answers by revision and status: {dict(sorted(seen.counts.items()))}")
    tell(f"wrong: {sum(seen.wrong.values())} {dict(seen.wrong) or ''}")
    tell(f"memory: {before:.1f} MB, {more:+.1f} MB since; at most {megabytes(pid, 'VmHWM'):.1f} MB")
    grows = more > max(MOST_GROWTH[0] * before, MOST_GROWTH[1])
    if grows:
        tell("the memory grows")
    return not (seen.wrong or grows)


def tell(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def soak(given: argparse.Namespace, base: Path) -> bool:
    """Calibrate, soak, tell."""
    directory, place = base / "policies", str(base / "pdp")
    directory.mkdir()
    key, known = make_directory(directory, given.rows)
    asked = requests(key, given.tokens)
    with server(directory, place) as process:
        tell(f"{given.rows} rows: {megabytes(process.pid):.1f} MB after the start")
        full = Load(place, asked, known)
        quick = min(CALIBRATION_SECONDS, given.minutes * 20)
        await full.run(quick)
        rate = given.rate or len(full.seen.milliseconds) / quick / 2
        load_ = Load(place, asked, known)
        work = (swap(directory, given.rows, load_.seen), weigh(process.pid, load_.seen))
        async with meanwhile(*work):
            await load_.run(given.minutes * 60, rate)
        well = report(load_.seen, rate, process.pid, given.minutes * 60)
        tell(f"reloads: {await reloads(place)}")
        return well and not full.seen.wrong and process.poll() is None


def main() -> int:
    """Soak and tell; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--rate", type=float, help="questions a second, instead of half the most")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if asyncio.run(soak(given, Path(name))) else 1


if __name__ == "__main__":
    sys.exit(main())
