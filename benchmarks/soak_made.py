"""Makes what a long run needs: two policies that disagree, questions with tokens, and a PDP."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pdp.runtime.load import load

ISSUER = "https://idp.test/"
USERS = 1_000
START_SECONDS = 300.0
STOP_SECONDS = 60.0
SETTINGS = f"""[[authentication.issuers]]
issuer = "{ISSUER}"
audiences = ["api"]
algorithms = ["EdDSA"]
public_key_file = "issuer.pem"

[[layers]]
name = "rbac"
kind = "grant"
model = "rbac.conf"
policy = "rbac.csv"
"""
MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)
"""
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
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, text in (("pdp.toml", SETTINGS), ("rbac.conf", MODEL), ("issuer.pem", pem.decode())):
        (directory / name).write_text(text)
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

    `before` is a command that runs it, such as taskset. It is ended by force if need be.
    """
    command = [sys.executable, "-m", "pdp", "serve", str(directory), "--listen", f"unix:{place}"]
    log = Path(f"{place}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            [*before, *command, "--admin-listen", f"unix:{place}.admin", *flags],
            stdout=subprocess.DEVNULL,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(place):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the PDP does not start: {log.read_text()[-2_000:]}")
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            sys.exit("the PDP does not end")


def _accepts(place: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return not probe.connect_ex(place)
