"""The short form of `benchmarks/soak.py`: half a load, with reloads, by a real process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_nothing_is_wrong_under_half_the_load_with_reloads() -> None:
    options = ["--minutes", "0.4", "--rows", "500", "--tokens", "500", "--rate", "150"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(SOAK), *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    answers = re.search(r"(\d+) answers", told)
    assert answers, told
    assert int(answers[1]) > 2_000
    assert "wrong: 0" in told
    for kind in ("old 200", "old 403", "new 200", "new 403"):
        assert f"'{kind}': " in told
    ended = {result: int(times) for result, times in re.findall(r"'(\w+)': (\d+)", told)}
    assert ended["activated"] >= 2
    assert ended["rejected"] == 1
