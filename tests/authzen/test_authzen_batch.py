"""`POST /access/v1/evaluations`: defaults, semantics, and items that go wrong on their own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
from asking import IP, ask, question, user
from support import Running, token

from pdp.runtime.load import load

FIXTURE = Path(__file__).parent / "fixture"
RECORD = {"type": "record", "id": "record-1"}
READ = {"action": {"name": "read"}}
WRITE = {"action": {"name": "write"}}
BOB: dict[str, Any] = {"subject": user("bob"), "resource": RECORD}  # may read it and not write it


@pytest.fixture
async def fixture() -> AsyncIterator[Running]:
    async with support.pdp(FIXTURE) as running:
        yield running


async def decisions(server: Running, body: object) -> list[Any]:
    response, answer = await ask(server, "evaluations", body)
    assert response.status == 200, answer
    return [item["decision"] for item in answer["evaluations"]]


def semantic(name: object) -> dict[str, Any]:
    return {"options": {"evaluations_semantic": name, "later": 1}}


@pytest.mark.parametrize(
    ("name", "items", "found"),
    [
        ("execute_all", [READ, WRITE, READ], [True, False, True]),
        ("deny_on_first_deny", [READ, WRITE, READ], [True, False]),
        ("deny_on_first_deny", [READ, READ], [True, True]),
        ("deny_on_first_deny", [READ, {"action": {}}, READ], [True, False]),
        ("permit_on_first_permit", [WRITE, READ, WRITE], [False, True]),
        ("permit_on_first_permit", [WRITE, {"action": 1}, WRITE], [False, False, False]),
        ("permit_on_first_permit", [READ], [True]),
    ],
)
async def test_a_semantic_ends_the_batch_behind_the_deciding_item(
    fixture: Running, name: str, items: list[Any], found: list[bool]
) -> None:
    assert await decisions(fixture, {**BOB, "evaluations": items, **semantic(name)}) == found


async def test_without_a_semantic_all_are_judged(fixture: Running) -> None:
    for options in ({}, {"options": {}}):
        body = {**BOB, "evaluations": [WRITE, READ], **options}
        assert await decisions(fixture, body) == [False, True]


async def test_an_item_replaces_an_entity_as_a_whole(fixture: Running) -> None:
    archived = {**RECORD, "properties": {"status": "archived"}}
    body = {
        "subject": user("alice"),
        **WRITE,
        "resource": archived,
        "evaluations": [{}, {"resource": RECORD}, {"resource": {"id": "record-1"}}],
    }
    response, answer = await ask(fixture, "evaluations", body)
    told = answer["evaluations"]
    assert [item["decision"] for item in told] == [False, True, False]
    message = "evaluations[2].resource.type: is required"
    assert told[2]["context"]["error"] == {"status": 400, "message": message}
    assert told[2]["context"]["status"] == 400
    assert (response.status, len(told[2]["context"]["decision_id"])) == (200, 36)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({}, "evaluations[1].action: is required"),
        ({"action": None}, "evaluations[1].action: expected `object`, got `null`"),
        ({**READ, "subject": "secret"}, "evaluations[1].subject: expected `object`, got `str`"),
        ({**READ, "context": []}, "evaluations[1].context: expected `object`, got `array`"),
        ({**READ, "context": {"ip": "x"}}, "evaluations[1].context.ip: is not an ip address"),
        ({"action": {"name": ""}}, "evaluations[1].action.name: is empty"),
        ({**READ, "context": {"token": 1}}, "evaluations[1].context.token: must be a string"),
        ("secret", "evaluations[1]: must be an object"),
        (None, "evaluations[1]: must be an object"),
    ],
    ids=str,
)
async def test_an_item_that_goes_wrong_does_not_spoil_the_batch(
    fixture: Running, item: object, message: str
) -> None:
    body = {**BOB, "evaluations": [READ, item, READ]}
    response, answer = await ask(fixture, "evaluations", body)
    told = answer["evaluations"]
    assert (response.status, [one["decision"] for one in told]) == (200, [True, False, True])
    assert told[1]["context"]["error"] == {"status": 400, "message": message}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**BOB, "evaluations": {}}, "evaluations: expected `array`, got `object`"),
        ({**BOB, "evaluations": None}, "evaluations: expected `array`, got `null`"),
        ({**BOB, "evaluations": "secret"}, "evaluations: expected `array`, got `str`"),
        ({**BOB, "evaluations": [READ], "subject": "x"}, "subject: expected `object`, got `str`"),
        ({**BOB, "evaluations": [READ], "action": None}, "action: expected `object`, got `null`"),
        ({"resource": {"type": 1}, "evaluations": [READ]}, "resource.type: expected `str`, got"),
        ({"context": [], "evaluations": [READ]}, "context: expected `object`, got `array`"),
        ({**BOB, "evaluations": [READ] * 4}, "evaluations: holds more than 3 items"),
        (
            {**BOB, "evaluations": [READ], **semantic("secret")},
            "options.evaluations_semantic: must",
        ),
        ({**BOB, "evaluations": [READ], **semantic(1)}, "options.evaluations_semantic: expected"),
        ({**BOB, "evaluations": [READ], "options": []}, "options: expected `object`, got `array`"),
        (
            {**BOB, **semantic("secret")},
            "options.evaluations_semantic: must be one of execute_all,",
        ),
        (BOB, "action: is required"),
        ({**BOB, "evaluations": []}, "action: is required"),
    ],
    ids=lambda v: str(v)[-40:],
)
async def test_what_concerns_the_whole_batch_is_a_400(body: object, message: str) -> None:
    async with support.pdp(FIXTURE, max_batch=3) as server:
        response, answer = await ask(server, "evaluations", body)
        assert (response.status, answer["error"]) == (400, "invalid_request")
        assert answer["message"].startswith(message)
        assert "secret" not in answer["message"]


async def test_a_default_that_no_item_needs_may_be_incomplete(fixture: Running) -> None:
    body = {**BOB, "resource": {}, "evaluations": [{**READ, "resource": RECORD}]}
    assert await decisions(fixture, body) == [True]


async def test_without_items_the_answer_is_a_single_decision(fixture: Running) -> None:
    for more in ({}, {"evaluations": []}):
        _, answer = await ask(fixture, "evaluations", {**BOB, **READ, **more})
        assert (answer["decision"], "evaluations" in answer) == (True, False)


async def test_a_token_for_all_counts_for_each(server: Running) -> None:
    body = {
        **question("alice", token=token("alice")),
        "evaluations": [{}, {"subject": user("bob")}, {"context": {**IP, "token": "x"}}],
    }
    _, answer = await ask(server, "evaluations", body)
    found = [(one["decision"], one["context"]["status"]) for one in answer["evaluations"]]
    assert found == [(True, 200), (False, 403), (False, 401)]


async def test_a_batch_is_judged_by_one_policy(fixture: Running, tmp_path: Path) -> None:
    changed = shutil.copytree(FIXTURE, tmp_path / "policies")
    (changed / "people.csv").write_text("p, alice, record, active, write\n")
    snapshots = [fixture.service.snapshot, load(changed, None, {}, support.places()).snapshot]
    body = {**BOB, **READ, "evaluations": [{}] * 100}

    async def swap() -> None:
        while True:
            fixture.service.snapshot = random.choice(snapshots)  # noqa: S311 - no secret
            await asyncio.sleep(0)

    task = asyncio.create_task(swap())
    try:
        seen = [frozenset(await decisions(fixture, body)) for _ in range(30)]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert set(seen) == {frozenset({True}), frozenset({False})}
