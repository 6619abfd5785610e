"""Commands, run in this process or in one of their own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from support import free_port
from typer.testing import CliRunner

from pdp.cli.main import app

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "policies"
MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act
"""
SECRET_ISSUER = """[[authentication.issuers]]
issuer = "https://idp.test/"
audiences = ["api"]
algorithms = ["HS256"]
secret_env = "TEST_SECRET"
[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
"""


class Ran:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def pdp(*args: object, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
    """A command in this process."""
    result = CliRunner().invoke(app, [str(a) for a in args], input=stdin, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def process(*args: object, cwd: Path, **env: str) -> Ran:
    """A command in a process of its own."""
    return execute(command(*args), cwd=cwd, env=environment(env))


def execute(words: Sequence[str | bytes], *, cwd: Path | None = None, env: Any = None) -> Ran:
    """Any program, to its end."""
    found = subprocess.run(  # noqa: S603 - what the tests themselves say
        words, check=False, cwd=cwd, env=env, capture_output=True, timeout=60
    )
    out, err = (stream.decode(errors="replace") for stream in (found.stdout, found.stderr))
    return Ran(found.returncode, out, err)


def shell(line: str, *, cwd: Path | None = None) -> Ran:
    """A line as one would paste it."""
    return execute([shutil.which("bash") or "sh", "-c", line], cwd=cwd, env=environment({}))


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "pdp", *(str(a) for a in args)]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PDP_")}
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}


@contextlib.contextmanager
def started(*args: object, until: str, stream: str = "out", **env: str) -> Iterator[Server]:
    """A command that keeps running; what it has printed `until` a text came is in `lines`."""
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - what the tests themselves say
        command(*args), env=environment(env), stdout=pipe, stderr=pipe, text=True
    ) as running:
        server = Server(running)
        try:
            server.read(until, stream)
            yield server
        finally:
            running.kill()


class Server:
    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.process = running
        self.lines: dict[str, list[str]] = {"out": [], "err": []}
        self._queue: queue.Queue[tuple[str, str]] = queue.Queue()
        for name, pipe in (("out", running.stdout), ("err", running.stderr)):
            threading.Thread(target=self._follow, args=(name, pipe), daemon=True).start()

    def _follow(self, name: str, pipe: IO[str]) -> None:
        for line in pipe:
            self._queue.put((name, line.rstrip("\n")))

    def read(self, until: str, stream: str) -> None:
        while True:
            name, line = self._queue.get(timeout=20)
            self.lines[name].append(line)
            if name == stream and until in line:
                return

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


def places() -> list[str]:
    """Flags for two free ports."""
    listen, admin = free_port(), free_port()
    return ["--listen", f"127.0.0.1:{listen}", "--admin-listen", f"127.0.0.1:{admin}"]


def copy_starter(directory: Path) -> Path:
    return Path(shutil.copytree(STARTER, directory / "policies"))


def write_pair(directory: Path, policy: str = "p, alice, /a, GET\n", toml: str = "") -> Path:
    """The smallest directory: one model, one policy, and perhaps settings."""
    directory.mkdir(exist_ok=True)
    (directory / "model.conf").write_text(MODEL)
    (directory / "policy.csv").write_text(policy)
    if toml:
        (directory / "pdp.toml").write_text(toml)
    return directory
