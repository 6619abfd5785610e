"""A PDP of several processes, asked from outside and each by itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import support
from prometheus_client.parser import text_string_to_metric_families

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]
QUESTION = {"action": "GET", "resource": "/docs/a", "context": {"ip": "203.0.113.9"}}
COUNTED = re.compile(r"_(total|bucket|count|sum)$")


def eventually(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first thing of these that is true; there is one."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = what()
            if found:
                return found
        assert time.monotonic() < end, what
        time.sleep(0.02)


def values(text: bytes) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def total(found: Values, name: str) -> float:
    return sum(value for (sample, _), value in found.items() if sample == name)


def fallen(before: Values, after: Values) -> dict[Any, Any]:
    """Counters that count less than before, or are gone."""
    return {
        key: (value, after.get(key))
        for key, value in before.items()
        if COUNTED.search(key[0]) and not (after.get(key, -1.0) >= value)
    }


class Group:
    """Its supervisor, and who works under it."""

    def __init__(self, process: subprocess.Popen[bytes], shared: Path, log: Path) -> None:
        self.process = process
        self._shared = shared
        self._log = log
        self.listen = self.admin = ""

    @property
    def directory(self) -> Path:
        return next(self._shared.glob("pdp-*"))

    def pids(self) -> list[int]:
        """Workers that there are just now, those that end included."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def told(self, message: str) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["message"] == message]

    def said(self) -> str:
        return self._log.read_text()

    def ask(
        self, method: str, path: str, body: Any = None, *, admin: bool = False, seconds: float = 5.0
    ) -> tuple[int, bytes]:
        """On a connection of its own."""
        connection = http.client.HTTPConnection(
            self.admin if admin else self.listen, timeout=seconds
        )
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def decide(self, **question: Any) -> int:
        """The verdict on a question of alice's."""
        asked = {**QUESTION, "token": support.token("alice"), **question}
        status, body = self.ask("POST", "/v1/decision", asked)
        return int(json.loads(body)["status"]) if status == 200 else status

    def metrics(self, seconds: float = 5.0) -> Values:
        status, body = self.ask("GET", "/metrics", admin=True, seconds=seconds)
        assert status == 200
        return values(body)

    def own(self, index: int) -> Values:
        """What one worker tells of itself."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(2)
            asking.connect(str(self.directory / f"{index}.sock"))
            asking.sendall(b"metrics\n")
            found = b""
            while data := asking.recv(65_536):
                found += data
        return values(found[4:])

    def revision(self, index: int) -> str:
        return next(
            dict(labels)["revision"] for n, labels in self.own(index) if n == "pdp_policy_info"
        )

    def working(self) -> float:
        return self.metrics(1.0)[("pdp_workers", ())]

    def end(self, number: int, seconds: float = 20.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def workers(
    policies: Path, *flags: str, count: int = 2, stdout: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[Group]:
    """So many workers that decide; whatever is left of them in the end is killed."""
    with tempfile.TemporaryDirectory(prefix="w") as shared, contextlib.ExitStack() as ending:
        log = Path(shared) / "log"
        places = support.places()
        if "--listen" in flags:
            places["listen"] = flags[flags.index("--listen") + 1]
        arguments = [f"--{k.replace('_', '-')}={v}" for k, v in places.items()]
        command = [sys.executable, "-m", "pdp", "serve", str(policies), f"--workers={count}"]
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own
                [*command, *arguments, *flags],
                stdout=stdout,
                stderr=errors,
                env={**os.environ, "TMPDIR": shared},
            )
        group = Group(process, Path(shared), log)
        ending.callback(_kill_all, group)
        group.listen, group.admin = places["listen"], places["admin_listen"]
        eventually(lambda: group.working() == count or process.poll() is not None)
        assert process.poll() is None, group.said()
        yield group


def refused(
    policies: Path, *flags: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A PDP that does not start, and what it says."""
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "pdp", "serve", str(policies), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **(env or {})},
    )


def _kill_all(group: Group) -> None:
    if group.process.poll() is None:
        pids = group.pids()
        group.process.kill()
        group.process.wait()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def gone(pid: int) -> bool:
    """Whether a process is no more; one that nobody has buried yet is none."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
