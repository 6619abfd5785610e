"""Starts servers for the benchmarks, ends them, and reads what /proc knows of them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 300.0  # a million rows take one
STOP_SECONDS = 60.0


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(place: int | str) -> bool:
    """Whether somebody listens at a port, or at a socket's path."""
    address = ("127.0.0.1", place) if isinstance(place, int) else place
    kind = socket.AF_INET if isinstance(place, int) else socket.AF_UNIX
    with socket.socket(kind) as probe:
        return not probe.connect_ex(address)


def serve(directory: Path, listen: str, admin: str, *flags: str) -> list[str]:
    """The command of a PDP over that directory."""
    places = ("--listen", listen, "--admin-listen", admin)
    return [sys.executable, "-m", "pdp", "serve", str(directory), *places, *flags]


@dataclass(frozen=True, slots=True)
class Pdp:
    """A PDP that may not be ready yet, and its ports."""

    process: subprocess.Popen[bytes]
    port: int
    admin: int


@contextlib.contextmanager
def pdp_over(directory: Path) -> Iterator[Pdp]:
    """A real PDP over that directory, from its first moment on; killed at the end."""
    port, admin = free_port(), free_port()
    command = serve(directory, f"127.0.0.1:{port}", f"127.0.0.1:{admin}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            yield Pdp(process, port, admin)
        finally:
            process.kill()


@contextlib.contextmanager
def started(
    name: str,
    command: Sequence[str],
    ready: Callable[[], bool],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it is ready; SystemExit if it does not start or does not end.

    What it prints goes to `log`; with `quiet` only what goes to standard error.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own
            command,
            stdout=subprocess.DEVNULL if quiet else out,
            stderr=out,
            env={**os.environ, **(env or {})},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} does not start: {log.read_text()[-2_000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:  # by force; and whoever runs this is told
            process.kill()
            process.wait()
            raise SystemExit(f"{name} does not end") from None


def family(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    children: list[str] = []
    with contextlib.suppress(OSError):  # it has ended
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def on_core(pid: int) -> float:
    """How many seconds a process has been on a core by now, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def stolen() -> float:
    """How many seconds the machine's host has kept its cores from it by now, all together."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / TICKS


def megabytes(pid: int, name: str = "VmRSS") -> float:
    """The memory of a process now, or with `VmHWM` the most it ever had; 0 if it ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0
