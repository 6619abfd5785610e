"""The verdict table, through the engine, the JSON API and both gateway conventions alike."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import Running, token

from pdp.model import RESOURCE_TYPE, Action, Credentials, Entity, Query
from pdp.pipeline import decide

OFFICE, ANYWHERE, REFUSED = "192.0.2.14", "203.0.113.9", "198.51.100.7"
MISSING = 'Bearer realm="tests"'
INVALID = MISSING + ', error="invalid_token", error_description="The access token is not valid"'
EXPIRED = MISSING + ', error="invalid_token", error_description="The access token has expired"'
ORIGIN = "https://app.test"


def bearer(sub: str, **claims: Any) -> str:
    return "Bearer " + token(sub, **claims)


STRANGER = Ed25519PrivateKey.generate()
GOOD = token("alice")
BAD_TOKENS: Mapping[str, tuple[str, str]] = {
    "a bad signature": (bearer("alice", key=STRANGER), "token_invalid"),
    "another issuer": (bearer("alice", iss="https://evil.test/"), "issuer_unknown"),
    "another audience": (bearer("alice", aud="other"), "audience_mismatch"),
    "not yet valid": (bearer("alice", nbf=time.time() + 3600), "token_not_yet_valid"),
    "no expiry": (bearer("alice", exp=None), "token_invalid"),
    "no token at all": ("Bearer nonsense", "token_invalid"),
    "a role's name": (bearer("member"), "token_invalid"),
    "the name of nobody": (bearer("anonymous"), "token_invalid"),
    "a spoilt payload": ("Bearer " + GOOD[:-8] + "AAAAAAAA", "token_invalid"),
}


@dataclass(frozen=True)
class Row:
    """One row of the table: a question, and the verdict that must hold."""

    number: str
    action: str
    resource: str
    status: int
    reason: str
    authorization: str | None = None
    ip: str = ANYWHERE
    challenge: str | None = None
    rule: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.resource}"


def unauthenticated(number: str, resource: str, reason: str, value: str, challenge: str) -> Row:
    return Row(number, "GET", resource, 401, reason, value, challenge=challenge)


FINANCE = bearer("erin", department="finance")
TABLE = [
    Row("1", "GET", "/invoices/7", 401, "credentials_missing", challenge=MISSING),
    *(
        unauthenticated(f"2 {value!r}", "/invoices/7", "credentials_malformed", value, INVALID)
        for value in ("Bearer", "Bearer a b", "Bearer a,b", "=?")
    ),
    *(
        unauthenticated(f"3 {value}", "/invoices/7", "scheme_unsupported", value, MISSING)
        for value in ("Basic YTpi", "Digest username=a", "Negotiate x")
    ),
    *(
        unauthenticated(f"4 {name}", "/invoices/7", reason, value, INVALID)
        for name, (value, reason) in BAD_TOKENS.items()
    ),
    unauthenticated("5", "/invoices/7", "token_expired", bearer("alice", exp=1), EXPIRED),
    Row("10", "PUT", "/invoices/7", 403, "not_granted", bearer("alice")),
    Row("11", "DELETE", "/invoices/7", 403, "not_granted", bearer("alice")),
    Row("12 no token", "GET", "/x", 403, "guard_denied", ip=REFUSED, rule="network.csv:1"),
    Row("12 token", "GET", "/invoices/7", 403, "guard_denied", bearer("alice"), REFUSED),
    Row("12 bad token", "GET", "/invoices/7", 403, "guard_denied", "Bearer x", REFUSED),
    Row("12 hidden", "GET", "/admin", 403, "guard_denied", ip=REFUSED),
    Row("12 by page", "GET", "/reports/1", 403, "guard_denied", rule="site.csv:3"),
    Row("12 mapped", "GET", "/docs/a", 403, "guard_denied", ip="::ffff:198.51.100.7"),
    Row("14 young", "GET", "/bar", 403, "guard_denied", bearer("kim", age=17)),
    Row("14 unknown age", "GET", "/bar", 403, "guard_denied", bearer("kim")),
    Row("14 adult", "GET", "/bar", 200, "granted", bearer("kim", age=18)),
    Row("14 nobody", "GET", "/bar", 401, "credentials_missing", challenge=MISSING),
    Row("14 origin", "GET", "/budget", 403, "not_granted", FINANCE),
    Row("14 right origin", "GET", "/budget", 200, "granted", FINANCE, context={"origin": ORIGIN}),
    Row("15", "GET", "/admin", 404, "concealed", bearer("alice")),
    Row("15 below", "DELETE", "/admin/users", 404, "concealed", bearer("alice")),
    Row("15 and held", "GET", "/admin", 404, "concealed", bearer("alice"), "192.0.2.66"),
    Row("16", "GET", "/ghost", 404, "resource_unknown", bearer("alice")),
    Row("16 hidden", "GET", "/admin/ghost", 404, "concealed", bearer("alice")),
    Row("17", "DELETE", "/admin", 403, "not_granted", bearer("carol", roles=["administrator"])),
    Row("18 hidden", "GET", "/admin", 401, "credentials_missing", challenge=MISSING),
    Row("18 held", "GET", "/admin", 401, "credentials_missing", ip="192.0.2.66"),
    Row("18 unknown", "GET", "/ghost", 401, "credentials_missing", challenge=MISSING),
    Row("18 bad", "GET", "/ghost", 401, "token_invalid", "Bearer x", challenge=INVALID),
    Row("19", "GET", "/docs/a", 200, "public", rule="rbac.csv:1"),
    Row("19 known", "GET", "/docs/a", 200, "public", bearer("alice"), rule="rbac.csv:1"),
    Row("19 denied", "GET", "/invoices/7", 403, "explicitly_denied", bearer("mallory")),
    Row("20", "GET", "/docs/a", 401, "token_invalid", "Bearer x", challenge=INVALID),
    Row("200", "GET", "/invoices/7", 200, "granted", bearer("alice"), rule="rbac.csv:3"),
    Row("200 inherited", "GET", "/invoices/7", 200, "granted", bearer("bob"), rule="rbac.csv:3"),
    Row("200 exception", "GET", "/reports/1", 200, "granted", bearer("erin"), ip=OFFICE),
    Row("asserted role", "GET", "/invoices/7", 200, "granted", bearer("x", roles=["member"])),
    Row("dropped role", "GET", "/invoices/7", 403, "not_granted", bearer("x", roles=["root"])),
]
rows = pytest.mark.parametrize("row", TABLE, ids=str)
pytestmark = pytest.mark.asyncio(loop_scope="module")


def forward_headers(row: Row) -> dict[str, str]:
    headers = {
        "X-Forwarded-Method": row.action,
        "X-Forwarded-Uri": row.resource + "?q=1",
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-For": row.ip,
        "X-Forwarded-Proto": "https",
        **{name.title(): value for name, value in row.context.items()},
    }
    return {**headers, "Authorization": row.authorization} if row.authorization else headers


def nginx_headers(row: Row) -> dict[str, str]:
    headers = forward_headers(row)
    headers["X-Original-Method"] = headers.pop("X-Forwarded-Method")
    headers["X-Original-URI"] = headers.pop("X-Forwarded-Uri")
    return headers


def body_of(row: Row) -> dict[str, Any]:
    body = {
        "action": row.action,
        "resource": row.resource,
        "context": {**row.context, "ip": row.ip},
    }
    return {**body, "authorization": row.authorization} if row.authorization else body


@rows
async def test_the_engine_gives_the_verdict(shared: Running, row: Row) -> None:
    now = time.time()
    ip = "198.51.100.7" if row.ip.startswith("::ffff") else row.ip
    query = Query(
        Action(row.action), Entity(RESOURCE_TYPE, row.resource), {**row.context, "ip": ip}
    )
    credentials = Credentials(authorization=row.authorization)
    identity = await shared.service.authenticator.authenticate(credentials, now)
    verdict = decide(query, identity, shared.service.snapshot, now)
    assert (verdict.status, verdict.reason) == (row.status, row.reason)
    assert row.rule is None or str(verdict.rule) == row.rule


@rows
async def test_the_json_api_gives_the_verdict(shared: Running, row: Row) -> None:
    response, body = await shared.ask("POST", "/v1/decision", json=body_of(row))
    answer = json.loads(body)
    assert response.status == 200
    assert (answer["status"], answer["reason"]) == (row.status, row.reason)
    assert answer["response"]["status"] == row.status
    offered = answer["response"]["headers"].get("WWW-Authenticate")
    assert (offered is not None) == (row.status == 401)
    assert row.challenge is None or offered == row.challenge
    assert row.rule is None or answer["rule"] == row.rule


@rows
async def test_the_forward_endpoint_gives_the_verdict(shared: Running, row: Row) -> None:
    response, body = await shared.ask("GET", "/authz/forward", headers=forward_headers(row))
    assert response.status == row.status
    assert (response.headers.get("WWW-Authenticate") is not None) == (row.status == 401)
    assert row.challenge is None or response.headers["WWW-Authenticate"] == row.challenge
    assert "X-Decision-Id" in response.headers
    assert "Server" not in response.headers
    assert (body == b"") == (row.status == 200)
    assert ("X-Auth-Subject" in response.headers) == (row.status == 200)
    refusal = response.headers.get("Cache-Control"), response.headers.get("Vary")
    assert refusal == ((None, None) if row.status == 200 else ("no-store", "Accept"))


@rows
async def test_the_nginx_endpoint_gives_the_verdict(shared: Running, row: Row) -> None:
    response, body = await shared.ask("GET", "/authz/nginx", headers=nginx_headers(row))
    status = row.status if row.status in (200, 401) else 403
    assert (response.status, body) == (status, b"")
    assert response.headers.get("X-Authz-Status") == (str(row.status) if status == 403 else None)
    assert row.challenge is None or response.headers["WWW-Authenticate"] == row.challenge


async def test_row_21_a_body_subject_must_be_the_tokens(shared: Running) -> None:
    body = {"action": "GET", "resource": "/invoices/7", "context": {"ip": ANYWHERE}}
    named = {**body, "token": token("alice"), "subject": "bob"}
    _, found = await shared.ask("POST", "/v1/decision", json=named)
    assert json.loads(found)["reason"] == "subject_mismatch"
    assert json.loads(found)["status"] == 403
    _, found = await shared.ask("POST", "/v1/decision", json={**named, "subject": "alice"})
    assert json.loads(found)["status"] == 200
    typed = {**named, "subject": {"type": "device", "id": "alice"}}
    _, found = await shared.ask("POST", "/v1/decision", json=typed)
    assert json.loads(found)["reason"] == "subject_mismatch"


@pytest.mark.parametrize(
    "authorization",
    [["Bearer a", "Bearer b"], ["Bearer a, Basic b"]],
    ids=["two fields", "joined by a gateway"],
)
async def test_row_2_two_credentials_are_a_bad_request(
    shared: Running, authorization: list[str]
) -> None:
    row = Row("2", "GET", "/docs/a", 400, "request_invalid")
    for path, headers, status in (
        ("/authz/forward", forward_headers(row), 400),
        ("/authz/nginx", nginx_headers(row), 403),
    ):
        fields = [*headers.items(), *(("Authorization", value) for value in authorization)]
        response, body = await shared.ask("GET", path, headers=fields)
        assert response.status == status
        if status == 400:
            assert json.loads(body)["error"] == "invalid_request"
        else:
            assert response.headers["X-Authz-Status"] == "400"


NEGLIGIBLE = {"Date", "X-Decision-Id"}


async def shown(server: Running, path: str, headers: Mapping[str, str]) -> object:
    """All of an answer that a client could compare."""
    response, body = await server.ask("GET", path, headers=headers)
    fields = [(k, v) for k, v in response.headers.items() if k not in NEGLIGIBLE]
    return response.status, response.reason, fields, body


ACCEPTS = ("", "application/json", "text/html", "application/problem+json", "*/*")


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", ["/authz/forward", "/authz/nginx"])
async def test_hidden_and_absent_are_the_same_bytes(
    shared: Running, path: str, accept: str
) -> None:
    answers = []
    for resource in ("/admin", "/admin/users", "/admin/ghost", "/ghost", "/a/b/c"):
        row = Row("", "GET", resource, 404, "", bearer("alice"))
        headers = (forward_headers if path.endswith("forward") else nginx_headers)(row)
        answers.append(await shown(shared, path, {**headers, "Accept": accept}))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("path", ["/authz/forward", "/authz/nginx"])
@pytest.mark.parametrize("authorization", [None, "Bearer x"], ids=["none", "bad"])
async def test_without_a_good_credential_every_resource_answers_alike(
    shared: Running, path: str, authorization: str | None
) -> None:
    answers = []
    for resource in ("/invoices/7", "/admin", "/admin/ghost", "/ghost", "/bar", "/budget"):
        row = Row("", "DELETE", resource, 401, "", authorization)
        headers = (forward_headers if path.endswith("forward") else nginx_headers)(row)
        answers.append(await shown(shared, path, headers))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("resource", ["/invoices/7", "/admin", "/docs/a"])
async def test_every_bad_token_gets_the_same_answer(shared: Running, resource: str) -> None:
    answers = [
        await shown(shared, "/authz/forward", forward_headers(Row("", "GET", resource, 401, "", t)))
        for t, _ in BAD_TOKENS.values()
    ]
    assert all(answer == answers[0] for answer in answers)
