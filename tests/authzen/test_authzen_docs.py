"""docs/authzen.md: each line that it says to type gives what it says it gives."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import support

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "authzen.md").read_text()
BLOCKS = re.findall(r"```console\n\$ (curl .*?)\n(\{.*?)```", PAGE, re.DOTALL)
LISTEN = "http://127.0.0.1:7373"


def fits(found: Any, shown: Any) -> bool:
    """Whether a value is the one that is shown, where an ellipsis stands for any text."""
    if shown == "…":
        return isinstance(found, str) and bool(found)
    if isinstance(shown, dict) and isinstance(found, dict):
        return found.keys() == shown.keys() and all(fits(found[k], v) for k, v in shown.items())
    if isinstance(shown, list) and isinstance(found, list):
        return len(found) == len(shown) and all(map(fits, found, shown))
    return bool(found == shown)


def test_the_page_has_lines_to_type() -> None:
    assert len(BLOCKS) == PAGE.count("```console") == PAGE.count("$ curl") == 8


@pytest.mark.parametrize(("line", "shown"), BLOCKS, ids=[line[30:70] for line, _ in BLOCKS])
async def test_a_line_gives_what_the_page_shows(line: str, shown: str) -> None:
    async with support.pdp(ROOT / "docs" / "examples" / "search") as server:
        command = line.replace(LISTEN, server.url)
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert fits(json.loads(out), json.loads(shown.replace(LISTEN, server.url))), out.decode()


def test_an_ellipsis_stands_for_a_text_only() -> None:
    assert fits({"a": ["x", 1]}, {"a": ["…", 1]})
    assert not fits({"a": [1]}, {"a": ["…"]})
    assert not fits({"a": 1, "b": 2}, {"a": 1})
