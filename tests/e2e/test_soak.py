"""The short form of `benchmarks/soak.py`: half a load, with reloads, by a real process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"
FEW = ["--rows", "500", "--tokens", "500", "--rate", "150"]


def soak(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOAK), *FEW, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603


def test_nothing_is_wrong_under_half_the_load_with_reloads(tmp_path: Path) -> None:
    summary, log = tmp_path / "soak.json", tmp_path / "decisions.jsonl"
    done = soak("--minutes", "0.4", "--summary", str(summary), "--", "--decision-log", str(log))
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    assert "wrong: 0" in told
    assert re.search(r"reloads: .*'activated': ", told), told
    seen = json.loads(summary.read_text())
    assert seen["well"]
    assert seen["answers"] > 2_000
    answered = seen["answers by revision and status"]
    assert {"old 200", "old 403", "new 200", "new 403"} < set(answered)
    assert seen["reloads"]["activated"] >= 2
    assert seen["reloads"]["rejected"] == 1
    # What stands behind -- was handed to `pdp serve`.
    assert seen["flags"] == f"--decision-log {log}"
    assert len(log.read_text().splitlines()) >= seen["answers"]


def test_a_pdp_that_does_not_start_ends_it_and_says_why() -> None:
    done = soak("--minutes", "0.1", "--", "--listen", "198.51.100.1:1")
    assert done.returncode == 1
    assert "the PDP does not start" in done.stderr
    assert "not loopback" in done.stderr
