"""Starts what service.py compares, each on the first core, and puts questions to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from processes import TICKS, accepts, family, free_port, on_core, serve, started
from service_made import Ask, Scenario

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
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
        """How long it has been on a core by now, with all its threads and children."""
        return sum(map(on_core, family(self.pid)))


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one server."""

    rate: float
    core: float  # seconds for each request
    p50: float  # microseconds
    p99: float


@contextlib.contextmanager
def running(
    name: str, command: list[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server on the first core, once it accepts; what it prints goes to `log`."""
    pinned = [*PINNED, *command]
    with started(name, pinned, partial(accepts, port), log, env=env) as process:
        yield Server(name, port, process.pid)


def start_pdp(stack: contextlib.ExitStack, place: Path, name: str, log: str) -> Server:
    """A PDP with that decision log."""
    port = free_port()
    places = f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}"
    command = serve(place / "policies", *places, "--decision-log", log)
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


def load(
    server: Server,
    script: Path,
    seconds: float,
    connections: int,
    beside: Sequence[str] = ("taskset", "-c", str(CORES[-1])),
) -> Measured:
    """What wrk finds in so many seconds, `beside` the server; SystemExit if an answer was wrong."""
    # Whole seconds are all that wrk counts in.
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    before = server.seconds()
    done = subprocess.run(  # noqa: S603 - our own
        [*beside, *wrk, f"http://127.0.0.1:{server.port}"],
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
