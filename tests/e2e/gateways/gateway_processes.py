"""The PDP and the gateways as processes, on ports of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from gateway_fleet import Gateway
from gateway_machinery import SAMPLES, Relay, Upstream
from gateway_wire import CLIENT, Fields, Response, connect, request_bytes, send
from support import free_port

# As the samples have them: the PDP, its gRPC listener, the application, the gateway itself.
PDP, GRPC, APP, GATEWAY = 7373, 7375, 8080, 8000
_MADE = re.compile(rb"^pdp_decisions_total\{.*\} ([\d.e+]+)$", re.MULTILINE)
_PORT = re.compile(rf"(?<![\d.])({PDP}|{GRPC}|{APP}|{GATEWAY})(?!\d)")
# Where a question comes from is what tells it from all others, whatever the gateway.
_SOURCES = (f"127.{b}.{c}.{d}" for b, c, d in product(*[range(1, 255)] * 3))
_GIVEN = {CLIENT}


def new_client() -> str:
    """An address that nobody has asked from before."""
    _GIVEN.add(source := next(_SOURCES))
    return source


class Pdp:
    """A real PDP process and its decision log."""

    def __init__(self, policies: Path, log: Path, **settings: str) -> None:
        self.port, self.grpc, self._admin = free_port(), free_port(), free_port()
        self._log = log.with_suffix(".jsonl")
        admin = f"127.0.0.1:{self._admin}"
        command = [sys.executable, "-m", "pdp", "serve", str(policies), "--admin-listen", admin]
        command += ["--decision-log", str(self._log)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--grpc-listen", f"127.0.0.1:{self.grpc}"]
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(  # noqa: S603
                command, cwd=log.parent, stderr=stderr, env={**os.environ, **settings}
            )
        await_port(self.port, self.process, log)
        self._decisions = self._log.open("rb")
        self._taken = 0

    def take(self) -> list[dict[str, Any]]:
        """The decisions since the last time, as they were logged, which is a moment later."""
        made = self._made()
        data = b""
        for _ in range(500):
            data += self._decisions.read()
            whole = data.endswith(b"\n") or not data
            if whole and self._taken + data.count(b"\n") >= made:
                # What is decided meanwhile may be here already: lines are counted, not decisions.
                self._taken += data.count(b"\n")
                return [json.loads(line) for line in data.splitlines()]
            time.sleep(0.005)
        raise AssertionError(f"of {made - self._taken} decisions there are {data!r}")

    def _made(self) -> int:
        """How many decisions were made so far."""
        answer = send(self._admin, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.status == 200
        return sum(map(int, map(float, _MADE.findall(answer.body))))

    def stop(self) -> None:
        self._decisions.close()
        self.process.terminate()
        self.process.wait(15)


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until somebody accepts there; the log is the error if nobody does."""
    for _ in range(600):
        with suppress(OSError), connect(port, timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"{process.args!r} does not listen: {log.read_text()[-2000:]}")


class Live:
    """A gateway that runs before the application, with a relay to the PDP of its own."""

    def __init__(self, gateway: Gateway, binary: str, relays: Mapping[int, Relay], app: Upstream,
                 pdp: Pdp, place: Path) -> None:  # fmt: skip
        self.gateway, self.name, self.app, self.pdp = gateway, gateway.name, app, pdp
        self.relays, self.port = relays, free_port()
        self.relay = relays[GRPC if gateway.asks == "envoy_grpc" else PDP]
        ports = {APP: app.port, GATEWAY: self.port, **{p: r.port for p, r in relays.items()}}
        for sample in (SAMPLES / gateway.directory).iterdir():
            text = _PORT.sub(lambda m: str(ports[int(m[1])]), sample.read_text())
            for old, new in gateway.prepare.items():
                text = text.replace(old, new)
            (place / sample.name).write_text(text)
        environment = {**os.environ, "HOME": str(place), "XDG_CONFIG_HOME": str(place)}
        self.version = " ".join(_said([binary, *gateway.version]).split())[:60]
        with (place / "log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603
                gateway.command(binary, place), cwd=place, env=environment, stdout=log, stderr=log
            )
        await_port(self.port, self.process, place / "log")
        self._await_answers(place / "log")

    def _await_answers(self, log: Path) -> None:
        """Listening is not serving: Traefik reads what it serves a little later."""
        for _ in range(100):
            if self.ask("GET", "/docs/a").status == self.gateway.ready:
                return
            time.sleep(0.05)
        self.stop()
        pytest.fail(f"{self.name} does not serve: {log.read_text()[-2000:]}")

    def ask(
        self,
        method: str,
        target: str,
        fields: Fields = (),
        *,
        body: bytes = b"",
        source: str = CLIENT,
        timeout: float = 10,
    ) -> Response:
        data = request_bytes(method, target, fields, body)
        return send(self.port, data, source=source, timeout=timeout, method=method)

    def judge(
        self,
        method: str,
        target: str,
        fields: Fields = (),
        *,
        source: str | None = None,
        **options: Any,
    ) -> tuple[Response, list[dict[str, Any]], list[dict[str, Any]]]:
        """The answer, what the PDP decided, and what reached the application, for one request.

        Each request comes from an address of its own, unless it has to be a certain one, so that a
        decision on an earlier one is not taken for its own. One on an address that nobody asked
        from is told: the gateway has believed somebody.
        """
        source = source or new_client()
        self.app.take()
        response = self.ask(method, target, fields, source=source, **options)
        seen = [s for s in self.app.take() if s["target"] != self.gateway.page]
        others = _GIVEN - {source}  # a question that is not understood is logged without one
        return response, [d for d in self.pdp.take() if d.get("ip") not in others], seen

    @contextmanager
    def asking(self, port: int) -> Iterator[None]:
        """Somebody else is its PDP for a while."""
        pdp = self.relay.to
        try:
            self.relay.change(port)
            yield
        finally:
            self.relay.change(pdp)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    return done.stdout + done.stderr
