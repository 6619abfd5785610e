"""The short form of `benchmarks/chaos.py`: real processes, real files, kill -9."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SWAPS = 200  # the long form makes 2,000 of each method
CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


def run(*options: str) -> str:
    command = [sys.executable, str(CHAOS), "--seed", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("method", ["in-place", "rename", "configmap", "git"])
def test_no_answer_is_wrong_or_mixed_while_the_policy_is_swapped(method: str) -> None:
    told = run("--swaps", str(SWAPS), "--kills", "0", "--method", method)
    counts = {key: int(value) for key, value in re.findall(r"([a-z-]+) (\d+)", told)}
    assert (counts["swaps"], counts["wrong"]) == (SWAPS, 0)
    assert counts["activated"] + counts.get("unchanged", 0) == SWAPS
    assert counts["answers"] >= SWAPS
    assert counts.get("torn-rejected", SWAPS // 5) == SWAPS // 5


def test_the_port_is_never_open_without_a_good_policy() -> None:
    told = run("--swaps", "0", "--kills", "6", "--method", "rename")
    assert re.search(r"kill -9 .*kills 6, wrong 0", told)
