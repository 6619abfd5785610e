"""The PDP that accepts every kind of credential."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from credentialed import serving
from support import Running


@pytest.fixture
async def accepting(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path) as running:
        yield running
