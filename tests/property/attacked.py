"""A PDP in a thread of its own, asked over bare sockets, with everything that it says kept."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).parent.parent / "credentials"))

from credentialed import DECISIONS, NO_LIMITS, serving
from support import Running

from pdp.runtime.logs import configure_logging

RUN = 8  # characters of a credential that nobody may be shown
_TELLING = 4  # different ones among them: `00000000` is nobody's


_DECISION = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUESTION = b'{"action": "GET", "resource": "/invoices/7", "token": "x"}'
_HARMLESS = (
    (b"Accept", b"*/*"),
    (b"X-API-Key", b"x"),
    (b"Cookie", b"__Host-session=x"),
    (b"Authorization", b"Bearer x"),
    (b"Authorization", b"Bearer"),
    (b"Authorization", b"Basic eDp4"),
    (b"Authorization", b"Digest x"),
    (b"Authorization", b"a b, c d"),
    (b"Authorization", b"\0"),
)


@dataclass(frozen=True)
class Said:
    """One answer, as it came."""

    status: int
    data: bytes


@dataclass(frozen=True)
class Attacked:
    """A PDP that runs elsewhere, and its log.

    `own` is all that it says to credentials of which nothing is worth telling.
    """

    live: Running
    log: io.StringIO
    decisions: BinaryIO
    own: bytearray = field(default_factory=bytearray)

    def ask(self, head: bytes, *, body: bytes = b"", admin: bool = False) -> Said:
        """The answer to a request of exactly these bytes, but for the end of the head."""
        base = self.live.admin if admin else self.live.url
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            data = b"".join(iter(lambda: connection.recv(65_536), b""))
        status = data.partition(b" ")[2][:3]
        assert status.isdigit(), data
        return Said(int(status), data)

    def forward(self, name: bytes, value: bytes) -> Said:
        """The answer to a gateway's question with one further header field."""
        return self.ask(
            b"GET /authz/forward HTTP/1.1\r\nHost: pdp\r\nX-Forwarded-Method: GET\r\n"
            b"X-Forwarded-Uri: /invoices/7\r\nX-Forwarded-Host: app.test\r\n"
            b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nCF-IPCountry: DE\r\n"
            + name
            + b": "
            + value
        )

    def decide(self, body: bytes) -> Said:
        """The answer to a question to the JSON API."""
        length = str(len(body)).encode()
        head = b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length
        return self.ask(head, body=body)

    def check_silence(self, said: Said, *credentials: bytes) -> None:
        """Nothing of these may be in the answer, in the log or in the metrics."""
        told = self._told(said)
        for run in (run for credential in credentials for run in runs(credential)):
            if run not in self.own:
                assert run not in said.data, (run, said.data)
                assert run not in told, (run, told)

    def hear(self) -> None:
        """Learn the words that are the PDP's own; whoever makes up text knows them, too."""
        for name, value in _HARMLESS:
            self.own.extend(self.forward(name, value).data)
        asked = self.decide(_QUESTION)
        self.own.extend(self.decide(b"{}").data + asked.data + self._told(asked))

    def _told(self, said: Said) -> bytes:
        """What the logs and the metrics say since the last time; `said` is what was last."""
        metrics = self.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1", admin=True)
        assert metrics.status == http.client.OK
        logged = self.log.getvalue().encode() + self._decided(said)
        assert logged
        self.log.seek(0)
        self.log.truncate()
        return logged + metrics.data

    def _decided(self, said: Said) -> bytes:
        """What was recorded since the last time, the decision that `said` names included."""
        number = _DECISION.search(said.data)
        found = self.decisions.read()
        for _ in range(500):
            if number[0] in found if number else found or self.log.getvalue():
                break
            time.sleep(0.01)
            found += self.decisions.read()
        return found


def runs(credential: bytes) -> Iterator[bytes]:
    """Every run of characters of a credential that would give something of it away."""
    for start in range(len(credential) - RUN + 1):
        run = credential[start : start + RUN]
        if len(set(run)) >= _TELLING:
            yield run


@contextlib.contextmanager
def attacked(directory: Path) -> Iterator[Attacked]:
    """Serve in a thread, so that tests need not be coroutines."""
    log, loop, running = io.StringIO(), asyncio.new_event_loop(), threading.Event()
    found: list[Running] = []
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with serving(directory, more=NO_LIMITS) as live:
                found.append(live)
                running.set()
                await stop.wait()
        finally:
            running.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    with _logging_to(log):
        thread.start()
        running.wait(10)
        try:
            with (directory / DECISIONS).open("rb") as decisions:
                pdp = Attacked(found[0], log, decisions)
                pdp.hear()
                yield pdp
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()


@contextlib.contextmanager
def _logging_to(log: io.StringIO) -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("aiohttp", "asyncio")}
    configure_logging(log, logging.DEBUG)
    try:
        yield
    finally:
        root.handlers, root.level = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
