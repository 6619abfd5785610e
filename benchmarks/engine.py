"""How fast the engine decides, against rows, models and pycasbin: `python benchmarks/engine.py`.

    python benchmarks/engine.py --write         # all of it, and docs/benchmarks.md with its plot
    python benchmarks/engine.py --quick         # 10 and 1,000 rows, a few questions, seconds
    python benchmarks/engine.py --models rbac,rest --rows 1000,1000000 --no-casbin

Each model is measured at each size in a process of its own. Ends by itself; exits with 1 if a
process failed, which it does if an answer of ours or of pycasbin's is not the expected one.
`--write` needs matplotlib, which `pip install '.[bench]'` brings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine_models import MODELS
from engine_report import show, write
from engine_rows import USERS
from reporting import machine, tell

HERE = Path(__file__).parent
SIZES = (10, 1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (10, 1_000)
LARGEST_FOR_CASBIN = 100_000  # at a million rows one of its calls takes seconds to a minute
LONGEST_RUN = 600  # seconds

Run = dict[str, Any]


def names(text: str) -> list[str]:
    """Models by name, separated by commas."""
    found = text.split(",")
    if unknown := [name for name in found if name not in MODELS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(MODELS)}")
    return found


def sizes(text: str) -> list[int]:
    """Numbers of rows, separated by commas."""
    found = [int(size) for size in text.replace("_", "").split(",")]
    if any(size < 10 or size % 10 for size in found):
        raise argparse.ArgumentTypeError("give multiples of ten")
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=names, default=list(MODELS), help="separated by commas")
    parser.add_argument("--rows", type=sizes, help="separated by commas")
    parser.add_argument("--requests", type=int, help="of each kind; 20000, or 100 with --quick")
    parser.add_argument("--seconds", type=float, help="at most for each measure of ours; 2")
    parser.add_argument("--casbin-seconds", type=float, help="at most for each of pycasbin's; 2")
    parser.add_argument("--casbin-up-to", type=int, default=LARGEST_FOR_CASBIN, metavar="ROWS")
    parser.add_argument("--no-casbin", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, show these")
    parser.add_argument("--write", action="store_true", help="bring docs/ up to date")
    args = parser.parse_args()
    args.rows = args.rows or list(QUICK_SIZES if args.quick else SIZES)
    args.requests = args.requests or (100 if args.quick else 20_000)
    args.seconds = args.seconds or (0.1 if args.quick else 2.0)
    args.casbin_seconds = args.casbin_seconds or (0.05 if args.quick else 2.0)
    args.users = 1_000 if args.quick else USERS
    return args


def measured(model: str, rows: int, args: argparse.Namespace) -> Run:
    """One model at one size, in a fresh process."""
    command = [sys.executable, str(HERE / "engine_measure.py"), model, str(rows)]
    for name in ("requests", "seconds", "casbin_seconds", "users"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    if args.no_casbin or rows > args.casbin_up_to:
        command += ["--no-casbin"]
    done = subprocess.run(  # noqa: S603 - this very program's other half
        command, capture_output=True, text=True, timeout=LONGEST_RUN, check=False
    )
    if done.returncode:
        raise SystemExit(f"{model} at {rows:,} rows failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def main() -> None:
    args = parse()
    if args.read:
        results = json.loads(args.read.read_text())
    else:
        runs = []
        for rows in args.rows:
            for model in args.models:
                start = time.monotonic()
                runs.append(measured(model, rows, args))
                took = time.monotonic() - start
                told = f"{model} at {rows:,} rows: {took:.1f} s"
                tell(told, sys.stderr)
        results = {"machine": machine(), "users": args.users, "runs": runs}
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    show(results)
    if args.write:
        write(results, HERE.parent / "docs")


if __name__ == "__main__":
    main()
