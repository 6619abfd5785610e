"""docs/examples: the interoperability scenarios as policies, checked, tested and asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
from asking import ask
from support import Running
from typer.testing import CliRunner

from pdp.cli.main import app

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
NAMES = ("todo", "api-gateway", "search")
PEOPLE = {
    name: f"CiRmZD{code}MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"
    for name, code in {
        "rick": "A2",
        "morty": "E2",
        "summer": "I2",
        "beth": "M2",
        "jerry": "Q2",
    }.items()
}
MAILS = {
    name: f"{name}@{'the-citadel.com' if name in ('rick', 'morty') else 'the-smiths.com'}"
    for name in PEOPLE
}
EDITORS = ("rick", "morty", "summer")


@pytest.mark.parametrize("name", [*NAMES, "fixture"])
def test_each_policy_has_no_flaw_and_its_cases_hold(name: str) -> None:
    fixture = Path(__file__).parent / "fixture"
    place = str(fixture if name == "fixture" else EXAMPLES / name)
    for command in (["check", "--strict"], ["test", "--fail-under", "85"]):
        ran = CliRunner().invoke(app, [*command, place])
        assert ran.exit_code == 0, ran.output


async def serve(name: str) -> AsyncIterator[Running]:
    async with support.pdp(EXAMPLES / name) as running:
        yield running


@pytest.fixture
async def todo() -> AsyncIterator[Running]:
    async for running in serve("todo"):
        yield running


@pytest.fixture
async def gateway() -> AsyncIterator[Running]:
    async for running in serve("api-gateway"):
        yield running


@pytest.fixture
async def records() -> AsyncIterator[Running]:
    async for running in serve("search"):
        yield running


async def decides(server: Running, subject: dict[str, Any], action: str, resource: Any) -> bool:
    body = {"subject": subject, "action": {"name": action}, "resource": resource, "context": {}}
    response, answer = await ask(server, "evaluation", body)
    assert response.status == 200
    return bool(answer["decision"])


def entry(owner: str) -> dict[str, Any]:
    number = "7240d0db-8ff0-41ec-98b2-34a096273b9f"
    return {"type": "todo", "id": number, "properties": {"ownerID": MAILS[owner]}}


@pytest.mark.parametrize("name", PEOPLE)
async def test_the_todo_application(todo: Running, name: str) -> None:
    me = {"type": "user", "id": PEOPLE[name]}
    other = "jerry" if name != "jerry" else "beth"
    whole = {"type": "todo", "id": "todo-1"}
    for person in (MAILS["beth"], PEOPLE[name]):
        assert await decides(todo, me, "can_read_user", {"type": "user", "id": person})
    assert await decides(todo, me, "can_read_todos", whole)
    assert await decides(todo, me, "can_create_todo", whole) is (name in EDITORS)
    for action in ("can_update_todo", "can_delete_todo"):
        assert await decides(todo, me, action, entry(name)) is (name in EDITORS)
        assert await decides(todo, me, action, entry(other)) is (name == "rick")


@pytest.mark.parametrize(
    ("name", "found"),
    [("rick", [True, True]), ("morty", [False, True]), ("jerry", [False, False])],
)
async def test_which_entries_the_todo_application_shows_as_ones_own(
    todo: Running, name: str, found: list[bool]
) -> None:
    body = {
        "subject": {"type": "user", "id": PEOPLE[name]},
        "action": {"name": "can_update_todo"},
        "resource": {},
        "context": {},
        "evaluations": [{"resource": entry("summer")}, {"resource": entry(name)}],
    }
    _, answer = await ask(todo, "evaluations", body)
    assert [item["decision"] for item in answer["evaluations"]] == found


@pytest.mark.parametrize("name", PEOPLE)
async def test_the_gateway_before_it(gateway: Running, name: str) -> None:
    me = {"type": "identity", "id": PEOPLE[name]}
    for action, route, all_may in (
        ("GET", "/users/{userId}", True),
        ("GET", "/todos", True),
        ("POST", "/todos", False),
        ("PUT", "/todos/{todoId}", False),
        ("DELETE", "/todos/{todoId}", False),
    ):
        resource = {"type": "route", "id": route}
        assert await decides(gateway, me, action, resource) is (all_may or name in EDITORS)


STAFF = {
    "alice": ("manager", "Sales"),
    "bob": ("employee", "Legal"),
    "carol": ("contractor", "Legal"),
    "dan": ("manager", "Finance"),
    "erin": ("employee", "Finance"),
    "felix": ("contractor", "Accounting"),
}
OWNERS = ("alice", "bob", "carol", "dan", "erin", "felix")
LEGAL, SALES, FINANCE = (101, 102, 103, 105, 108, 112, 116, 117, 119), (107, 110, 113), (115,)


def department(number: int) -> str:
    named = {"Legal": LEGAL, "Sales": SALES, "Finance": FINANCE}
    return next((name for name, numbers in named.items() if number in numbers), "Accounting")


def owner(number: int) -> str:
    return OWNERS[(number - 101) % 6]


def may(name: str, action: str, number: int) -> bool:
    """The scenario's rules, said once more."""
    role, own = STAFF[name]
    inside = own == department(number)
    if owner(number) == name:
        return True
    if action == "view":
        return inside or role == "manager"
    return action == "edit" and inside and role == "manager"


ACTIONS = ("delete", "edit", "view")
NUMBERS = range(101, 121)


async def results(server: Running, to: str, body: object) -> list[Any]:
    response, answer = await ask(server, f"search/{to}", body)
    assert response.status == 200
    return list(answer["results"])


async def test_who_may_on_each_record(records: Running) -> None:
    for number in NUMBERS:
        for action in ACTIONS:
            body = {
                "subject": {"type": "user"},
                "action": {"name": action},
                "resource": {"type": "record", "id": str(number)},
            }
            expected = [{"type": "user", "id": n} for n in STAFF if may(n, action, number)]
            assert await results(records, "subject", body) == expected


async def test_on_what_each_may(records: Running) -> None:
    for name in STAFF:
        for action in ACTIONS:
            body = {
                "subject": {"type": "user", "id": name},
                "action": {"name": action},
                "resource": {"type": "record"},
            }
            numbers = [number for number in NUMBERS if may(name, action, number)]
            expected = [{"type": "record", "id": str(number)} for number in numbers]
            assert await results(records, "resource", body) == expected


async def test_what_each_may_on_each_record(records: Running) -> None:
    for name in STAFF:
        for number in NUMBERS:
            body = {
                "subject": {"type": "user", "id": name},
                "resource": {"type": "record", "id": str(number)},
            }
            expected = [{"name": action} for action in ACTIONS if may(name, action, number)]
            assert await results(records, "action", body) == expected


@pytest.mark.parametrize(
    ("to", "body"),
    [
        ("subject", {"subject": {"type": "user"}, "resource": {"type": "record", "id": "999"}}),
        ("resource", {"subject": {"type": "user", "id": "zoe"}, "resource": {"type": "record"}}),
        ("resource", {"subject": {"type": "user", "id": "bob"}, "resource": {"type": "film"}}),
    ],
)
async def test_what_is_not_known_gives_an_empty_list(
    records: Running, to: str, body: dict[str, Any]
) -> None:
    assert await results(records, to, {**body, "action": {"name": "view"}}) == []
