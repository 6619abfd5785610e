"""The short form of `benchmarks/loading.py`: its shape, and that work grows with the rows alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOADING = Path(__file__).parents[2] / "benchmarks" / "loading.py"


def run(*options: str) -> str:
    command = [sys.executable, str(LOADING), "--short", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run("--json"))
    return told


def test_it_tells_stages_memory_and_lateness(found: dict[str, Any]) -> None:
    assert list(found["seconds"]) == ["read", "rows", "checks", "rest", "whole"]
    assert found["rows"] == 1_000
    assert 0 < found["bytes_per_row"] < 100_000
    assert list(found["late_ms"]) == ["idle", "loading", "swapping"]
    assert all(
        list(late) == ["median", "p99", "worst", "own"] for late in found["late_ms"].values()
    )


def test_the_work_grows_with_the_rows_and_no_faster(found: dict[str, Any]) -> None:
    few, many = (found["steps_per_row"][rows] for rows in ("400", "4000"))
    assert 0 < many <= 1.2 * few


def test_it_tells_people_the_same() -> None:
    lines = run().splitlines()
    shapes = [
        r"1000 rows: read [\d.]+ s, rows .*, checks .*, rest .*, whole [\d.]+ s",
        r"memory: \d+ bytes a row",
        *(rf"late while {phase}: .*" for phase in ("idle", "loading", "swapping")),
        r"byte codes a row: \d+ at 400 rows, \d+ at 4000 rows",
    ]
    assert len(lines) == len(shapes)
    assert all(re.fullmatch(shape, line) for shape, line in zip(shapes, lines, strict=True))
