"""Fixtures that every folder shares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
import support

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("pdp", deadline=None)
hypothesis.settings.load_profile("pdp")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The policy directory that the verdict table is about."""
    return support.copy_policies(tmp_path)


@pytest.fixture
async def server(policies: Path) -> AsyncIterator[support.Running]:
    """A PDP over that directory."""
    async with support.pdp(policies) as running:
        yield running
