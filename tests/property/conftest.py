"""How much is generated: `--pairs N`, or `PDP_PAIRS=N` in the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))  # for the judge

CI_PAIRS = 2_400


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", type=int, help="policy and request pairs to compare with pycasbin")


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest) -> int:
    asked = request.config.getoption("--pairs", None) or os.environ.get("PDP_PAIRS")
    return int(asked or CI_PAIRS)
