"""The command line as a whole: help, version, exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cli_runs import STARTER, command, environment, pdp, process

from pdp import __version__

COMMANDS = ("demo", "init", "check", "test", "explain", "token", "serve", "healthcheck")


def test_without_a_command_there_is_help() -> None:
    found = pdp()
    assert found.code == 2
    assert all(name in found.out + found.err for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    found = pdp(name, "--help")
    assert found.code == 0
    assert "For example:" in found.out
    assert f"  pdp {name}" in found.out


def test_the_version() -> None:
    assert pdp("--version").out == f"pdp {__version__}\n"


@pytest.mark.parametrize(
    "args",
    [
        ["nope"],
        ["check", "--nope"],
        ["check", "a", "b"],
        ["check", "--format", "xml"],
        ["explain", "--action", "GET"],
        ["token", "--sub", "alice"],
        ["serve", "a", "--policies", "b"],
    ],
)
def test_bad_usage_is_2(args: list[str]) -> None:
    found = pdp(*args)
    assert found.code == 2
    assert found.err
    assert found.out == ""


@pytest.mark.parametrize(
    "args",
    [
        ["check", "nowhere"],
        ["test", "nowhere"],
        ["serve", "nowhere"],
        ["explain", "nowhere", "--action", "GET", "--resource", "/"],
        ["token", "--policies", "nowhere", "--key", "k", "--sub", "alice"],
    ],
)
def test_a_directory_that_does_not_exist_is_3(args: list[str]) -> None:
    found = pdp(*args)
    assert found.code == 3
    assert "nowhere missing-directory" in found.err


def test_a_path_that_the_system_refuses_is_3_without_a_traceback() -> None:
    found = pdp("check", "a" * 5_000)
    assert found.code == 3
    assert "too long" in found.err


def test_the_directory_comes_from_the_environment_or_is_policies(tmp_path: Path) -> None:
    assert pdp("check", env={"PDP_POLICIES": str(STARTER)}).code == 0
    assert process("check", cwd=STARTER.parent).code == 0
    assert process("check", cwd=tmp_path).code == 3


def test_no_traceback_where_the_terminal_is_not_utf_8(tmp_path: Path) -> None:
    name = b"caf\xe9\xff"
    found = subprocess.run(
        [*command("check"), name],
        cwd=tmp_path,
        env=environment({"PYTHONIOENCODING": "ascii"}),
        capture_output=True,
        timeout=60,
    )
    assert found.returncode == 3
    assert b"Traceback" not in found.stderr


def test_whoever_stops_reading_early_sees_no_traceback() -> None:
    line = " ".join(command("test", "-v", str(STARTER))) + " | head -n 1"
    found = subprocess.run(
        ["bash", "-c", line], env=environment({}), capture_output=True, text=True, timeout=60
    )
    assert found.stdout.startswith("pass cases.yaml:")
    assert "Traceback" not in found.stderr


def test_colour_is_for_terminals_that_want_it(tmp_path: Path) -> None:
    assert "\x1b" not in process("check", STARTER, cwd=tmp_path).out
    line = " ".join(command("check", str(STARTER)))
    for extra, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        kept = {k: v for k, v in environment({}).items() if k not in ("NO_COLOR", "TERM")}
        found = subprocess.run(
            ["script", "-qec", line, "/dev/null"],
            env={**kept, **extra},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert "no problems" in found.stdout
        assert ("\x1b[1;32m" in found.stdout) is coloured
