"""Questions that come at a rate, whatever becomes of the answers, and what is seen of these."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from processes import family, megabytes
from soak_made import ALLOWED, rows

CONNECTIONS = 16
ANSWER_SECONDS = 30.0  # a run ends this long after its time, whatever does not answer
REFUSED_EVERY = 4  # edits
SAMPLE_SECONDS = 1.0


@dataclass
class Seen:
    """What was seen; `wrong` must stay empty."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB, a sample each second

    def late(self, thousandth: int) -> float:
        """How many milliseconds late that many of a thousand answers were, at most."""
        return statistics.quantiles(self.milliseconds, n=1000)[thousandth - 1]


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
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS):
                await asyncio.gather(
                    *(self._client(end, pause, pause * i / CONNECTIONS) for i in range(CONNECTIONS))
                )
        except TimeoutError:
            self.seen.wrong["no answer"] += 1

    async def _client(self, end: float, pause: float, first: float) -> None:
        due = time.monotonic() + first
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_unix_connection(self._place)
                try:
                    while (now := time.monotonic()) < end:
                        # A server that stalls is charged for those that wait behind; that this
                        # program wakes up late is its own affair.
                        since = due if pause else now
                        if now < due:
                            await asyncio.sleep(due - now)
                            since = time.monotonic()
                        await self._one(reader, writer, since)
                        due += pause
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.seen.wrong[f"connection: {type(error).__name__}"] += 1
                await asyncio.sleep(0.1)

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, since: float
    ) -> None:
        user, asked = next(self._asked)
        writer.write(asked)
        answer = await _read(reader)
        self.seen.milliseconds.append((time.monotonic() - since) * 1000)
        name = self._known.get(str(answer.get("policy_revision")))
        expected = 200 if name and user % 2 == ALLOWED[name] else 403
        self.seen.counts[f"{name} {answer.get('status')}"] += 1
        if name is None or answer.get("status") != expected:
            self.seen.wrong[f"{answer.get('status')} by {name or 'an unknown revision'}"] += 1


async def _read(reader: asyncio.StreamReader) -> dict[str, object]:
    """The next answer's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    line = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    found: dict[str, object] = json.loads(await reader.readexactly(int(line.split(b":")[1])))
    return found


class Edits:
    """The policies that take each other's place in a directory; making them costs no time later."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._texts = directory.with_name(f"{directory.name}.texts")
        self._texts.mkdir()
        for name in ALLOWED:
            (self._texts / name).write_text(rows(name, count))
        (self._texts / "bad").write_text("p, even, /x\n")
        self._names = itertools.cycle(("new", "old"))  # `make_directory` left the old one

    def swap(self, *, bad: bool = False) -> None:
        """Have the other policy in place, at once; or one that must be refused."""
        name = "bad" if bad else next(self._names)
        following = self._directory / ".next"
        following.hardlink_to(self._texts / name)
        following.replace(self._directory / "rbac.csv")

    async def go_on(self, every: float, seen: Seen, refused_every: int = REFUSED_EVERY) -> None:
        """Put another policy in place, over and over, at times one that must be refused."""
        for number in itertools.count(1):
            await asyncio.sleep(every)
            self.swap(bad=bool(refused_every) and number % refused_every == 0)
            seen.counts["edits"] += 1


async def weigh(pid: int, seen: Seen) -> None:
    """Note the memory of a process and its children, once a second, until there is none."""
    while found := sum(megabytes(one) for one in family(pid)):
        seen.memory.append(found)
        await asyncio.sleep(SAMPLE_SECONDS)
    seen.wrong["the PDP ended"] += 1


@contextlib.asynccontextmanager
async def meanwhile(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Have these go on within; what fails in one of them fails here."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for one in ended:
        if isinstance(one, Exception):
            raise one


async def reloads(place: str) -> Counter[str]:
    """How attempts to reload ended, by the PDP's own count."""
    reader, writer = await asyncio.open_unix_connection(place + ".admin")
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    lines = (await reader.read()).decode().splitlines()
    writer.close()
    found = (line for line in lines if line.startswith("pdp_policy_reloads_total{"))
    return Counter({line.split('"')[1]: int(float(line.split()[-1])) for line in found})
