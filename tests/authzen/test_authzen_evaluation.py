"""`POST /access/v1/evaluation`: who is believed what, and what an answer tells whom."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
from asking import add_callers, ask, key, question, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Running, token
from test_faults import broken_index

from pdp.errors import RequestError
from pdp.surfaces.authzen_bodies import EvaluationBody, read_batch, read_evaluation
from pdp.surfaces.authzen_search_bodies import (
    ActionSearchBody,
    AnySearch,
    ResourceSearchBody,
    SubjectSearchBody,
    digest,
)
from pdp.surfaces.questions import parse_object, typed

BAR = {**question("kim", resource="/bar"), "subject": user("kim", age=18)}


@pytest.fixture
async def guarded(policies: Path) -> AsyncIterator[Running]:
    async with support.pdp(add_callers(policies)) as running:
        yield running


async def evaluate(server: Running, body: object, caller: str | None = None) -> Any:
    response, answer = await ask(server, "evaluation", body, key(caller) if caller else None)
    assert response.status == 200, answer
    return answer


async def test_an_answer_says_why_to_whom_may_see_it(server: Running) -> None:
    answer = await evaluate(server, question("alice"))
    assert len(answer["context"].pop("decision_id")) == 36
    assert answer == {
        "decision": True,
        "context": {
            "status": 200,
            "reason": "granted",
            "reason_admin": {"200": "granted, layer rbac, rule rbac.csv:3"},
        },
    }


@pytest.mark.parametrize(
    ("subject", "action", "resource", "status", "reason", "text"),
    [
        ("alice", "PUT", "/invoices/7", 403, "not_granted", "You may not do this."),
        ("mallory", "GET", "/invoices/7", 403, "explicitly_denied", "You may not do this."),
        ("alice", "GET", "/admin", 404, "concealed", "There is nothing here."),
        ("alice", "GET", "/nothing", 404, "resource_unknown", "There is nothing here."),
        ("anonymous", "GET", "/x", 401, "credentials_missing", "Valid credentials are required."),
    ],
)
async def test_a_refusal_is_a_200_with_the_verdict_inside(
    guarded: Running, subject: str, action: str, resource: str, status: int, reason: str, text: str
) -> None:
    told = await evaluate(guarded, question(subject, action, resource), "auditor")
    assert told["decision"] is False
    assert (told["context"]["status"], told["context"]["reason"]) == (status, reason)
    assert told["context"]["reason_admin"][str(status)].startswith(reason)
    assert told["context"]["reason_user"] == {str(status): text}
    untold = await evaluate(guarded, question(subject, action, resource), "gateway")
    assert untold["context"].keys() == {"status", "decision_id", "reason_user"}


async def test_hidden_and_absent_look_alike(guarded: Running) -> None:
    answers = [
        await evaluate(guarded, question("alice", resource=r), "gateway") for r in ("/admin", "/no")
    ]
    for answer in answers:
        del answer["context"]["decision_id"]
    assert answers[0] == answers[1]


async def test_a_subject_is_believed_by_its_name_from_every_caller(guarded: Running) -> None:
    assert (await evaluate(guarded, question("alice"), "gateway"))["decision"] is True
    assert (await evaluate(guarded, question("kim"), "gateway"))["decision"] is False


async def test_the_name_of_a_role_is_believed_from_callers_that_vouch_without_a_token(
    guarded: Running,
) -> None:
    asked, proven = question("member"), question("member", token=token("member"))
    for body, caller, status in (
        (asked, "voucher", 200),
        (asked, "gateway", 401),
        (proven, "voucher", 401),
        (proven, "gateway", 401),
    ):
        assert (await evaluate(guarded, body, caller))["context"]["status"] == status


async def test_its_properties_are_believed_from_callers_that_vouch(guarded: Running) -> None:
    assert (await evaluate(guarded, BAR, "voucher"))["decision"] is True
    refused = await evaluate(guarded, BAR, "auditor")
    assert (refused["decision"], refused["context"]["reason"]) == (False, "guard_denied")


async def test_the_time_is_believed_from_callers_that_vouch(guarded: Running) -> None:
    odd = question("alice", time="yesterday")
    assert (await evaluate(guarded, odd, "gateway"))["decision"] is True  # it is not looked at
    response, answer = await ask(guarded, "evaluation", odd, key("voucher"))
    assert (response.status, answer["message"].split(":")[0]) == (400, "context.time")


@pytest.mark.parametrize("value", [None, "Bearer wrong", "Basic x"])
@pytest.mark.parametrize("to", ["evaluation", "evaluations", "search/action"])
async def test_a_caller_without_a_good_key_is_a_401(
    guarded: Running, to: str, value: str | None
) -> None:
    headers = {"X-Request-ID": "a", **({"Authorization": value} if value else {})}
    response, answer = await ask(guarded, to, question("alice"), headers)
    assert (response.status, answer["error"]) == (401, "caller_unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pdp"'
    assert response.headers["X-Request-ID"] == "a"


async def test_a_token_in_the_context_is_verified(server: Running) -> None:
    good = await evaluate(server, question("alice", token=token("alice")))
    assert (good["decision"], good["context"]["reason"]) == (True, "granted")


@pytest.mark.parametrize(
    ("claims", "status", "reason"),
    [
        ({"exp": 1}, 401, "token_expired"),
        ({"aud": "other"}, 401, "audience_mismatch"),
        ({"sub": "bob"}, 403, "subject_mismatch"),
    ],
)
async def test_a_bad_token_is_a_401_inside_the_answer(
    server: Running, claims: dict[str, Any], status: int, reason: str
) -> None:
    bad = token(**{"sub": "alice", **claims})
    answer = await evaluate(server, question("alice", token=bad))
    assert (answer["decision"], answer["context"]["status"]) == (False, status)
    assert answer["context"]["reason"] == reason


async def test_a_tokens_claims_are_believed_whoever_sends_it(guarded: Running) -> None:
    asked = question("kim", resource="/bar", token=token("kim", age=18))
    assert (await evaluate(guarded, asked, "gateway"))["decision"] is True


async def test_no_log_and_no_error_holds_a_token(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pdp")
    for value in (token("alice"), "secret.secret.secret", {"a": "secret"}, 5, None):
        _, answer = await ask(server, "evaluation", question("alice", token=value))
        assert str(value) not in json.dumps(answer) or value in (5, None)
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert "secret" not in logged
    assert "eyJ" not in logged


@pytest.mark.parametrize("value", [None, 5, {}, ["a"]])
async def test_a_token_that_is_no_text_is_a_400(server: Running, value: object) -> None:
    response, answer = await ask(server, "evaluation", question("alice", token=value))
    assert (response.status, answer["message"]) == (400, "context.token: must be a string")


async def test_a_token_that_nobody_can_judge_is_a_400() -> None:
    async with support.pdp(Path(__file__).parent / "fixture") as server:
        response, answer = await ask(server, "evaluation", question("alice", token="t"))
        assert (response.status, answer["message"]) == (
            400,
            "context.token: no authentication is configured to judge it",
        )


async def test_a_bug_is_a_503_and_no_decision(server: Running) -> None:
    server.service.snapshot = broken_index(server.service.snapshot, "rbac")
    headers = {"X-Request-ID": "a"}
    response, answer = await ask(server, "evaluation", question("alice"), headers)
    assert (response.status, answer["error"]) == (503, "unavailable")
    assert response.headers["X-Request-ID"] == "a"
    batch = {**question("alice"), "evaluations": [{}, {"resource": {"type": "r", "id": "/docs/a"}}]}
    response, answer = await ask(server, "evaluations", batch)
    assert response.status == 200
    item = answer["evaluations"][0]
    assert (item["decision"], item["context"]["error"]["status"]) == (False, 503)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: not JSON, at byte 0"),
        (b"null", "body: must be a JSON object"),
        (b"\xff", "body: not UTF-8"),
        (b'{"subject":1,"subject":2}', "body: a member occurs twice"),
        (b"[" * 100_000, "body: nested too deeply"),
        ({}, "subject: is required"),
        ({**question("a"), "subject": None}, "subject: expected `object`, got `null`"),
        ({**question("a"), "subject": "secret"}, "subject: expected `object`, got `str`"),
        ({**question("a"), "action": {"name": 1}}, "action.name: expected `str`, got `int`"),
        ({**question("a"), "action": {}}, "action.name: is required"),
        ({**question("a"), "resource": []}, "resource: expected `object`, got `array`"),
        ({**question("a"), "subject": {"type": "", "id": "a"}}, "subject.type: is empty"),
        ({**question("a"), "subject": {"type": "u", "id": ""}}, "subject.id: is empty"),
        (
            {**question("a"), "resource": {"type": "r", "id": "/a//b"}},
            "resource.id: holds an empty",
        ),
        ({**question("a"), "context": None}, "context: expected `object`, got `null`"),
        ({**question("a"), "context": {"ip": "secret"}}, "context.ip: is not an ip address"),
        (question("a\n"), "subject.id: holds a control character"),
    ],
    ids=lambda v: str(v)[:40],
)
async def test_a_bad_request_names_the_member(server: Running, body: object, message: str) -> None:
    response, answer = await ask(server, "evaluation", body, {"X-Request-ID": "a"})
    assert (response.status, answer["error"]) == (400, "invalid_request")
    assert answer["message"].startswith(message)
    assert "secret" not in json.dumps(answer)
    assert response.headers["X-Request-ID"] == "a"


async def test_what_cannot_be_understood_is_recorded(server: Running) -> None:
    await ask(server, "evaluation", {})
    _, body = await server.ask("GET", "/metrics", admin=True)
    assert b'reason="request_invalid",surface="authzen",verdict="bad_request"' in body


async def test_a_body_over_the_bound_is_a_413(policies: Path) -> None:
    async with support.pdp(policies, max_body_bytes=100) as server:
        response, answer = await ask(server, "evaluation", question("a"), {"X-Request-ID": "a"})
        assert (response.status, answer["error"]) == (413, "too_large")
        assert response.headers["X-Request-ID"] == "a"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/access/v1/evaluation", 405),
        ("POST", "/.well-known/authzen-configuration", 405),
        ("POST", "/access/v1/none", 404),
    ],
)
async def test_the_id_of_the_request_comes_back_from_errors_of_the_route_too(
    server: Running, method: str, path: str, status: int
) -> None:
    response, _ = await server.ask(method, path, headers={"X-Request-ID": "bfe9-1"})
    assert (response.status, response.headers["X-Request-ID"]) == (status, "bfe9-1")


@pytest.mark.parametrize("value", ["a b", "ä", "x" * 201, "", "a\tb"])
async def test_an_odd_id_of_the_request_does_not_come_back(server: Running, value: str) -> None:
    response, _ = await ask(server, "evaluation", question("alice"), {"X-Request-ID": value})
    assert (response.status, "X-Request-ID" in response.headers) == (200, False)


async def test_nor_do_two_and_nor_elsewhere(server: Running) -> None:
    two = [("X-Request-ID", "a"), ("X-Request-ID", "b")]
    path = "/access/v1/evaluation"
    response, _ = await server.ask("POST", path, json=question("alice"), headers=two)
    assert (response.status, "X-Request-ID" in response.headers) == (200, False)
    response, _ = await server.ask("GET", "/livez", headers={"X-Request-ID": "a"})
    assert "X-Request-ID" not in response.headers


SEARCHES: tuple[type[AnySearch], ...] = (SubjectSearchBody, ResourceSearchBody, ActionSearchBody)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PART = JSON | st.fixed_dictionaries({"type": JSON, "id": JSON, "name": JSON, "properties": JSON})
PARTS = st.sampled_from(
    ("subject", "action", "resource", "context", "evaluations", "options", "page")
)


@given(st.dictionaries(PARTS, PART), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_a_question_or_a_request_error(body: dict[str, Any], vouched: bool) -> None:
    try:
        data = json.dumps(body).encode()
        batch = read_batch(data, 10)
        asked = [batch.item(index) for index in range(len(batch.items))]
        asked = asked or [typed(parse_object(data), EvaluationBody)]
        queries = [read_evaluation(one, vouched=vouched, exempt=None)[0] for one in asked]
        named = all(query.subject and query.action.name for query in queries)
    except RequestError as error:
        named = bool(error.field)
    assert named


@given(st.dictionaries(PARTS, PART), st.sampled_from(SEARCHES), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_a_search_or_a_request_error(
    body: dict[str, Any], kind: type[AnySearch], vouched: bool
) -> None:
    try:
        asked = typed(parse_object(json.dumps(body).encode()), kind)
        query, _ = read_evaluation(asked.question(), vouched=vouched, exempt=None)
        limit = asked.limit(1_000)
        good = len(digest(kind, query, "caller")) == 32 and (limit is None or 1 <= limit <= 1_000)
    except RequestError as error:
        good = bool(error.field)
    assert good
