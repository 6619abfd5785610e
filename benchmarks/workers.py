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
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import family, free_port, serve, started
from reporting import markdown_table, tell
from service_made import scenarios, write_policy, write_script
from service_servers import Measured, Server, load

WORST = 0.8
ASKED = ("evaluation", "decision", "nginx")


@dataclass(frozen=True, slots=True)
class Workers(Server):
    """A PDP under way, alone or with workers."""

    admin: int

    def memory(self) -> float:
        """Megabytes of all of them, what they share once."""
        return sum(_proportional(pid) for pid in family(self.pid)) / 1_024

    def reload(self) -> None:
        """Have the policy read anew."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.admin}/v1/reload", method="POST")
        urllib.request.urlopen(asked, timeout=120).close()  # noqa: S310 - our own


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextlib.contextmanager
def running(policies: Path, count: int) -> Iterator[Workers]:
    """So many workers, once all of them decide; 1 is a process alone."""
    port, admin = free_port(), free_port()
    name = "one process" if count == 1 else f"{count} workers"
    decisions = policies.parent / f"{port}"
    told = decisions.with_suffix(".err")
    flags = "--workers", str(count), "--decision-log", str(decisions)
    command = serve(policies, f"127.0.0.1:{port}", f"127.0.0.1:{admin}", *flags)

    def ready() -> bool:
        return told.read_text().count('"serving"') >= count

    with started(name, command, ready, told) as process:
        yield Workers(name, port, process.pid, admin)


def requests(given: argparse.Namespace, place: Path) -> tuple[list[list[str]], float]:
    """A row for each question, and the worst ratio."""
    policies = place / "policies"
    write_policy(policies)
    asked = [scenario for scenario in scenarios() if scenario.name in ASKED]
    scripts = {scenario.name: write_script(place, scenario) for scenario in asked}
    found: dict[str, list[tuple[Measured, Measured]]] = {}
    with running(policies, 1) as one, running(policies, 2) as two:
        for server in (one, two):
            for script in scripts.values():
                load(server, script, 1, given.connections, beside=())
        for _ in range(given.rounds):
            for name, script in scripts.items():
                alone, both = (
                    load(server, script, given.seconds, given.connections, beside=())
                    for server in (one, two)
                )
                found.setdefault(name, []).append((alone, both))
    rows = []
    worst = 9.0
    for name, turns in found.items():
        ratio = median(alone.core / both.core for alone, both in turns)
        worst = min(worst, ratio)
        columns = [f"{median(1 / turn[at].core for turn in turns):,.0f}" for at in (0, 1)]
        rate = f"{median(both.rate / alone.rate for alone, both in turns):.2f}"
        rows.append([name, *columns, f"{ratio:.2f}", rate])
    return rows, worst


def memory(count: int, place: Path, rows: int, pause: float) -> list[str]:
    """What that many workers take with so many rows: at first, after questions, after a reload.

    They come to rest within `pause` seconds.
    """
    policies = place / f"memory-{count}"
    write_policy(policies)
    rules = policies / "rbac.csv"
    with rules.open("a") as file:
        file.writelines(f"p, role{n % 100}, /more{n}/:id, ^(GET|HEAD)$\n" for n in range(rows))
    scenario = next(s for s in scenarios() if s.name == "decision")
    script = write_script(place, scenario)
    with running(policies, count) as server:
        time.sleep(pause / 2)
        found = [server.memory()]
        load(server, script, 3, 32, beside=())
        found.append(server.memory())
        with rules.open("a") as file:
            file.write("p, role1, /new, ^GET$\n")
        server.reload()
        time.sleep(pause)
        found.append(server.memory())
        return [server.name, *(f"{megabytes:,.0f} MB" for megabytes in found)]


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
        tell(markdown_table([*heads, "requests per second, ratio"], rows))
        tell()
        counts = (1, 2) if given.short else (1, 2, 4)
        sizes = [
            memory(count, Path(made), given.rows, 1.5 if given.short else 5.0) for count in counts
        ]
        heads = [f"{given.rows:,} rows", "at first", "after questions", "after a reload"]
        tell(markdown_table(heads, sizes))
    if worst < WORST and not given.short:  # one round says little
        raise SystemExit(f"two workers do {worst:.2f} of one process's requests per CPU second")


if __name__ == "__main__":
    main()
