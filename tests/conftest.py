"""Fixtures that every folder shares."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
import support

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("pdp", deadline=None)
hypothesis.settings.load_profile("pdp")


_HERE = Path(__file__).parent
_ANEW = re.compile(r"\$(2[a-z]?|argon2\w*)\$| object at 0x")  # hashes with a salt, addresses


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A name that is the same in every process: tests that run side by side go by it."""
    text = repr(val) if type(val) in (str, bytes, dict, object) else ""
    return argname if _ANEW.search(text) else None


# What goes over the same lines many thousand times, or has the PDP in another process: coverage's
# tracer would take most of its time, and find nothing that other tests do not show.
_UNTRACED = (
    *("e2e/gateways/", "e2e/test_schemathesis.py", "property/"),
    *("policy/test_casbin_examples.py", "policy/test_name_patterns.py"),
    "policy/test_regex_globs.py",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Generated examples are such, too."""
    generated = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if generated or item.path.relative_to(_HERE).as_posix().startswith(_UNTRACED):
        item.add_marker("no_cover")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The policy directory that the verdict table is about."""
    return support.copy_policies(tmp_path)


@pytest.fixture
async def server(policies: Path) -> AsyncIterator[support.Running]:
    """A PDP over that directory."""
    async with support.pdp(policies) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[support.Running]:
    """The same for all tests of a file, which leave nothing behind and run in one loop."""
    async with support.pdp(support.copy_policies(tmp_path_factory.mktemp("shared"))) as running:
        yield running
