"""Starts the servers of others that service.py measures beside a PDP, where they are found."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers_made import cerbos_scenario, opa_scenario, write_cerbos, write_opa
from processes import free_port
from service_made import Scenario
from service_servers import Server, running

# What Go would see for itself on a pinned process; said, so that no version can differ.
ENVIRONMENT = {"GOMAXPROCS": "1", "CERBOS_NO_TELEMETRY": "1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of others under way, and how it is asked."""

    server: Server
    scenario: Scenario
    version: str


def found(name: str, given: str | None) -> str | None:
    """The program, as given or on PATH; SystemExit if a given one is none."""
    program = shutil.which(given or name)
    if given and program is None:
        raise SystemExit(f"{given} is no program")
    return program


def version(program: str, command: str) -> str:
    """What the program says of its version: the first line's last word that has a digit."""
    done = subprocess.run(  # noqa: S603 - the operator's own
        [program, command], capture_output=True, text=True, timeout=30, check=True
    )
    words = (done.stdout or done.stderr).split("\n", 1)[0].split()
    return next((word for word in reversed(words) if any(map(str.isdigit, word))), "?")


def start_cerbos(stack: contextlib.ExitStack, place: Path, program: str) -> Peer:
    """Cerbos, with its decision log in a file and its metrics on."""
    http = free_port()
    config = write_cerbos(place / "cerbos", http, free_port())
    command = [program, "server", "--log-level=error", f"--config={config}"]
    server = stack.enter_context(
        running("Cerbos", command, http, place / "cerbos.log", ENVIRONMENT)
    )
    return Peer(server, cerbos_scenario(), f"Cerbos {version(program, '--version')}")


def start_opa(stack: contextlib.ExitStack, place: Path, program: str) -> Peer:
    """OPA, with its decision log on its output, which is a file; it has metrics always."""
    port = free_port()
    files = map(str, write_opa(place / "opa"))
    command = [program, "run", "--server", f"--addr=127.0.0.1:{port}", "--log-level=error"]
    command += ["--disable-telemetry", "--set=decision_logs.console=true", *files]
    server = stack.enter_context(running("OPA", command, port, place / "opa.log", ENVIRONMENT))
    return Peer(server, opa_scenario(), f"OPA {version(program, 'version')}")


START = {"cerbos": start_cerbos, "opa": start_opa}


def start_peers(
    stack: contextlib.ExitStack, place: Path, given: dict[str, str | None]
) -> list[Peer]:
    """Every peer that is found; `given` is where each one is, if not on PATH."""
    programs = ((name, found(name, given.get(name))) for name in START)
    return [START[name](stack, place, program) for name, program in programs if program]
