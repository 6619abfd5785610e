"""Half of what a PDP can take, for a long time, with reloads: errors, lateness and memory.

    python benchmarks/soak.py --minutes 30 --summary soak.md     # or soak.json
    python benchmarks/soak.py --rows 1000000 --minutes 1         # what a large policy needs
    python benchmarks/soak.py --minutes 30 -- --workers 2        # more flags of `pdp serve`

First a few seconds at full speed say what half is. Then questions with tokens, more of them than
are remembered, come at that rate, while the policy is swapped every few seconds, one time in four
for one that has to be refused. Old and new policy disagree about everybody, so that each answer
must be what the revision that it names says. Ends by itself; exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from processes import family, megabytes
from reporting import tell
from soak_load import Edits, Load, Seen, meanwhile, reloads, weigh
from soak_made import make_directory, requests, server

CALIBRATION_SECONDS = 5.0
SWAP_SECONDS = 5.0
# Of the memory, from the second quarter to the last.
MOST_GROWTH = 0.05
# In a short run it has not warmed up yet: so many MB more are none.
WARM_MINUTES, WARMING_MB = 10, 16.0

Summary = dict[str, Any]


def growth(memory: list[float]) -> tuple[float, float]:
    """The median of the second quarter, and by how much the last quarter's is more."""
    quarter = max(1, len(memory) // 4)
    parts = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
    before, after = (statistics.median(part) for part in parts)
    return before, after - before


def summarize(given: argparse.Namespace, seen: Seen, rate: float, full: Load) -> Summary:
    """What was seen; `well` says whether all of it was as it must be."""
    seconds = given.minutes * 60
    before, more = growth(seen.memory)
    bound = max(MOST_GROWTH * before, WARMING_MB if given.minutes < WARM_MINUTES else 0.0)
    wrong = seen.wrong + full.seen.wrong
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "rows": given.rows,
        "flags": " ".join(given.flags),
        "seconds": seconds,
        "asked per second": round(rate),
        "answers": len(seen.milliseconds),
        "answers per second": round(len(seen.milliseconds) / seconds),
        "late ms": {f"p{q / 10:g}": round(seen.late(q), 1) for q in (500, 990, 999)},
        "answers by revision and status": dict(sorted(seen.counts.items())),
        "wrong": dict(wrong),
        "memory MB": round(before, 1),
        "memory MB since": round(more, 1),
        "memory grows": more > bound,
        "well": not wrong and more <= bound,
    }


def lines(summary: Summary) -> list[str]:
    """The summary for a person."""
    late = ", ".join(f"{name} {value} ms" for name, value in summary["late ms"].items())
    wrong = summary["wrong"]
    asked = (
        f"asked for {summary['seconds']:.0f} s at {summary['asked per second']}/s: "
        f"{summary['answers']} answers, {summary['answers per second']}/s"
    )
    memory = (
        f"memory: {summary['memory MB']} MB, {summary['memory MB since']:+} MB since; "
        f"at most {summary['most memory MB']} MB"
    )
    told = [
        asked,
        f"late: {late}",
        f"answers by revision and status: {summary['answers by revision and status']}",
        f"wrong: {sum(wrong.values())} {wrong or ''}",
        memory,
        f"reloads: {summary['reloads']}",
    ]
    return told + ["the memory grows"] * summary["memory grows"]


def keep(summary: Summary, file: Path) -> None:
    """Write the summary, as Markdown or, if the name says so, as JSON."""
    if file.suffix == ".json":
        file.write_text(json.dumps(summary, indent=1) + "\n")
    else:
        rows = (f"- {line.rstrip()}" for line in lines(summary))
        heading = f"{summary['rows']:,} rows {summary['flags']}".rstrip()
        file.write_text("\n".join((f"# Soak: {heading}, {summary['day']}", "", *rows, "")))


async def soak(given: argparse.Namespace, base: Path) -> Summary:
    """Calibrate, soak, tell."""
    directory, place = base / "policies", str(base / "pdp")
    key, known = make_directory(directory, given.rows)
    asked, edits = requests(key, given.tokens), Edits(directory, given.rows)
    with server(directory, place, given.flags) as process:
        started = sum(map(megabytes, family(process.pid)))
        tell(f"{given.rows} rows: {started:.1f} MB after the start")
        full, load = Load(place, asked, known), Load(place, asked, known)
        quick = min(CALIBRATION_SECONDS, given.minutes * 20)
        await full.run(quick)
        rate = given.rate or len(full.seen.milliseconds) / quick / 2
        async with meanwhile(edits.go_on(SWAP_SECONDS, load.seen), weigh(process.pid, load.seen)):
            await load.run(given.minutes * 60, rate)
        most = sum(megabytes(one, "VmHWM") for one in family(process.pid))
        if not most:
            sys.exit("the PDP ended")
        summary = summarize(given, load.seen, rate, full)
        return summary | {"most memory MB": round(most, 1), "reloads": dict(await reloads(place))}


def main() -> int:
    """Soak and tell; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--rate", type=float, help="questions a second, instead of half the most")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="what was seen, .md or .json")
    parser.add_argument("flags", nargs="*", help="behind --: more flags of `pdp serve`")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        summary = runner.run(soak(given, Path(name)))
    for line in lines(summary):
        tell(line)
    if given.summary:
        keep(summary, given.summary)
    return 0 if summary["well"] else 1


if __name__ == "__main__":
    sys.exit(main())
