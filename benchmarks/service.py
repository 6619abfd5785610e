"""Loads a whole PDP with wrk and tells how near it comes to a bare aiohttp application.

    python benchmarks/service.py        # about three minutes; --short in seconds

Needs wrk (https://github.com/wg/wrk), and two cores: the servers have one, wrk the other. Servers
take turns in every round, and what is told are medians over the rounds. Ends by itself; exits with
1 if an answer was wrong.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service_made import Scenario, scenarios, text, write_policy, write_script

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30.0
COLUMNS = (
    "question",
    "server",
    "requests/s",
    "of the limit",
    "by its time on the core",
    "p50 ms",
    "p99 ms",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server under way; `name` is what the table calls it."""

    name: str
    port: int
    pid: int

    def seconds(self) -> float:
        """How long it has been on a core by now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one server."""

    rate: float
    core: float  # seconds for each request
    p50: float
    p99: float


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, log: Path) -> Iterator[Server]:
    """A server on the first core, once it accepts."""
    with log.open("wb") as out:
        pinned = ["taskset", "-c", str(CORES[0]), *command]
        process = subprocess.Popen(pinned, stdout=out, stderr=out)  # noqa: S603 - our own
    try:
        end = time.monotonic() + START_SECONDS
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} does not start: {log.read_text()[-2_000:]}")
            time.sleep(0.05)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_pdp(stack: contextlib.ExitStack, place: Path, name: str, log: str) -> Server:
    """A PDP with that decision log."""
    port = free_port()
    listen, admin = f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "pdp", "serve", str(place / "policies"), "--listen", listen]
    command += ["--admin-listen", admin, "--decision-log", log]
    return stack.enter_context(running(name, command, port, place / f"{port}.log"))


def start_limit(stack: contextlib.ExitStack, place: Path, answer: bytes) -> Server:
    """The bare application, which answers with as much as the PDP."""
    port = free_port()
    file = place / f"{port}.json"
    file.write_bytes(answer)
    command = [sys.executable, str(HERE / "service_limit.py"), str(port), str(file)]
    return stack.enter_context(running("limit", command, port, place / f"{port}.log"))


def ask(server: Server, scenario: Scenario) -> bytes:
    """The body of the answer to the scenario's first question; SystemExit unless it allows."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(text(scenario, *scenario.asks[0]))
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
    allows = b'"decision":true' in body or b'"status":200' in body or not body
    if not head.startswith(b"HTTP/1.1 200") or not allows:
        raise SystemExit(f"wrong answer to {scenario.name}: {head!r} {body!r}")
    return body


def load(server: Server, script: Path, seconds: float, connections: int) -> Measured:
    """What wrk finds in so many seconds; SystemExit if an answer was wrong."""
    wrk = ["taskset", "-c", str(CORES[-1]), "wrk", "-t1", f"-c{connections}"]
    # Whole seconds are all that wrk counts in.
    command = [*wrk, f"-d{max(1, round(seconds))}s", "-s", str(script)]
    before = server.seconds()
    done = subprocess.run(  # noqa: S603 - our own
        [*command, f"http://127.0.0.1:{server.port}"],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    core = server.seconds() - before
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    if result["wrong"]:
        raise SystemExit(f"wrong answers of {server.name}: {done.stdout}")
    count = max(1, result["requests"])  # none at all: other work had the core
    return Measured(count / result["seconds"], core / count, result["p50"], result["p99"])


def row(scenario: Scenario, name: str, turns: list[Measured], limits: list[Measured]) -> list[str]:
    """Medians; a ratio is one of two turns in the same round."""
    beside = list(zip(turns, limits, strict=True))
    return [
        scenario.name,
        name,
        f"{median(turn.rate for turn in turns):,.0f}",
        f"{median(turn.rate / limit.rate for turn, limit in beside):.2f}",
        f"{median(limit.core / turn.core for turn, limit in beside):.2f}",
        f"{median(turn.p50 for turn in turns) / 1_000:.2f}",
        f"{median(turn.p99 for turn in turns) / 1_000:.2f}",
    ]


def measure(given: argparse.Namespace, place: Path, stack: contextlib.ExitStack) -> list[list[str]]:
    """Every scenario on every server, in turns."""
    asked = [s for s in scenarios() if not given.only or s.path.endswith(given.only)]
    pdps = [
        start_pdp(stack, place, "log in a file", str(place / "decisions.jsonl")),
        start_pdp(stack, place, "no log", "off"),
    ]
    limits: dict[str, Server] = {}
    for scenario in asked:
        answer = ask(pdps[0], scenario)
        if scenario.limit not in limits:
            limits[scenario.limit] = start_limit(stack, place, answer)
    found: dict[tuple[str, str], list[Measured]] = {}
    scripts = [write_script(place, scenario) for scenario in asked]
    for _ in range(given.rounds):
        for scenario, script in zip(asked, scripts, strict=True):
            for server in (limits[scenario.limit], *pdps):
                turn = load(server, script, given.seconds, given.connections)
                found.setdefault((scenario.name, server.name), []).append(turn)
    return [
        row(scenario, name, found[scenario.name, name], found[scenario.name, "limit"])
        for scenario in asked
        for name in ("limit", *(pdp.name for pdp in pdps))
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", help="the end of the one path that is asked")
    parser.add_argument("--short", action="store_true", help="one round")
    given = parser.parse_args()
    if given.short:
        given.rounds = 1
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        place = Path(made)
        (place / "policies").mkdir()
        write_policy(place / "policies")
        lines = [COLUMNS, ["---", "---", *["---:"] * 5], *measure(given, place, stack)]
    for line in lines:
        print(f"| {' | '.join(line)} |")  # noqa: T201


if __name__ == "__main__":
    main()
