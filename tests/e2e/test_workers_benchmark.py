"""The benchmark of workers runs, and says what its page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support import require

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "workers.md").read_text()


def test_it_ends_with_both_tables_of_the_page() -> None:
    require("wrk", "wrk")
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, str(ROOT / "benchmarks" / "workers.py"), "--short", "--connections=2"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table, sizes = done.stdout.strip().split("\n\n")
    assert table.splitlines()[0] in PAGE
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [
        "evaluation",
        "decision",
        "nginx",
    ]
    found = re.findall(r"(\d+) MB", sizes)
    assert len(found) == 6
    alone, two = int(found[0]), int(found[3])
    assert alone < two < 2 * alone  # what was loaded at the start is shared
