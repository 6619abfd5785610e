"""What two workers cost beside one process: requests for each second of processor time, and memory.

    python benchmarks/workers.py        # about two minutes; --short in half a minute

Needs wrk, and two cores, which servers and wrk share: what is compared is not how many requests a
second there were, but how many for each second that a server's processes were on a core. Both
servers take turns in every round; told are medians. Memory is proportional (PSS): what processes
share counts once. Ends by itself; exits with 1 if an answer was wrong or the ratio is below 0.8.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service_made import scenarios, write_policy, write_script

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0
WORST = 0.8
ASKED = ("evaluation", "decision", "nginx")


@dataclass(frozen=True, slots=True)
class Server:
    """A PDP under way, alone or with workers."""

    name: str
    port: int
    admin: int
    pid: int

    def pids(self) -> list[int]:
        """Its processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def seconds(self) -> float:
        """How long they have been on a core by now."""
        return sum(map(_seconds, self.pids()))

    def memory(self) -> float:
        """Megabytes of all of them, what they share once."""
        return sum(_proportional(pid) for pid in self.pids()) / 1_024

    def get(self, path: str, *, post: bool = False) -> str:
        """What the admin listener answers."""
        url = f"http://127.0.0.1:{self.admin}{path}"
        asked = urllib.request.Request(url, method="POST" if post else "GET")
        with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310
            return str(answer.read().decode())


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(policies: Path, count: int) -> Iterator[Server]:
    """So many workers, once all of them decide; 1 is a process alone."""
    port, admin = free_port(), free_port()
    log = policies.parent / f"{port}"
    places = ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    command = [sys.executable, "-m", "pdp", "serve", str(policies), "--workers", str(count)]
    with log.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own
            [*command, *places, "--decision-log", str(log)], stderr=errors
        )
    name = "one process" if count == 1 else f"{count} workers"
    server = Server(name, port, admin, process.pid)
    try:
        end = time.monotonic() + START_SECONDS
        while log.with_suffix(".err").read_text().count('"serving"') < count:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name}: {log.with_suffix('.err').read_text()[-2_000:]}")
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def load(server: Server, script: Path, seconds: float, connections: int) -> tuple[float, float]:
    """Requests for each second on a core, and a second; SystemExit if an answer was wrong."""
    before = server.seconds()
    done = subprocess.run(  # noqa: S603 - our own
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"),
            *("-s", str(script), f"http://127.0.0.1:{server.port}"),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    core = server.seconds() - before
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    if result["wrong"]:
        raise SystemExit(f"wrong answers of {server.name}: {done.stdout}")
    return result["requests"] / core, result["requests"] / result["seconds"]


def requests(given: argparse.Namespace, place: Path) -> tuple[list[list[str]], float]:
    """A row for each question, and the worst ratio."""
    policies = place / "policies"
    policies.mkdir()
    write_policy(policies)
    asked = [scenario for scenario in scenarios() if scenario.name in ASKED]
    scripts = {scenario.name: write_script(place, scenario) for scenario in asked}
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    with running(policies, 1) as one, running(policies, 2) as two:
        for server in (one, two):
            for script in scripts.values():
                load(server, script, 1, given.connections)
        for _ in range(given.rounds):
            for name, script in scripts.items():
                each = [load(s, script, given.seconds, given.connections) for s in (one, two)]
                found.setdefault(name, []).append((*each[0], *each[1]))
    rows = []
    worst = 9.0
    for name, turns in found.items():
        ratio = median(turn[2] / turn[0] for turn in turns)
        worst = min(worst, ratio)
        columns = [f"{median(turn[at] for turn in turns):,.0f}" for at in (0, 2)]
        rate = f"{median(turn[3] / turn[1] for turn in turns):.2f}"
        rows.append([name, *columns, f"{ratio:.2f}", rate])
    return rows, worst


def memory(count: int, place: Path, rows: int, pause: float) -> list[str]:
    """What that many workers take with so many rows: at first, after questions, after a reload.

    They come to rest within `pause` seconds.
    """
    policies = place / f"memory-{count}"
    policies.mkdir()
    write_policy(policies)
    rules = policies / "rbac.csv"
    with rules.open("a") as file:
        file.writelines(f"p, role{n % 100}, /more{n}/:id, ^(GET|HEAD)$\n" for n in range(rows))
    scenario = next(s for s in scenarios() if s.name == "decision")
    script = write_script(place, scenario)
    with running(policies, count) as server:
        time.sleep(pause / 2)
        found = [server.memory()]
        load(server, script, 3, 32)
        found.append(server.memory())
        with rules.open("a") as file:
            file.write("p, role1, /new, ^GET$\n")
        server.get("/v1/reload", post=True)
        time.sleep(pause)
        found.append(server.memory())
        return [server.name, *(f"{megabytes:,.0f} MB" for megabytes in found)]


def table(*rows: list[str]) -> None:
    first, *others = rows
    for cells in (first, ["---", *["---:"] * (len(first) - 1)], *others):
        print(f"| {' | '.join(cells)} |")  # noqa: T201
    print()  # noqa: T201


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rows", type=int, default=100_000, help="for the memory")
    parser.add_argument("--short", action="store_true", help="one round, which judges nothing")
    given = parser.parse_args()
    if given.short:
        given.rounds, given.seconds, given.rows = 1, 1.0, 10_000
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory() as made:
        rows, worst = requests(given, Path(made))
        heads = ["question", "one process, requests per CPU second", "2 workers", "ratio"]
        table([*heads, "requests per second, ratio"], *rows)
        counts = (1, 2) if given.short else (1, 2, 4)
        sizes = [
            memory(count, Path(made), given.rows, 1.5 if given.short else 5.0) for count in counts
        ]
        table([f"{given.rows:,} rows", "at first", "after questions", "after a reload"], *sizes)
    if worst < WORST and not given.short:  # one round says little
        raise SystemExit(f"two workers do {worst:.2f} of one process's requests per CPU second")


if __name__ == "__main__":
    main()
