"""How benchmarks tell what they found: figures, lines, tables, and pages brought up to date."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

Line = Sequence[str]


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that such a part of them does not exceed, by rank."""
    return sorted(values)[(len(values) - 1) * percent // 100]


def tell(line: str = "", to: TextIO | None = None) -> None:
    """Write a line at once, to standard output unless told otherwise."""
    print(line, file=to, flush=True)


def machine() -> dict[str, str]:
    """What the figures depend on beside the code."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(": ")[1] for line in told if line.startswith("model name"))
    return {
        "cpu": next(names, platform.machine()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def markdown_table(columns: Line, cells: Sequence[Line], words: int = 1) -> str:
    """A table as Markdown; all but the first columns are figures, which stand to the right."""
    rule = ["---"] * words + ["---:"] * (len(columns) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *cells))


def aligned(lines: Sequence[Line]) -> list[str]:
    """The first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def put_between(page: Path, name: str, text: str) -> None:
    """Write a text into a page, in place of what stands between the markers of a benchmark."""
    begin = f"<!-- {name}: begin, by benchmarks/{name}.py -->"
    end = f"<!-- {name}: end -->"
    before, rest = page.read_text().split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
