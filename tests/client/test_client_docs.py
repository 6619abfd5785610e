"""docs/client.md: what it shows runs, and prints what it says."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import aiohttp
import support
from imposters import serving
from yarl import URL

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "client.md").read_text()
LISTEN = "http://127.0.0.1:7373"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \| (\S+) \| (\d+) \|$", re.MULTILINE)
FIRST, SECOND = PAGE.split("## A service that enforces by itself")


async def run(text: str, url: str) -> dict[str, Any]:
    """What the blocks of a text define, one after the other; each prints what stands below it."""
    found: dict[str, Any] = {}
    for code, shown in BLOCK.findall(text):
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        block = compile(code.replace(LISTEN, url), "client.md", "exec", flags, dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            result = types.FunctionType(block, found)()
            if inspect.isawaitable(result):
                await result
        assert printed.getvalue() == shown
    return found


def test_nothing_of_the_server_is_loaded() -> None:
    line = "import sys, pdp.client; print(*sorted(m for m in sys.modules if m.startswith('pdp.')))"
    done = subprocess.check_output([sys.executable, "-c", line], text=True)  # noqa: S603
    loaded = [name for name in done.split() if not name.startswith("pdp.client")]
    assert loaded == ["pdp.strict_json"]


def test_every_block_is_one_that_runs() -> None:
    assert PAGE.count("```") == 2 * (PAGE.count("```python") + PAGE.count("```text"))
    assert [len(BLOCK.findall(part)) for part in (FIRST, SECOND)] == [4, 3]
    assert sum(bool(shown) for _, shown in BLOCK.findall(PAGE)) == PAGE.count("```text") == 5


async def test_evaluations_and_searches_print_what_the_page_shows() -> None:
    async with support.pdp(ROOT / "docs" / "examples" / "search") as server:
        found = await run(FIRST, server.url)
    assert found["allowed"] is False


async def test_the_service_answers_what_the_page_says(tmp_path: Path) -> None:
    policies = support.copy_policies(tmp_path, ROOT / "policies")
    rows = ROW.findall(SECOND)
    assert len(rows) == 7
    async with support.pdp(policies) as server, aiohttp.ClientSession() as session:
        found = await run(SECOND, server.url)
        async with serving(found["app"]) as url:
            for method, path, who, status in rows:
                whole = URL(url + path, encoded=True)
                async with session.request(method, whole, headers=fields(who)) as response:
                    assert (method, path, response.status) == (method, path, int(status))
    async with support.pdp(policies) as server, aiohttp.ClientSession() as session:
        found = await run(SECOND, server.url)
        found["counter"].cleanup_ctx.append(found["asking"])
        async with serving(found["counter"]) as url:
            for who, status in (("bob", 200), ("alice", 403), ("-", 401)):
                async with session.post(f"{url}/pay/7", headers=fields(who)) as response:
                    assert response.status == status


def fields(who: str) -> dict[str, str]:
    if who not in ("alice", "bob"):
        return {}
    good = support.token(who, iss="https://idp.example.com/", aud="invoices-api")
    return {"Authorization": f"Bearer {good}"}
