"""The command line as a whole: help, version, exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import STARTER, command, environment, execute, pdp, process, shell

from pdp import __version__
from pdp.cli.main import main

COMMANDS = (
    *("demo", "init", "check", "test", "explain", "bench", "token", "key", "serve", "healthcheck"),
)


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
    words = [*command("check"), b"caf\xe9\xff"]
    found = execute(words, cwd=tmp_path, env=environment({"PYTHONIOENCODING": "ascii"}))
    assert found.code == 3
    assert "Traceback" not in found.err


def test_whoever_stops_reading_early_sees_no_traceback() -> None:
    found = shell(" ".join(command("test", "-v", STARTER)) + " | head -n 1")
    assert found.out.startswith("pass cases.yaml:")
    assert "Traceback" not in found.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_broken_pipe_ends_it_quietly(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(sys, "argv", ["pdp", "check", str(STARTER), "--format", form])
    reader, writer = os.pipe()
    os.close(reader)
    with (
        io.TextIOWrapper(os.fdopen(writer, "wb", 0), write_through=True) as gone,
        contextlib.redirect_stdout(gone),
        pytest.raises(SystemExit) as left,
    ):
        main()
    assert left.value.code == 1


def test_what_the_entry_point_leaves_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pdp", "check", "nowhere"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 3
    assert capsys.readouterr().err.startswith("nowhere missing-directory")


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(extra: dict[str, str], coloured: bool) -> None:
    given = {k: v for k, v in environment({}).items() if k != "NO_COLOR"}
    main, side = os.openpty()
    with subprocess.Popen(  # noqa: S603 - what the test itself says
        command("check", STARTER), stdout=side, env={**given, "TERM": "xterm", **extra}
    ) as running:
        assert running.wait(timeout=60) == 0
    os.close(side)
    shown = os.read(main, 4_096)
    os.close(main)
    assert b"no problems" in shown
    assert (b"\x1b[1;32m" in shown) is coloured
    assert "\x1b" not in pdp("check", STARTER).out
