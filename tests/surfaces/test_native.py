"""The native API: what it accepts, what it refuses and how it names the field."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Running, token

from pdp.errors import RequestError
from pdp.surfaces.questions import (
    QuestionBody,
    parse_body,
    read_credentials,
    read_question,
)

IP = {"ip": "203.0.113.9"}
DOCS: Mapping[str, Any] = {"action": "GET", "resource": "/docs/a", "context": IP}
INVOICE: Mapping[str, Any] = {"action": "GET", "resource": "/invoices/7", "context": IP}


async def ask(server: Running, body: object, **options: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    path = options.pop("path", "/v1/decision")
    response, found = await server.ask("POST", path, data=data, headers=headers)
    return response.status, json.loads(found)


async def test_a_decision_carries_all_that_a_gateway_needs(server: Running) -> None:
    status, answer = await ask(server, {**INVOICE, "token": token("alice")})
    assert status == 200
    assert len(answer.pop("decision_id")) == 36
    assert answer == {
        "verdict": "allow",
        "status": 200,
        "reason": "granted",
        "layer": "rbac",
        "rule": "rbac.csv:3",
        "subject": {"id": "alice", "roles": ["authenticated", "member"]},
        "response": {
            "status": 200,
            "headers": {"X-Auth-Subject": "alice", "X-Auth-Roles": "authenticated,member"},
            "body": "",
        },
        "policy_revision": server.service.snapshot.revision,
    }


async def test_a_refusal_carries_its_response(server: Running) -> None:
    _, answer = await ask(server, {**INVOICE, "accept": "application/problem+json"})
    assert (answer["verdict"], answer["subject"]["id"]) == ("unauthenticated", "anonymous")
    headers = answer["response"]["headers"]
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["WWW-Authenticate"] == 'Bearer realm="tests"'
    assert json.loads(answer["response"]["body"])["status"] == 401


@pytest.mark.parametrize(
    "presented",
    [{"token": "TOKEN"}, {"authorization": "Bearer TOKEN"}, {"authorization": "bearer TOKEN"}],
    ids=["token", "authorization", "lower case"],
)
async def test_a_credential_may_come_in_any_of_its_fields(
    server: Running, presented: Mapping[str, str]
) -> None:
    good = {key: value.replace("TOKEN", token("alice")) for key, value in presented.items()}
    assert (await ask(server, {**INVOICE, **good}))[1]["status"] == 200


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"api_key": "k"}, "scheme_unsupported"),
        ({"cookie": "session=x"}, "credentials_missing"),
        ({"token": ""}, "credentials_malformed"),
        ({"authorization": ""}, "credentials_malformed"),
    ],
    ids=["no keys are configured", "a cookie is sent unasked", "empty", "empty value"],
)
async def test_what_is_not_accepted_is_a_401(
    server: Running, extra: Mapping[str, str], reason: str
) -> None:
    _, answer = await ask(server, {**INVOICE, **extra})
    assert (answer["status"], answer["reason"]) == (401, reason)


BAD: list[tuple[object, str]] = [
    (b"", "body: not JSON, at byte 0"),
    (b"[]", "body: must be a JSON object"),
    (b'"secret"', "body: must be a JSON object"),
    (b'{"action":"GET","action":"PUT"}', "body: a member occurs twice"),
    (b"\xff", "body: not UTF-8"),
    ({}, "action: is required"),
    ({"action": "GET"}, "resource: is required"),
    ({**DOCS, "action": 1}, "action: expected `str | object`, got `int`"),
    ({**DOCS, "action": {}}, "action.name: is required"),
    ({**DOCS, "action": None}, "action: expected `str | object`, got `null`"),
    ({**DOCS, "action": ""}, "action: is empty"),
    ({**DOCS, "action": "a\nb"}, "action: holds a control character"),
    ({**DOCS, "resource": {"type": "t", "id": 7}}, "resource.id: expected `str`, got `int`"),
    ({**DOCS, "resource": {"id": "x"}}, "resource.type: is required"),
    ({**DOCS, "resource": "/a//b"}, "resource: holds an empty segment"),
    ({**DOCS, "resource": "/a/../b"}, "resource: holds a dot segment"),
    ({**DOCS, "resource": {"type": "t", "id": "/a/./b"}}, "resource.id: holds a dot segment"),
    ({**DOCS, "resource": "x" * 9000}, "resource: is longer than 8192 characters"),
    ({**DOCS, "context": []}, "context: expected `object`, got `array`"),
    ({**DOCS, "context": {"ip": 1}}, "context.ip: must be a string"),
    ({**DOCS, "context": {"ip": "300.1.1.1"}}, "context.ip: is not an ip address"),
    ({**DOCS, "context": json.loads("[" * 40 + "]" * 40)}, "body: is nested deeper than 32"),
    ({**DOCS, "authorization": "Bearer a, Basic b"}, "authorization: holds more than one"),
    ({**DOCS, "token": "x" * 70_000}, "token: is longer than 65536 characters"),
    ({**DOCS, "token": 5}, "token: expected `str | null`, got `int`"),
    ({**DOCS, "token": "a", "cookie": "b"}, "cookie: is one credential too many, beside token"),
    ({**DOCS, "subject": "alice"}, "subject: needs a credential, or a caller that may vouch"),
    ({**DOCS, "subject": {"type": "user"}}, "subject.id: is required"),
    (
        {**DOCS, "token": "t", "subject": {"type": "u", "id": "a", "properties": {"x": 1}}},
        "subject.properties: only a caller that may vouch can give them",
    ),
]


@pytest.mark.parametrize(("body", "message"), BAD, ids=[m for _, m in BAD])
async def test_a_bad_request_names_the_field(server: Running, body: object, message: str) -> None:
    status, answer = await ask(server, body)
    assert status == 400
    assert answer["error"] == "invalid_request"
    assert answer["message"].startswith(message)
    assert "secret" not in answer["message"]


async def test_a_cookie_is_no_credential_for_a_named_subject(server: Running) -> None:
    status, answer = await ask(server, {**DOCS, "subject": "root", "cookie": "a=b"})
    assert (status, answer["message"].split(":")[0]) == (400, "subject")


async def test_a_request_that_cannot_be_understood_is_recorded(server: Running) -> None:
    await ask(server, {})
    _, body = await server.ask("GET", "/metrics", admin=True)
    line = b'reason="request_invalid",surface="native",verdict="bad_request"'
    assert line in body


def test_a_question_is_shown_without_its_credentials() -> None:
    body = QuestionBody(action="a", resource="r", token="secret-token", api_key="secret-key")
    assert "secret" not in repr(body)
    assert "secret" not in repr(read_credentials(QuestionBody("a", "r", token="secret")))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_a_400(server: Running, kind: str) -> None:
    status, answer = await ask(server, DOCS, headers={"Content-Type": kind})
    assert (status, answer["message"]) == (400, "Content-Type: must be application/json")


async def test_a_charset_is_fine_and_unknown_members_are_ignored(server: Running) -> None:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert (await ask(server, {**DOCS, "later": 1}, headers=kind))[0] == 200


async def test_a_body_over_the_bound_is_a_413(policies: Path) -> None:
    async with support.pdp(policies, max_body_bytes=100) as server:
        assert (await ask(server, DOCS))[0] == 200
        status, answer = await ask(server, {**DOCS, "padding": "x" * 100})
        assert (status, answer["error"]) == (413, "too_large")


async def test_a_body_that_does_not_arrive_is_a_400(policies: Path) -> None:
    async with support.pdp(policies, body_seconds=0.05) as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = await reader.readuntil(b"in time")
        assert answer.startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_batch_answers_in_order_by_one_policy(server: Running) -> None:
    items = [DOCS, {**INVOICE, "token": token("alice")}, INVOICE]
    status, answer = await ask(server, {"decisions": items}, path="/v1/decisions")
    assert status == 200
    assert [a["status"] for a in answer["decisions"]] == [200, 200, 401]
    assert {a["policy_revision"] for a in answer["decisions"]} == {answer["policy_revision"]}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([DOCS, {"action": "GET"}], "decisions[1].resource: is required"),
        ([DOCS, {**DOCS, "resource": "//"}], "decisions[1].resource: holds an empty segment"),
        ([DOCS] * 3, "decisions: holds more than 2 items"),
        ({}, "decisions: expected `array`, got `object`"),
    ],
)
async def test_a_bad_batch_is_refused_as_a_whole(
    policies: Path, items: object, message: str
) -> None:
    async with support.pdp(policies, max_batch=2) as server:
        status, answer = await ask(server, {"decisions": items}, path="/v1/decisions")
        assert (status, answer["message"]) == (400, message)


KEYS = {"gateway": "gateway-key", "voucher": "voucher-key"}
CALLERS = "".join(
    f'[[callers]]\nname = "{name}"\nkey_sha256_file = "{name}.sha256"\n'
    + ("vouch = true\nsee_reasons = true\n" if name == "voucher" else "")
    for name in KEYS
)


@pytest.fixture
async def guarded(policies: Path) -> AsyncIterator[Running]:
    """A PDP that only two callers may ask."""
    for name, key in KEYS.items():
        digest = hashlib.sha256(key.encode()).hexdigest()
        (policies / f"{name}.sha256").write_text(f"# the key of {name}\n{digest}\n")
    with (policies / "pdp.toml").open("a") as file:
        file.write(CALLERS)
    async with support.pdp(policies) as running:
        yield running


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


@pytest.mark.parametrize("value", [None, "Bearer wrong", "Basic x", "Bearer "])
async def test_a_caller_without_a_good_key_is_a_401(guarded: Running, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value}
    response, body = await guarded.ask("POST", "/v1/decision", json=dict(DOCS), headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pdp"'
    assert json.loads(body)["error"] == "caller_unauthenticated"


async def test_reasons_are_for_callers_that_may_see_them(guarded: Running) -> None:
    _, told = await ask(guarded, DOCS, headers=key("voucher"))
    _, untold = await ask(guarded, DOCS, headers=key("gateway"))
    assert told["reason"] == "public"
    assert not {"reason", "layer", "rule"} & set(untold)


async def test_only_a_vouching_caller_may_name_a_subject_without_a_credential(
    guarded: Running,
) -> None:
    question = {**INVOICE, "subject": "alice"}
    status, answer = await ask(guarded, question, headers=key("gateway"))
    assert (status, answer["message"].split(":")[0]) == (400, "subject")
    status, answer = await ask(guarded, question, headers=key("voucher"))
    assert (status, answer["status"], answer["reason"]) == (200, 200, "granted")


async def test_a_vouching_caller_gives_properties_and_time(guarded: Running) -> None:
    subject = {"type": "user", "id": "kim", "properties": {"age": 18}}
    question = {**DOCS, "resource": "/bar", "subject": subject}
    _, answer = await ask(guarded, question, headers=key("voucher"))
    assert answer["status"] == 200
    subject["properties"] = {"age": 17}
    _, answer = await ask(guarded, question, headers=key("voucher"))
    assert (answer["status"], answer["reason"]) == (403, "guard_denied")
    odd = {**question, "context": {**IP, "time": "yesterday"}}
    status, answer = await ask(guarded, odd, headers=key("voucher"))
    assert (status, answer["message"].split(":")[0]) == (400, "context.time")


@pytest.mark.parametrize(
    "presented",
    [{"token": token("member")}, {"authorization": f"Bearer {token('member')}"}],
    ids=["token", "authorization"],
)
async def test_a_credential_with_the_name_of_a_role_is_refused_whoever_presents_it(
    guarded: Running, presented: dict[str, str]
) -> None:
    _, named = await ask(guarded, {**INVOICE, "subject": "member"}, headers=key("voucher"))
    assert (named["status"], named["reason"]) == (200, "granted")
    _, answer = await ask(guarded, {**INVOICE, **presented}, headers=key("voucher"))
    assert (answer["status"], answer["reason"]) == (401, "token_invalid")
    _, answer = await ask(guarded, {**INVOICE, **presented}, headers=key("gateway"))
    assert answer["status"] == 401


async def test_a_vouched_nobody_is_anonymous(guarded: Running) -> None:
    question = {**INVOICE, "subject": "anonymous"}
    _, answer = await ask(guarded, question, headers=key("voucher"))
    assert (answer["status"], answer["reason"]) == (401, "credentials_missing")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Running]:
    """The two-file directory of every Casbin user: no authentication, subjects vouched for."""
    (tmp_path / "model.conf").write_text(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n"
        "[matchers]\nm = r.sub == p.sub && r.obj == p.obj && r.act == p.act\n"
    )
    (tmp_path / "policy.csv").write_text("p, alice, data1, read\n")
    async with support.pdp(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("subject", "resource", "status", "reason"),
    [
        ("alice", "data1", 200, "granted"),
        ("bob", "data1", 403, "not_granted"),
        ("alice", "data2", 404, "resource_unknown"),
        (None, "data1", 403, "not_granted"),
    ],
)
async def test_a_two_file_directory_serves_decisions(
    pair: Running, subject: str | None, resource: str, status: int, reason: str
) -> None:
    _, answer = await ask(pair, {"subject": subject, "resource": resource, "action": "read"})
    assert (answer["status"], answer["reason"]) == (status, reason)


async def test_a_token_that_nobody_can_judge_is_a_400(pair: Running) -> None:
    status, answer = await ask(pair, {"token": "t", "resource": "data1", "action": "read"})
    assert (status, answer["message"]) == (
        400,
        "token: no authentication is configured to judge it",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("action", "resource", "subject", "context", "token", "cookie", "api_key", "accept")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_a_question_or_a_request_error(body: dict[str, Any], vouched: bool) -> None:
    named = ""
    try:
        data = json.dumps(body).encode()
        query = read_question(parse_body(data, QuestionBody), vouched=vouched, exempt=None)
        named = query.action.name and query.resource.id
    except RequestError as error:
        named = error.field
    assert named


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05Z"),
        (0, "1970-01-01T00:00:00Z"),
        ("2026-01-02T03:04:05", None),
        (1e30, None),
        (True, None),
        ([], None),
    ],
)
def test_a_vouched_time_is_an_instant(time: object, shown: str | None) -> None:
    body = QuestionBody(action="a", resource="r", context={"time": time})
    if shown is None:
        with pytest.raises(RequestError, match=r"context\.time"):
            read_question(body, vouched=True, exempt=None)
    else:
        assert read_question(body, vouched=True, exempt=None).context["time"] == shown
    assert read_question(body, vouched=False, exempt=None).context["time"] == time
