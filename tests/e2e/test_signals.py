"""A real process and its signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import free_port


@pytest.fixture
def process(policies: Path) -> Iterator[subprocess.Popen[str]]:
    listen = ["--listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{free_port()}"]
    command = [sys.executable, "-m", "pdp", "serve", str(policies), *listen]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:  # noqa: S603
        yield started
        started.kill()


def told(process: subprocess.Popen[str], message: str) -> dict[str, object]:
    """The next log line with this message; there is one, or the process has ended."""
    assert process.stderr
    for line in process.stderr:
        found: dict[str, object] = json.loads(line)
        if found["message"] == message:
            return found
    raise AssertionError(message)


def test_sighup_reloads_and_sigterm_ends_well(process: subprocess.Popen[str]) -> None:
    serving = told(process, "serving")
    process.send_signal(signal.SIGHUP)
    unchanged = told(process, "policy unchanged")
    assert unchanged["policy_revision"] == serving["policy_revision"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_policy_with_a_mistake_is_an_exit_3(policies: Path) -> None:
    (policies / "rbac.csv").write_text("p, alice\n")
    command = [sys.executable, "-m", "pdp", "serve", str(policies)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    assert done.returncode == 3
    assert "rbac.csv:1 short-row" in done.stderr
