"""The short form of `benchmarks/service.py`: its shape; its times mean nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import require

SERVICE = Path(__file__).parents[2] / "benchmarks" / "service.py"
STAND_IN = Path(__file__).with_name("peer_stand_in.py")
QUESTIONS = ["evaluation", "decision", "decision, new tokens", "nginx", "forward"]
SERVERS = ["limit", "log in a file", "no log"]
FIGURES = r"(?: \| [\d,.]+){6} \|"


def short(*flags: str) -> subprocess.CompletedProcess[str]:
    """Few connections, which leave something of the machine to other tests."""
    require("wrk", "wrk")
    command = [sys.executable, str(SERVICE), "--short", "--connections=2", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603


def table(told: str, heading: str) -> list[str]:
    """The rows of the table below that heading."""
    assert f"{heading}\n\n| " in told
    return told.split(f"{heading}\n\n")[1].split("\n\n", 1)[0].splitlines()[2:]


def program(place: Path, name: str) -> str:
    """A program that stands in for the peer of this name."""
    file = place / name
    file.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {name} "$@"\n')
    file.chmod(0o755)
    return str(file)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that it can tell, of one run."""
    place = tmp_path_factory.mktemp("peers")
    done = short("--reload", *(f"--{name}={program(place, name)}" for name in ("cerbos", "opa")))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_tells_of_every_question_and_server(told: str) -> None:
    rows = table(told, "Beside a bare application")
    shapes = [
        rf"\| {question} \| {server}{FIGURES} [\d.]+ \|"
        for question in QUESTIONS
        for server in SERVERS
    ]
    assert len(rows) == len(shapes), told
    assert all(re.fullmatch(shape, row) for shape, row in zip(shapes, rows, strict=True)), rows


def test_peers_are_asked_the_same(told: str) -> None:
    peers = table(told, "Beside other servers")
    shapes = [rf"\| {name}{FIGURES}" for name in ("pdp", r"Cerbos 0\.0\.1", r"OPA 0\.0\.1")]
    assert len(peers) == len(shapes), told
    assert all(re.fullmatch(shape, row) for shape, row in zip(shapes, peers, strict=True)), peers


def test_reloads_are_counted(told: str) -> None:
    (reloads,) = table(told, "While policies are replaced")
    assert re.fullmatch(rf"\| 500 \| half{FIGURES} [\d.]+ \|", reloads), reloads
    assert int(reloads.split(" | ")[3]) >= 1, reloads  # of three: the machine may be busy


def test_a_peer_that_allows_everything_ends_it(tmp_path: Path) -> None:
    done = short("--only", "evaluation", f"--cerbos={program(tmp_path, 'careless')}")
    assert done.returncode == 1
    assert "wrong answer of Cerbos to evaluation" in done.stderr


def test_a_peer_that_does_not_start_ends_it() -> None:
    done = short("--only", "evaluation", "--cerbos=false")
    assert done.returncode == 1
    assert "Cerbos does not start" in done.stderr


def test_a_program_that_is_none_ends_it(tmp_path: Path) -> None:
    done = short("--only", "evaluation", f"--opa={tmp_path / 'none'}")
    assert done.returncode == 1
    assert "none is no program" in done.stderr


def test_a_page_that_is_none_ends_it_at_once(tmp_path: Path) -> None:
    done = short("--only", "evaluation", f"--write={tmp_path / 'none'}")
    assert done.returncode == 1
    assert "no such page" in done.stderr
