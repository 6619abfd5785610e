"""A search names nobody and nothing that an evaluation could not be asked about by that name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import support
from asking import ask, user

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
# The last row denies what an evaluation of `/secret?x` is about.
RULES = """p, alice, /ok, read, allow
p, alice, plain, read, allow
p, alice, /a//b, read, allow
p, alice, /x/../y, read, allow
p, alice, /%41, read, allow
p, alice, /caf%c3%a9, read, allow
p, alice, /secret?x, read, allow
p, alice, /secret, read, deny
p, , /ok, read, allow
p, alice, /ok, , allow
"""
ENTITIES = [{"type": "user", "id": name} for name in ("", "a\nb", "x" * 9_000, "bob")]


async def search(running: support.Running, kind: str, **body: Any) -> list[str]:
    response, found = await ask(running, f"search/{kind}", body)
    assert response.status == 200
    return [result.get("id", result.get("name")) for result in found["results"]]


async def test_only_what_can_be_asked_about_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "policy.csv").write_text(RULES + "p, anonymous, plain, write, allow\n")
    (tmp_path / "entities.json").write_text(json.dumps(ENTITIES))
    alice, page = user("alice"), {"type": "resource", "id": "/ok"}
    read, plain = {"name": "read"}, {"type": "resource", "id": "plain"}
    async with support.pdp(tmp_path) as running:
        resources = await search(
            running, "resource", subject=alice, action=read, resource={"type": "resource"}
        )
        assert resources == ["/ok", "plain"]
        actions = await search(running, "action", subject=alice, resource=page)
        assert actions == ["read"]
        people = {"type": "user"}
        assert await search(running, "subject", subject=people, action=read, resource=page) == [
            "alice"
        ]
        everybody = await search(
            running, "subject", subject=people, action={"name": "write"}, resource=plain
        )
        assert everybody == ["alice", "bob"]
