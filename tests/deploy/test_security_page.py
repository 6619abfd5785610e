"""The page on security is compared with the suite: every threat has a test, and it exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
THREATS = 35


def threats() -> Iterator[tuple[int, str, str, list[str]]]:
    """Number, threat, what is done, and the tests of every row."""
    for line in PAGE.read_text().splitlines():
        if re.match(r"\| \d+ \|", line):
            number, threat, does, held = (cell.strip() for cell in line.split("|")[1:-1])
            yield int(number), threat, does, held.split(", ")


def functions(file: Path) -> set[str]:
    """The tests that pytest finds in a file."""
    tree = ast.parse(file.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_threat_has_its_row_in_order() -> None:
    assert [number for number, *_ in threats()] == [*range(1, THREATS + 1)]
    assert all(threat and does for _, threat, does, _ in threats())


@pytest.mark.parametrize("name", sorted({name for *_, held in threats() for name in held}))
def test_every_test_that_is_named_exists(name: str) -> None:
    found = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", name)
    assert found, name
    assert found[2] in functions(ROOT / "tests" / found[1])
