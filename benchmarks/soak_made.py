"""Makes what a long run needs: two policies that disagree, questions with tokens, and a PDP."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from policies_made import ISSUER, RBAC, SIGNED, layer, write_files, write_issuer
from processes import accepts, serve, started

from pdp.runtime.load import load

USERS = 1_000
ALLOWED = {"old": 0, "new": 1}  # whose number is even, or odd


def rows(name: str, count: int) -> str:
    """The policy of this name, with so many rules that nobody here is about."""
    parts = ("even", "odd")
    about = [f"p, {parts[ALLOWED[name]]}, /x, ^GET$"]
    about += [f"g, u{user}, {parts[user % 2]}" for user in range(USERS)]
    others = (f"p, team{i % 1000}, /page/{i}/:id, ^(GET|PUT)$" for i in range(count))
    return "\n".join((*about, *others)) + "\n"


def make_directory(directory: Path, count: int) -> tuple[Ed25519PrivateKey, dict[str, str]]:
    """Write the old policy; the issuer's key, and the policy by its revision."""
    write_files(directory, {"pdp.toml": SIGNED + layer("rbac"), "rbac.conf": RBAC})
    key = write_issuer(directory)
    revisions = {}
    for name in ("new", "old"):
        (directory / "rbac.csv").write_text(rows(name, count))
        revisions[load(directory).snapshot.revision] = name
    return key, revisions


def requests(key: Ed25519PrivateKey, count: int) -> list[tuple[int, bytes]]:
    """Who asks, and the bytes of the question, each with a token of its own."""
    found = []
    claims = {"iss": ISSUER, "aud": "api", "exp": time.time() + 86_400}
    for number in range(count):
        user = number % USERS
        token = jwt.encode({**claims, "sub": f"u{user}", "jti": str(number)}, key, "EdDSA")
        asked = {"token": token, "action": "GET", "resource": "/x"}
        body = json.dumps({**asked, "context": {"ip": "203.0.113.9"}}).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        found.append((user, b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\n" + head + body))
    return found


@contextlib.contextmanager
def server(
    directory: Path, place: str, flags: Sequence[str] = (), before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A PDP in a process of its own, as it is started in earnest, with more flags of `serve`.

    `before` is a command that runs it, such as taskset.
    """
    command = [*before, *serve(directory, f"unix:{place}", f"unix:{place}.admin", *flags)]
    ready, log = partial(accepts, place), Path(f"{place}.log")
    with started("the PDP", command, ready, log, quiet=True) as process:
        yield process
