"""The PDP that accepts every kind of credential."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from credentialed import NO_LIMITS, serving
from support import Running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def accepting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The same for all tests of a file, which run in one loop."""
    async with serving(tmp_path_factory.mktemp("accepting"), more=NO_LIMITS) as running:
        yield running


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Running]:
    """One for a test of its own, with the log in `tmp_path`."""
    async with serving(tmp_path) as running:
        yield running
