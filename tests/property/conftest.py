"""How much is generated, and of which seed: `--pairs N`, `--seed N`, or `PDP_PAIRS=N`."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))  # for the judge

CI_PAIRS = 20_000
CI_SEED = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", type=int, help="policy and request pairs to compare with pycasbin")
    parser.addoption("--seed", type=int, help="which policies; without it, with --pairs, any")


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest) -> int:
    asked = request.config.getoption("--pairs", None) or os.environ.get("PDP_PAIRS")
    return int(asked or CI_PAIRS)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest, pairs: int) -> int:
    asked = request.config.getoption("--seed", None)
    if asked is not None:
        return int(asked)
    return CI_SEED if pairs == CI_PAIRS else random.SystemRandom().randrange(1 << 32)
