"""Times hidden, absent and forbidden paths at a real PDP: can a client tell them apart?

    python benchmarks/oracle.py --samples 10000
    python benchmarks/oracle.py --samples 10000 --plant hidden:20

Paths of one length are asked for in random turns, over one connection, with one good token.
`--plant` has the server spin for so many microseconds at one kind of path, to show that this would
be found. Exits with 1 if hidden and absent can be told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from asker import forward
from oracle_statistics import compare
from policies_made import ISSUER, NO_DENY, RBAC, SIGNED, conf, layer, write_files, write_issuer
from processes import accepts, started
from reporting import tell

from pdp.cli.listening import loop_factory
from pdp.cli.serve import running
from pdp.runtime.load import load
from pdp.runtime.logs import configure_logging

PATHS = {"hidden": "/admin/users", "absent": "/ghost/users", "forbidden": "/audit/books"}
STATUS = {"hidden": 404, "absent": 404, "forbidden": 403}
PLANT = "ORACLE_PLANT"  # of this benchmark's own server, and of nothing in the package
WARM_UP = 1_000
CONCEALED = """[concealment]
resources = ["/admin", "/admin/*"]
"""
SETTINGS = "\n".join((SIGNED, layer("network", "guard"), layer("rbac"), CONCEALED))
NETWORK = conf("ipMatch(r.ip, p.ip)", "ip", "ip, eft", NO_DENY)
ROWS = """p, administrator, /admin/users, ^GET$
p, auditor, /audit/books, ^GET$
p, member, /invoices/:id, ^GET$
g, alice, member
g, carol, administrator
"""


def make_directory(directory: Path) -> str:
    """Write the policy, and return a token of alice, who may see neither."""
    files = {
        "pdp.toml": SETTINGS,
        "network.conf": NETWORK,
        "network.csv": "p, 198.51.100.0/24, deny\n",
        "rbac.conf": RBAC,
        "rbac.csv": ROWS,
    }
    write_files(directory, files)
    claims = {"iss": ISSUER, "aud": "api", "sub": "alice", "exp": time.time() + 86_400}
    return jwt.encode(claims, write_issuer(directory), "EdDSA")


def plant(service: Any, kind: str, microseconds: float) -> None:
    """Have a PDP of this process spin before it judges one kind of path."""
    judge, path = service.judge, PATHS[kind]

    async def slower(query: Any, *rest: Any) -> Any:
        if query.resource.id == path:
            until = time.perf_counter_ns() + microseconds * 1_000
            while time.perf_counter_ns() < until:
                pass
        return await judge(query, *rest)

    service.judge = slower


async def _serve(directory: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ports = {"listen": "127.0.0.1:0", "admin_listen": f"unix:{directory / 'admin'}"}
    listening = f"unix:{directory / 'pdp'}"
    async with running(load(directory, None, {}, {**ports, "listen": listening})) as context:
        if planted := os.environ.get(PLANT):
            kind, microseconds = planted.split(":")
            plant(context.service, kind, float(microseconds))
        await stop.wait()


@contextlib.contextmanager
def server(directory: Path, planted: str | None) -> Iterator[socket.socket]:
    """A PDP in a process of its own, and one connection to it."""
    command = [sys.executable, __file__, "--serve", str(directory)]
    place, log = str(directory / "pdp"), directory / "pdp.log"
    ready, env = partial(accepts, place), {PLANT: planted or ""}
    with (
        started("the PDP", command, ready, log, env=env, quiet=True),
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.settimeout(10)
        connection.connect(place)
        yield connection


def ask(connection: socket.socket, asked: bytes) -> tuple[float, bytes]:
    """How many microseconds the answer took to begin, and the answer."""
    started = time.perf_counter_ns()
    connection.sendall(asked)
    answer = connection.recv(65_536)
    took = (time.perf_counter_ns() - started) / 1_000
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return took, answer


def sample(connection: socket.socket, token: str, samples: int) -> dict[str, list[float]]:
    """Times of every kind, in microseconds; the kinds take turns, in random order."""
    asked = {kind: forward(path, token) for kind, path in PATHS.items()}
    times: dict[str, list[float]] = {kind: [] for kind in PATHS}
    order = list(PATHS)
    for number in range(WARM_UP + samples):
        random.shuffle(order)
        for kind in order:
            took, answer = ask(connection, asked[kind])
            assert answer.split(b" ", 2)[1] == str(STATUS[kind]).encode(), answer[:80]
            if number >= WARM_UP:
                times[kind].append(took)
    return times


def main() -> int:
    """Measure and tell; 1 if hidden and absent can be told apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--plant", metavar="KIND:MICROSECONDS", help="a difference to be found")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        configure_logging(sys.stderr)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(given.serve))
        return 0
    with tempfile.TemporaryDirectory() as name:
        token = make_directory(Path(name))
        with server(Path(name), given.plant) as connection:
            times = sample(connection, token, given.samples)
    for kind, found in times.items():
        cuts = statistics.quantiles(found, n=100)
        told = {f"p{q}": round(cuts[q - 1], 1) for q in (1, 10, 25, 50, 75, 90, 99)}
        tell(json.dumps({"kind": kind, "samples": len(found), **told}))
    pairs = [compare(times, *pair) for pair in (("hidden", "absent"), ("forbidden", "absent"))]
    for pair in pairs:
        tell(json.dumps(pair))
    return int(pairs[0]["told_apart"])


if __name__ == "__main__":
    sys.exit(main())
