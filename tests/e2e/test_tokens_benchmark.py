"""The short form of `benchmarks/tokens.py`: its shape; its times mean nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOKENS = Path(__file__).parents[2] / "benchmarks" / "tokens.py"
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA", "HS256", "ES384", "RS512"]
PHASES = ["quiet", "bad signatures", "unknown keys"]


def test_it_tells_of_every_algorithm_and_of_a_flood() -> None:
    command = [sys.executable, str(TOKENS), "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    shapes = [
        r"\| algorithm \| remembered \| new \| bare `jwt.decode` \| speed of new \|",
        r"\| ---( \| ---:){4} \|",
        *(rf"\| {alg} \| [\d.]+ \| \d+ \| \d+ \| [\d.]+ \|" for alg in ALGORITHMS),
        "",
        *(rf"{name}: p50 [\d.]+ ms, p99 [\d.]+ ms, added -?[\d.]+ ms" for name in PHASES),
        r"50 unknown keys, \d+ requests for keys",
    ]
    lines = done.stdout.splitlines()
    assert len(lines) == len(shapes), done.stdout
    assert all(re.fullmatch(shape, line) for shape, line in zip(shapes, lines, strict=True))
