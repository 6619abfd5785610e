"""Compares our engine with pycasbin for as many pairs as it is told, and stops by itself.

    python tests/property/long_run.py --pairs 1000000 --seed 7 --out FILE [--share 1/2]

`--share 1/2` and `--share 2/2` split one seed between two processes. Every difference is printed as
a file for tests/cases/differential/. The exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))  # for the judge

from differential import Difference, Tally, run
from differential_cases import written
from reducing import reduced

import pdp

STEP = 20_000  # pairs from one line of progress to the next


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    part, parts = map(int, options.share.split("/"))
    tally, differences, started = Tally(), 0, time.monotonic()
    _tell(options.out, f"engine {Path(pdp.__file__).parent}")
    _tell(options.out, f"seed {options.seed}, part {part} of {parts}, {options.pairs} pairs")
    numbers = count(part - 1, parts)
    while tally.pairs < options.pairs and differences < options.most:
        goal = min(options.pairs, tally.pairs + STEP)
        for difference in run(options.seed, numbers, tally, goal, options.only):
            differences += 1
            _tell(options.out, _report(difference, options))
            if differences >= options.most:
                break
        speed = tally.pairs / (time.monotonic() - started)
        _tell(options.out, f"{tally.pairs} pairs, {differences} differences, {speed:.0f} pairs/s")
    _tell(options.out, "\n".join((f"{differences} differences", *tally.lines())))
    return 1 if differences else 0


def _report(difference: Difference, options: Any) -> str:
    if options.plain:
        return f"difference: {difference}"
    small = reduced(difference)
    return f"difference: {difference}\nmade small: {small}\n{written(small.sample, str(small))}"


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--share", default="1/1", help="which part of a seed: 1/2, 2/2")
    parser.add_argument("--most", type=int, default=20, help="stop after so many differences")
    parser.add_argument("--only", default="", help="only policies that have this text")
    parser.add_argument("--plain", action="store_true", help="do not make differences small")
    parser.add_argument("--out", type=Path, help="append what is printed to this file, too")
    return parser.parse_args(arguments)


def _tell(out: Path | None, text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output
    if out:
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
