"""A real PDP on real ports, with an issuer whose key the tests hold."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pdp.cli.serve import running
from pdp.runtime.load import Loaded, load
from pdp.runtime.service import Service
from pdp.surfaces.context import Context

VERDICTS = Path(__file__).parent / "verdicts" / "policies"
KEY = Ed25519PrivateKey.generate()
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ISSUER = "https://idp.test/"
# What a gateway says of a request for a page that everybody may read.
FORWARD = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/docs/a",
    "X-Forwarded-Host": "app.test",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
}


def token(sub: str = "alice", *, key: Any = KEY, **claims: Any) -> str:
    """A token of the test issuer, good for an hour unless `claims` say otherwise."""
    now = time.time()
    payload = {"iss": ISSUER, "aud": "api", "sub": sub, "exp": now + 3600, **claims}
    return jwt.encode(payload, key, algorithm="EdDSA")


def require(program: str, package: str) -> None:
    """A program that is missing is a failure in CI, elsewhere a skip that says what to install."""
    if shutil.which(program) is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"needs {program}: apt-get install {package}")


def free_port() -> int:
    """A port below those that outgoing connections are given, or one could take it meanwhile.

    Processes that test side by side choose from ports of their own, each in turn: one that was
    given is not given again before it had the time to be taken.
    """
    while True:
        port = _FIRST + next(_TURN) % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = 2_100
_FIRST = 15_000 + _WORKER % 8 * _PORTS
_TURN = itertools.count(random.randrange(_PORTS))  # noqa: S311 - no secret


def copy_policies(directory: Path, source: Path = VERDICTS) -> Path:
    """A policy directory of one's own, with the key of these tests."""
    target = directory / "policies"
    shutil.copytree(source, target)
    (target / "issuer.pem").write_bytes(PEM)
    return target


def places() -> dict[str, str]:
    """Flags for two free ports."""
    return {name: f"127.0.0.1:{free_port()}" for name in ("listen", "admin_listen")}


@dataclass(frozen=True)
class Running:
    """A PDP that answers, and a client."""

    context: Context
    session: aiohttp.ClientSession
    url: str
    admin: str

    @property
    def service(self) -> Service:
        return self.context.service

    async def ask(
        self, method: str, path: str, *, admin: bool = False, **options: Any
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        base = self.admin if admin else self.url
        async with self.session.request(method, base + path, **options) as response:
            return response, await response.read()


@contextlib.asynccontextmanager
async def pdp(
    directory: Path,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **flags: Any,
) -> AsyncIterator[Running]:
    """Serve `directory` on free loopback ports."""
    given = {"decision_log": "/dev/null", **places(), **flags}
    async with served(load(directory, config, environment or {}, given)) as live:
        yield live


async def decided(log: Path, count: int = 1) -> list[dict[str, Any]]:
    """The records of a decision log, as soon as there are so many."""
    for _ in range(500):
        lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
        whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
        if len(whole) >= count:
            return whole
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(whole)} records of {count}")


@contextlib.asynccontextmanager
async def served(loaded: Loaded) -> AsyncIterator[Running]:
    """Serve what is loaded, where it says."""
    server = loaded.server
    async with running(loaded) as context, aiohttp.ClientSession() as session:
        yield Running(context, session, f"http://{server.listen}", f"http://{server.admin_listen}")
