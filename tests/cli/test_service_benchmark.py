"""The short form of `benchmarks/service.py`: its shape; its times mean nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support import require

SERVICE = Path(__file__).parents[2] / "benchmarks" / "service.py"
QUESTIONS = ["evaluation", "decision", "decision, new tokens", "nginx", "forward"]
SERVERS = ["limit", "log in a file", "no log"]


def test_it_tells_of_every_question_and_server() -> None:
    require("wrk", "wrk")
    command = [sys.executable, str(SERVICE), "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    heading, _, *rows = done.stdout.splitlines()
    assert heading.startswith("| question | server | requests/s |")
    figures = r"\| [\d,]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|"
    shapes = [
        rf"\| {question} \| {server} {figures}" for question in QUESTIONS for server in SERVERS
    ]
    assert len(rows) == len(shapes), done.stdout
    assert all(re.fullmatch(shape, row) for shape, row in zip(shapes, rows, strict=True)), rows
