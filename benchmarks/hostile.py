"""What good requests wait for while others hold a real PDP's connections and send next to nothing.

    python benchmarks/hostile.py            # 1,000 of each kind; exit 1 where a bound is missed
    python benchmarks/hostile.py --short    # 100 of each kind
    python benchmarks/hostile.py --tls      # handshakes that do not go on; with --short as well

All on loopback, from a process of its own: slow heads and slow bodies drip a byte at a time, silent
ones send nothing, kept ones ask once and stay. Before and during that, 200 good requests a second
are timed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import resource
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from asker import Asker, forward, milliseconds, steadily, until_open
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from policies_made import PAGES, write_files
from processes import megabytes, pdp_over
from reporting import percentile, tell

GOOD = forward("/invoices/7")
HEAD = b"GET /authz/forward HTTP/1.1\r\nHost: pdp\r\nX-Drip: " + b"a" * 4_096
BODY = (
    b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 4096\r\n\r\n"
)
GOOD_PER_SECOND = 200
OPENED_PER_SECOND = 400
DRIP_SECONDS = 1.0
CLOSED_SECONDS = 15.0  # by when slow ones must be gone
P99_MILLISECONDS = 20.0
MEGABYTES = 50.0
SLOW = ("slow heads", "slow bodies", "silent", "handshakes")


@dataclass
class Seen:
    """What became of hostile connections of one kind: after how many seconds each was closed."""

    opened: int = 0
    closed: list[float] = field(default_factory=list)


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that never ends."""
    await drip(writer, HEAD)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head at once, and a body that never ends."""
    writer.write(BODY)
    await drip(writer, b"{" + b" " * 4_000)


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await asyncio.sleep(DRIP_SECONDS)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nothing at all."""
    await asyncio.sleep(3_600)


async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One good request, and then nothing."""
    writer.write(GOOD)
    await asyncio.sleep(3_600)


async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The beginning of a handshake of TLS."""
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200)
    await asyncio.sleep(3_600)


Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KINDS: dict[str, Kind] = {
    "slow heads": slow_head,
    "slow bodies": slow_body,
    "silent": silent,
    "kept": kept,
}
TLS_KINDS: dict[str, Kind] = {"handshakes": handshake, "silent": silent}


async def attack(port: int, kind: Kind, seen: Seen) -> None:
    """One hostile connection, until the PDP closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen.opened += 1
    began = time.monotonic()
    sending = asyncio.ensure_future(kind(reader, writer))
    try:
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
        seen.closed.append(time.monotonic() - began)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


async def good(asker: Asker) -> list[float]:
    """Milliseconds of a second's answers, all of them allows."""
    return milliseconds(await steadily(asker, [GOOD] * GOOD_PER_SECOND, GOOD_PER_SECOND), 200)


def typical(seconds: list[list[float]]) -> float:
    """The p99 of the median second: a shared machine stops now and then, whoever connects."""
    return median(percentile(second, 99) for second in seconds)


async def attacks(port: int, each: int, kinds: dict[str, Kind]) -> dict[str, Seen]:
    """All of them, by turns, until the slow ones have had their time."""
    seen = {name: Seen() for name in kinds}
    tasks = []
    for name in [*kinds] * each:
        tasks.append(asyncio.create_task(attack(port, kinds[name], seen[name])))
        await asyncio.sleep(1 / OPENED_PER_SECOND)
    await asyncio.sleep(CLOSED_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


async def attacked(port: int, each: int, *flags: str) -> dict[str, Seen]:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--attack", str(port), "--each", str(each), *flags]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return {name: Seen(**found) for name, found in json.loads(said).items()}


async def measure(
    process: int, port: int, each: int, quiet: int, tls: ssl.SSLContext | None
) -> bool:
    """Print what good requests, memory and hostile connections came to; whether all held."""
    asker = Asker(port, tls)
    await until_open(asker, GOOD)
    await good(asker)
    before, calm = megabytes(process), [await good(asker) for _ in range(quiet)]
    attacking = asyncio.create_task(attacked(port, each, *(["--tls"] if tls else [])))
    held: list[list[float]] = []
    most = before
    while not attacking.done():
        held.append(await good(asker))
        most = max(most, megabytes(process))
    seen = await attacking
    for name, seconds in (("quiet", calm), ("hostile", held)):
        taken = [one for second in seconds for one in second]
        figures = percentile(taken, 50), percentile(taken, 99), typical(seconds), max(taken)
        line = "{}: p50 {:.2f} ms, p99 {:.2f} ms, of the median second {:.2f} ms, longest {:.2f} ms"
        tell(line.format(name, *figures))
    for name, one in seen.items():
        last = f", the last after {max(one.closed):.1f} s" if one.closed else ""
        tell(f"{name}: {one.opened} opened, {len(one.closed)} closed{last}")
    tell(f"memory: {before:.0f} MB, at most {most - before:.1f} MB more")
    slow = [seen[name] for name in SLOW if name in seen]
    gone = all(len(one.closed) == one.opened == each for one in slow)
    in_time = all(max(one.closed, default=0) <= CLOSED_SECONDS for one in slow)
    quick = typical(held) <= P99_MILLISECONDS
    return gone and in_time and quick and most - before <= MEGABYTES


def secured(directory: Path) -> ssl.SSLContext:
    """How to ask the PDP that is started next, which has a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (directory / "cert.pem").write_bytes(pem)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "key.pem").write_bytes(secret)
    os.environ["PDP_TLS_CERT"] = str(directory / "cert.pem")
    os.environ["PDP_TLS_KEY"] = str(directory / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(directory / "cert.pem")
    return context


def main() -> int:
    """Run it against a PDP of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="100 of each kind")
    parser.add_argument("--tls", action="store_true", help="handshakes that do not go on")
    parser.add_argument("--each", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--attack", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = given.each or (100 if given.short else 1_000)
    if given.attack:
        kinds = TLS_KINDS if given.tls else KINDS
        found = asyncio.run(attacks(given.attack, each, kinds))
        tell(json.dumps({name: asdict(one) for name, one in found.items()}))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        files = {"model.conf": PAGES, "policy.csv": "p, /invoices/:id, GET\n"}
        write_files(Path(directory), files)
        tls, quiet = secured(Path(directory)) if given.tls else None, 2 if given.short else 5
        with pdp_over(Path(directory)) as server:
            held = asyncio.run(measure(server.process.pid, server.port, each, quiet, tls))
    tell("every bound held" if held else "a bound was missed")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
