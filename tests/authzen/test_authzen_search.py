"""The search endpoints: pages, their tokens, and that they find what evaluations permit."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
from asking import add_callers, ask, key, user
from support import Running
from test_faults import broken_index

FIXTURE = Path(__file__).parent / "fixture"
PEOPLE = [f"user-{number:02}" for number in range(25)]
READERS: dict[str, Any] = {
    "subject": {"type": "user"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "record-1"},
}
RECORDS = {**READERS, "subject": user("alice"), "resource": {"type": "record"}}
ACTIONS = {"subject": user("alice"), "resource": READERS["resource"]}
AUTHENTICATION = """
[authentication]
realm = "tests"
authenticated_role = "authenticated"
[[authentication.issuers]]
issuer = "https://idp.test/"
audiences = ["api"]
algorithms = ["EdDSA"]
public_key_file = "issuer.pem"

[[layers]]
name = "members"
kind = "grant"
model = "members.conf"
policy = "members.csv"

"""
MEMBERS = """[request_definition]
r = sub, obj, act
[policy_definition]
p = role, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.role) && r.act == p.act && r.obj.status == "active"
"""


@pytest.fixture
async def fixture() -> AsyncIterator[Running]:
    async with support.pdp(FIXTURE) as running:
        yield running


def many(directory: Path, people: list[str]) -> Path:
    """The fixture with more people who read its records, so that callers get several pages."""
    policies = shutil.copytree(FIXTURE, directory / "many")
    (policies / "cases.yaml").unlink()
    (policies / "people.csv").write_text("".join(f"p, {n}, record, active, read\n" for n in people))
    entities = json.loads((policies / "entities.json").read_text())
    entities += [{"type": "user", "id": name} for name in people]
    (policies / "entities.json").write_text(json.dumps(entities))
    return policies


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Running]:
    async with support.pdp(many(tmp_path, PEOPLE), max_page=20) as running:
        yield running


async def search(server: Running, to: str, body: object, caller: str | None = None) -> Any:
    response, answer = await ask(server, f"search/{to}", body, key(caller) if caller else None)
    assert response.status == 200, answer
    return answer


async def refused(server: Running, body: object, to: str = "subject", **options: Any) -> str:
    response, answer = await ask(server, f"search/{to}", body, **options)
    assert (response.status, answer["error"]) == (400, "invalid_request")
    return str(answer["message"])


def ids(answer: Any) -> list[str]:
    return [result["id"] for result in answer["results"]]


async def pages(server: Running, to: str, body: dict[str, Any], page: dict[str, Any]) -> list[Any]:
    """All pages, one behind the other; the last one has an empty token."""
    found = [await search(server, to, {**body, "page": page})]
    while token := found[-1]["page"]["next_token"]:
        found.append(await search(server, to, {**body, "page": {"token": token}}))
    return found


@pytest.mark.parametrize("limit", [1, 7, 20])
async def test_pages_hold_everything_once(crowd: Running, limit: int) -> None:
    found = await pages(crowd, "subject", READERS, {"limit": limit})
    names = [name for page in found for name in ids(page)]
    assert names == PEOPLE
    assert [page["page"]["count"] for page in found] == [len(ids(page)) for page in found]
    assert max(len(ids(page)) for page in found) <= limit


async def test_what_does_not_fit_into_one_answer_has_a_page_unasked(crowd: Running) -> None:
    first = await search(crowd, "subject", READERS)
    assert ids(first) == PEOPLE[:20]
    rest = {**READERS, "page": {"token": first["page"]["next_token"]}}
    assert ids(await search(crowd, "subject", rest)) == PEOPLE[20:]


async def test_what_fits_has_a_page_only_if_it_was_asked_for(fixture: Running) -> None:
    assert await search(fixture, "resource", RECORDS) == {
        "results": [{"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}]
    }
    for page in ({}, {"limit": 10}, {"token": ""}):
        answer = await search(fixture, "resource", {**RECORDS, "page": page})
        assert answer["page"] == {"next_token": "", "count": 2}


async def test_a_page_of_actions(fixture: Running) -> None:
    found = await pages(fixture, "action", ACTIONS, {"limit": 1})
    names = [result for page in found for result in page["results"]]
    assert names == [{"name": "read"}, {"name": "write"}]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"limit": 0}, "page.limit: must be from 1 to 20"),
        ({"limit": -1}, "page.limit: must be from 1 to 20"),
        ({"limit": 21}, "page.limit: must be from 1 to 20"),
        ({"limit": 10**30}, "page.limit: "),
        ({"limit": "1"}, "page.limit: expected `int | null`, got `str`"),
        ({"limit": True}, "page.limit: expected `int | null`, got `bool`"),
        ({"limit": 1.5}, "page.limit: expected `int | null`, got `float`"),
        ({"token": 1}, "page.token: expected `str`, got `int`"),
        ({"token": "secret"}, "page.token: is not one that was given for this search"),
        ({"token": "A" * 100}, "page.token: is not one that was given for this search"),
        ({"token": "\u00e4"}, "page.token: is not one that was given for this search"),
        ([], "page: expected `object`, got `array`"),
        (None, "page: expected `object`, got `null`"),
    ],
    ids=str,
)
async def test_a_bad_page_is_a_400(crowd: Running, page: object, message: str) -> None:
    told = await refused(crowd, {**READERS, "page": page})
    assert told.startswith(message)
    assert "secret" not in told


async def test_a_token_is_good_for_its_search_only(crowd: Running, fixture: Running) -> None:
    first = await search(crowd, "subject", {**READERS, "page": {"limit": 5}})
    token = first["page"]["next_token"]
    good = {**READERS, "page": {"token": token}}
    assert ids(await search(crowd, "subject", good)) == PEOPLE[5:10]
    assert ids(await search(crowd, "subject", {**good, "page": {"token": token, "limit": 5}}))
    ignored = {**good, "subject": {"type": "user", "id": "x", "later": 1}, "foo": 1}
    assert ids(await search(crowd, "subject", ignored)) == PEOPLE[5:10]
    foreign = "page.token: is not one that was given for this search"
    for change in (
        {"subject": {"type": "robot"}},
        {"action": {"name": "write"}},
        {"action": {"name": "read", "properties": {"a": 1}}},
        {"resource": {"type": "record", "id": "record-2"}},
        {"resource": {**READERS["resource"], "properties": {"status": "active"}}},
        {"context": {"a": 1}},
    ):
        assert await refused(crowd, {**good, **change}) == foreign
    assert await refused(crowd, {**RECORDS, "page": {"token": token}}, "resource") == foreign
    assert await refused(fixture, good) == foreign  # of another process
    other = {**good, "page": {"token": token, "limit": 6}}
    assert await refused(crowd, other) == "page.limit: is not that of the search's first page"


async def test_no_letter_of_a_token_can_be_changed(crowd: Running) -> None:
    first = await search(crowd, "subject", {**READERS, "page": {"limit": 5}})
    token = first["page"]["next_token"]
    altered = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(40)]
    for forged in (*altered, token[:-1], token + "A", token + "=", token + "\n", " " + token):
        await refused(crowd, {**READERS, "page": {"token": forged}})


async def test_a_token_tells_nothing(crowd: Running) -> None:
    tokens = [
        (await search(crowd, "subject", {**READERS, "page": {"limit": 5}}))["page"]["next_token"]
        for _ in range(2)
    ]
    assert tokens[0] != tokens[1]
    content = [base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)) for token in tokens]
    assert not any(b"user" in bytes_ or b"sha256" in bytes_ for bytes_ in content)


async def test_a_token_of_an_earlier_policy_says_so(crowd: Running, tmp_path: Path) -> None:
    first = await search(crowd, "subject", {**READERS, "page": {"limit": 5}})
    page = {"token": first["page"]["next_token"]}
    with (tmp_path / "many" / "people.csv").open("a") as file:
        file.write("p, zoe, record, active, read\n")
    response, _ = await crowd.ask("POST", "/v1/reload", admin=True)
    assert response.status == 200
    told = await refused(crowd, {**READERS, "page": page})
    assert told == "page.token: is of an earlier policy: begin the search anew"


async def test_a_search_takes_no_token_of_the_subject(fixture: Running) -> None:
    for to, body in (("subject", READERS), ("resource", RECORDS), ("action", ACTIONS)):
        told = await refused(fixture, {**body, "context": {"token": "secret"}}, to)
        assert told == "context.token: is not for searches: they go by the subject"


@pytest.mark.parametrize(
    ("to", "body", "message"),
    [
        ("subject", {**READERS, "subject": {}}, "subject.type: is required"),
        ("subject", {**READERS, "subject": "user"}, "subject: expected `object`, got `str`"),
        ("subject", {**READERS, "subject": {"type": ""}}, "subject.type: is empty"),
        ("subject", {**READERS, "resource": {"type": "record"}}, "resource.id: is required"),
        ("subject", {**READERS, "action": {}}, "action.name: is required"),
        ("resource", {**RECORDS, "resource": {}}, "resource.type: is required"),
        ("resource", {**RECORDS, "subject": {"type": "user"}}, "subject.id: is required"),
        ("action", {"subject": user("a")}, "resource: is required"),
        ("action", {**ACTIONS, "context": []}, "context: expected `object`, got `array`"),
    ],
)
async def test_a_bad_search_names_the_member(
    fixture: Running, to: str, body: object, message: str
) -> None:
    assert await refused(fixture, body, to) == message


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Running]:
    """The fixture with authentication: not every caller's word counts, nor is everybody known."""
    policies = shutil.copytree(FIXTURE, tmp_path / "policies")
    (policies / "issuer.pem").write_bytes(support.PEM)
    settings = policies / "pdp.toml"
    settings.write_text(AUTHENTICATION + settings.read_text())
    (policies / "members.conf").write_text(MEMBERS)
    (policies / "members.csv").write_text("p, authenticated, list\np, anonymous, ping\n")
    entities = json.loads((policies / "entities.json").read_text())
    entities.append({"type": "user", "id": "anonymous"})
    (policies / "entities.json").write_text(json.dumps(entities))
    async with support.pdp(add_callers(policies)) as running:
        yield running


DOINGS = ("delete", "list", "ping", "read", "write")
NAMES = ("alice", "bob")  # and never `anonymous`, who is nobody
SUBJECTS = [user("alice"), user("bob"), user("bob", role="guest"), user("kim", role="admin")]
SUBJECTS += [user("alice", role="admin"), user("anonymous", role="admin")]
RESOURCES: list[dict[str, Any]] = [
    {"type": "record", "id": name, **properties}
    for name in ("record-1", "record-2", "record-9")
    for properties in ({}, *({"properties": {"status": s}} for s in ("active", "archived")))
]


@pytest.mark.parametrize("caller", ["voucher", "gateway"])
async def test_a_search_finds_what_an_evaluation_permits_to_the_same_caller(
    strict: Running, caller: str
) -> None:
    async def may(asked: dict[str, Any]) -> bool:
        _, answer = await ask(strict, "evaluation", asked, key(caller))
        return bool(answer["decision"])

    for action in DOINGS:
        for resource in RESOURCES:
            asked = {**READERS, "action": {"name": action}, "resource": resource}
            permitted = [n for n in NAMES if await may({**asked, "subject": user(n)})]
            assert ids(await search(strict, "subject", asked, caller)) == permitted
    for subject in SUBJECTS:
        for action in DOINGS:
            asked = {**RECORDS, "action": {"name": action}, "subject": subject}
            records = [{"type": "record", "id": name} for name in ("record-1", "record-2")]
            permitted = [r["id"] for r in records if await may({**asked, "resource": r})]
            assert ids(await search(strict, "resource", asked, caller)) == permitted
        for resource in RESOURCES:
            asked = {"subject": subject, "resource": resource}
            names = [{"name": name} for name in DOINGS]
            permitted = [n for n in names if await may({**asked, "action": n})]
            assert (await search(strict, "action", asked, caller))["results"] == permitted


async def test_a_callers_token_is_no_good_to_another(strict: Running) -> None:
    asked = {**READERS, "page": {"limit": 1}}
    token = (await search(strict, "subject", asked, "voucher"))["page"]["next_token"]
    told = await refused(
        strict, {**READERS, "page": {"token": token}}, "subject", headers=key("auditor")
    )
    assert told == "page.token: is not one that was given for this search"


async def test_a_bug_is_a_503_and_not_an_empty_list(fixture: Running) -> None:
    fixture.service.snapshot = broken_index(fixture.service.snapshot, "people")
    for to, body in (("subject", READERS), ("resource", RECORDS), ("action", ACTIONS)):
        response, answer = await ask(fixture, f"search/{to}", body, {"X-Request-ID": "a"})
        assert (response.status, answer["error"]) == (503, "unavailable")
        assert response.headers["X-Request-ID"] == "a"


async def test_a_search_is_logged_with_what_was_asked_and_how_much_was_found(
    fixture: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.search")
    await search(fixture, "resource", {**RECORDS, "page": {"limit": 1}})
    (record,) = [r for r in caplog.records if r.name == "pdp.search"]
    facts = record.facts  # type: ignore[attr-defined]
    assert facts.pop("duration_us") >= 0
    assert facts == {
        "surface": "authzen",
        "search": "resource",
        "subject": "alice",
        "action": "read",
        "resource": "*",
        "results": 1,
        "more": True,
        "policy_revision": fixture.service.snapshot.revision,
    }


async def test_searches_that_wait_are_bounded(tmp_path: Path) -> None:
    people = [f"user-{number}" for number in range(3_000)]
    async with support.pdp(many(tmp_path, people), max_searches=2) as server:
        asked = [ask(server, "search/subject", READERS) for _ in range(30)]
        answers = await asyncio.gather(*asked)
        busy = [response for response, _ in answers if response.status == 503]
        assert busy
        assert {response.headers["Retry-After"] for response in busy} == {"1"}
        assert {response.status for response, _ in answers} == {200, 503}
        response, _ = await ask(server, "search/subject", READERS)
        assert response.status == 200
        value = server.service.metrics.registry.get_sample_value
        assert value("pdp_searches_refused_total") == len(busy)
        pages = value("pdp_search_duration_seconds_count", {"search": "subject"})
        assert pages == len(answers) - len(busy) + 1
