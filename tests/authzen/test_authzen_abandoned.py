"""Searches whose asker has gone are not worked on when their turn comes."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import support
from asking import ask
from yarl import URL

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub != "nobody" && r.obj == p.obj && r.act == p.act
"""
SEARCH: dict[str, Any] = {
    "subject": {"type": "user"},
    "action": {"name": "read"},
    "resource": {"type": "resource", "id": "data"},
}
GONE = 40


async def test_who_has_gone_is_not_searched_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "policy.csv").write_text("p, data, read\n")
    entities = [{"type": "user", "id": f"user-{number}"} for number in range(3_000)]
    (tmp_path / "entities.json").write_text(json.dumps(entities))
    caplog.set_level(logging.INFO, "pdp.search")
    body = json.dumps(SEARCH).encode()
    head = (
        "POST /access/v1/search/subject HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\n"
    )
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    async with support.pdp(tmp_path) as running:
        url = URL(running.url)
        writers = []
        for _ in range(GONE):
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(data)
            writers.append(writer)
        for writer in writers:
            writer.close()
        response, answer = await ask(running, "search/subject", SEARCH)
        assert response.status == 200
        assert answer["results"]
    done = [record for record in caplog.records if record.name == "pdp.search"]
    assert 1 <= len(done) < GONE // 2
