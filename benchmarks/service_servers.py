"""Starts what service.py compares, each on the first core, and puts questions to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service_made import Ask, Scenario

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0
PINNED = ("taskset", "-c", str(CORES[0]))
CHECKED = 500  # of the questions, before any is counted
ALLOWS = (b'"decision":true', b'"status":200', b'"EFFECT_ALLOW"', b'"result":true')


@dataclass(frozen=True, slots=True)
class Server:
    """A server under way; `name` is what the table calls it."""

    name: str
    port: int
    pid: int

    def seconds(self) -> float:
        """How long it has been on a core by now, with all its threads."""
        return on_core(self.pid)


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one server."""

    rate: float
    core: float  # seconds for each request
    p50: float  # microseconds
    p99: float


def on_core(pid: int) -> float:
    """How many seconds a process has been on a core by now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def running(
    name: str, command: list[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server on the first core, once it accepts; what it prints goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own
            [*PINNED, *command], stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} does not start: {log.read_text()[-2_000:]}")
            time.sleep(0.05)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return not probe.connect_ex(("127.0.0.1", port))


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


def check(server: Server, scenario: Scenario) -> bytes:
    """The body of the first answer; SystemExit unless the asked is allowed, the forbidden not."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        bodies = [
            _answer(server, connection, scenario, ask, allowed=True)
            for ask in scenario.asks[:CHECKED]
        ]
        _answer(server, connection, scenario, scenario.forbidden, allowed=False)
    return bodies[0]


def _answer(
    server: Server,
    connection: http.client.HTTPConnection,
    scenario: Scenario,
    ask: Ask,
    *,
    allowed: bool,
) -> bytes:
    fields, body = ask
    connection.request(scenario.method, scenario.path, body or None, fields)
    response = connection.getresponse()
    told = response.read()
    allows = response.status == 200 and (not told or any(mark in told for mark in ALLOWS))
    if response.status not in {200, 403} or allows != allowed:
        raise SystemExit(
            f"wrong answer of {server.name} to {scenario.name}: {response.status} {told!r}"
        )
    return told


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
    core = max(server.seconds() - before, 1 / TICKS)  # it counts no less
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    if result["wrong"]:
        raise SystemExit(f"wrong answers of {server.name}: {done.stdout}")
    count = max(1, result["requests"])  # none at all: other work had the core
    return Measured(count / result["seconds"], core / count, result["p50"], result["p99"])


def machine() -> dict[str, str]:
    """What the figures depend on beside the code."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(": ")[1] for line in told if line.startswith("model name"))
    return {
        "cpu": next(names, platform.machine()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }
