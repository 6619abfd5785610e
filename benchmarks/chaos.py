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
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from pdp.runtime.load import load

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
ROWS = "".join(f"p, user{i}, /page/{i}, GET, allow\n" for i in range(50))
POLICIES = {
    "old": ROWS + "p, alice, /x, GET, allow\np, bob, /x, GET, deny\n",
    "new": ROWS + "p, bob, /x, GET, allow\np, alice, /x, GET, deny\n",
}
ALLOWED = {"old": "alice", "new": "bob"}
CLIENTS = 4
PAUSE_SECONDS = 0.003


@dataclass
class Report:
    """What was seen; `wrong` must stay empty."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def write_in_place(directory: Path, name: str) -> None:
    """Truncate and write, as `echo >` does."""
    (directory / "policy.csv").write_text(POLICIES[name])


def write_and_rename(directory: Path, name: str) -> None:
    """An atomic replacement."""
    (directory / ".tmp").write_text(POLICIES[name])
    (directory / ".tmp").replace(directory / "policy.csv")


def swap_data(directory: Path, name: str) -> None:
    """A ConfigMap's `..data`, as the kubelet swaps it."""
    link = directory / "..tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(f"..{name}")
    link.replace(directory / "..data")


def check_out(directory: Path, name: str) -> None:
    """Another branch of a git work tree."""
    subprocess.run(["git", "checkout", "-q", name], cwd=directory, check=True)  # noqa: S603, S607


def _plain(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "model.conf").write_text(MODEL)
    (directory / "policy.csv").write_text(POLICIES["old"])


def _configmap(directory: Path) -> None:
    for name, text in POLICIES.items():
        (directory / f"..{name}").mkdir(parents=True)
        (directory / f"..{name}" / "model.conf").write_text(MODEL)
        (directory / f"..{name}" / "policy.csv").write_text(text)
    (directory / "..data").symlink_to("..old")
    for file in ("model.conf", "policy.csv"):
        (directory / file).symlink_to(f"..data/{file}")


def _repository(directory: Path) -> None:
    _plain(directory)

    def git(*command: str) -> None:
        who = ["-c", "user.name=chaos", "-c", "user.email=chaos@example.com"]
        subprocess.run(["git", *who, *command], cwd=directory, check=True, capture_output=True)  # noqa: S603, S607

    git("init", "-q", "-b", "old")
    git("add", "-A")
    git("commit", "-qm", "old")
    git("checkout", "-qb", "new")
    (directory / "policy.csv").write_text(POLICIES["new"])
    git("commit", "-qam", "new")
    git("checkout", "-q", "old")


METHODS: dict[str, tuple[Callable[[Path], None], Callable[[Path, str], None]]] = {
    "in-place": (_plain, write_in_place),
    "rename": (_plain, write_and_rename),
    "configmap": (_configmap, swap_data),
    "git": (_repository, check_out),
}


def revisions(base: Path) -> dict[str, str]:
    """The name of the policy that each revision stands for."""
    found = {}
    for name, text in POLICIES.items():
        directory = base / f"revision-{name}"
        _plain(directory)
        (directory / "policy.csv").write_text(text)
        found[load(directory).snapshot.revision] = name
    return found


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(directory: Path, port: int, admin: int) -> subprocess.Popen[bytes]:
    """A real PDP over `directory`."""
    listen = ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    command = [sys.executable, "-m", "pdp", "serve", str(directory), *listen]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603


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


def tear(directory: Path, rng: random.Random) -> None:
    """A truncated file, at any byte that is not the end of a row, or an empty one."""
    text = POLICIES["old"]
    cut = rng.choice([0, *(i for i in range(1, len(text)) if text[i - 1] != "\n")])
    while cut and text[:cut].rstrip().endswith(("allow", "deny")):
        cut -= 1  # a whole last row is a policy of its own: that takes a manifest to tell
    (directory / "policy.csv").write_text(text[:cut])


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
    port, admin = free_port(), free_port()
    process = start(directory, port, admin)
    try:
        async with aiohttp.ClientSession() as session:
            await until_open(session, port)
            async with load_from(session, port, known, report):
                for index in range(swaps):
                    if method in ("in-place", "rename") and index % 5 == 0:
                        tear(directory, rng)
                        result = await reload(session, admin)
                        report.counts[f"torn-{result}"] += 1
                        if result == "activated":
                            report.wrong.append("a torn file went live")
                    edit(directory, ("new", "old")[index % 2])
                    report.counts[await reload(session, admin)] += 1
                    revision, _ = await ask(session, port, "alice")
                    if known.get(revision) != ("new", "old")[index % 2]:
                        report.wrong.append(f"swap {index} is not live")
    finally:
        process.kill()
        process.wait()
    report.counts["swaps"] = swaps
    return report


async def kill(base: Path, kills: int, known: dict[str, str], seed: int) -> Report:
    """kill -9 at any moment of start and reload; the port is never open without a good policy."""
    report, rng = Report(), random.Random(seed)  # noqa: S311
    directory = base / "kills"
    _plain(directory)
    for _ in range(kills):
        torn = rng.random() < 0.3
        if torn:
            tear(directory, rng)
        else:
            write_and_rename(directory, rng.choice(["old", "new"]))
        port, admin = free_port(), free_port()
        process = start(directory, port, admin)
        try:
            await _watch_start(
                report, process, port, known, torn=torn, rng=rng, directory=directory
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        report.counts["kills"] += 1
    return report


async def _watch_start(
    report: Report,
    process: subprocess.Popen[bytes],
    port: int,
    known: dict[str, str],
    *,
    torn: bool,
    rng: random.Random,
    directory: Path,
) -> None:
    """Ask from the first moment on, edit meanwhile, and leave at a random one."""
    leave = time.monotonic() + (15 if torn else rng.uniform(0.1, 2.5))
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < leave and process.poll() is None:
            try:
                answer = await ask(session, port, "alice")
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.005)
                continue
            report.counts["answers-after-start"] += 1
            judge(report, known, "alice", answer)
            if torn:
                report.wrong.append("the port was open on a torn policy")
            write_in_place(directory, rng.choice(["old", "new"]))
    if torn and process.poll() != 3:
        report.wrong.append(f"a torn policy at start: exit {process.poll()}, not 3")


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
        print(f"{name:10} {counts}, wrong {len(report.wrong)}")  # noqa: T201
        for line in report.wrong[:5]:
            print(f"           {line}")  # noqa: T201
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
    print(f"seed {given.seed}, {time.monotonic() - began:.0f} s")  # noqa: T201
    sys.exit(0 if good else 1)
