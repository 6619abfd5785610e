"""Records of a real run: every surface, every kind of credential, against the published schema."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import support
from grpc_client import channel, check, check_request
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(
    json.loads((ROOT / "docs" / "decision-log.schema.json").read_text())
)
CREDENTIALS = support.VERDICTS.parent / "credentials"
COOKIE, IP = "__Host-session", "203.0.113.9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = {"X-Request-ID": "req-1/a", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
KEY = "key-of-robot-0123456789"
PASSWORD = "password-of-bea"


def token(**claims: Any) -> str:
    return support.token("alice", roles=["member"], **claims)


def basic(name: str, password: str) -> dict[str, str]:
    joined = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {joined}"}


def kinds() -> Iterator[tuple[str, dict[str, str]]]:
    """Header fields with a credential of each kind, good and bad."""
    yield "nothing", {}
    for name, value in {
        "good": token(),
        "jti": token(jti="an id"),
        "expired": token(exp=time.time() - 3600),
        "foreign": token(iss="https://other.test/"),
        "noise": "opaque-token-that-nobody-ever-issued-0123456789",
        "short": "guess",
    }.items():
        yield f"bearer {name}", {"Authorization": f"Bearer {value}"}
    yield "session", {"Cookie": f"theme=dark; {COOKIE}={token()}"}
    yield "bad session", {"Cookie": f"{COOKIE}=session-that-nobody-ever-had-0123456789"}
    yield "basic", basic("bea", PASSWORD)
    yield "bad basic", basic("bea", "hunter2-hunter2")
    yield "key", {"X-API-Key": KEY}
    yield "bad key", {"X-API-Key": "no-such-key-0123456789abcdef"}
    yield "scheme", {"Authorization": "Digest username=secret-digest-value"}
    yield "malformed", {"Authorization": "Bearer a b secret-malformed-value"}
    yield "two", {"Authorization": f"Bearer {token()}", "X-API-Key": KEY}


KINDS = dict(kinds())


def secrets_of(fields: Mapping[str, str]) -> Iterator[str]:
    """What of a credential must stand in no record."""
    for name, value in fields.items():
        if name == "Cookie":
            yield value.rpartition(f"{COOKIE}=")[2]
        elif name == "X-API-Key":
            yield value
        else:
            yield value.rpartition(" ")[2]
    if fields.get("Authorization", "").startswith("Basic "):
        plain = base64.b64decode(fields["Authorization"].removeprefix("Basic ")).decode()
        yield plain.partition(":")[2]


@dataclass
class Recorded:
    """A PDP, and where it records."""

    server: support.Running
    log: Path

    async def records(self, count: int = 1) -> list[dict[str, Any]]:
        return await support.decided(self.log, count)


def gateway(target: str = "/docs/a", **more: str) -> dict[str, str]:
    told = {"Method": "GET", "Uri": target, "Host": "app.test", "For": IP, "Proto": "https"}
    forwarded = {f"X-Forwarded-{name}": value for name, value in told.items()}
    return {**forwarded, "CF-IPCountry": "DE", **IDS, **more}


def nginx(target: str = "/docs/a", **more: str) -> dict[str, str]:
    return {"X-Original-Method": "GET", "X-Original-URI": target, **gateway(target, **more)}


@pytest.fixture
async def recording(tmp_path: Path) -> AsyncIterator[Recorded]:
    log = tmp_path / "decisions"
    target = support.copy_policies(tmp_path, CREDENTIALS)
    grpc = f"127.0.0.1:{support.free_port()}"
    async with support.pdp(target, decision_log=str(log), grpc_listen=grpc) as server:
        yield Recorded(server, log)


async def ask_everywhere(server: support.Running, fields: Mapping[str, str], target: str) -> int:
    """One question by every surface; how many records that makes."""
    at = f"{target}?password=query-secret"
    await server.ask("GET", "/authz/forward", headers={**gateway(at), **fields})
    for name in ("nginx", "ingress"):
        await server.ask("GET", f"/authz/{name}", headers={**nginx(at), **fields})
    await server.ask("GET", f"/authz/envoy{at}", headers={**gateway(at), **fields})
    own = {"x-forwarded-proto": "https", "cf-ipcountry": "DE"}
    headers = own | {k.lower(): v for k, v in {**IDS, **fields}.items()}
    listen = server.service.loaded.server.grpc_listen or ""
    async with channel(listen) as opened:
        await check(opened, check_request(at, peer=IP, headers=headers))
    given = {"Authorization": "authorization", "Cookie": "cookie", "X-API-Key": "api_key"}
    body = {"action": "GET", "resource": target, "context": {"ip": IP, "country": "DE"}}
    body |= {given[name]: value for name, value in fields.items()}
    await server.ask("POST", "/v1/decision", json=body, headers=IDS)
    value = fields.get("Authorization", "")
    context = {"ip": IP} | ({"token": value[7:]} if value.startswith("Bearer ") else {})
    asked = {
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "GET"},
        "resource": {"type": "resource", "id": target},
        "context": context,
    }
    await server.ask("POST", "/access/v1/evaluation", json=asked, headers=IDS)
    return 7


def check_records(records: list[dict[str, Any]]) -> None:
    for record in records:
        errors = [error.message for error in VALIDATOR.iter_errors(record)]
        assert errors == [], (record, errors)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_record_fits_the_schema_and_holds_no_credential(
    recording: Recorded, kind: str
) -> None:
    fields = KINDS[kind]
    count = 0
    for target in ("/docs/a", "/invoices/7", "/admin", "/nowhere"):
        count += await ask_everywhere(recording.server, fields, target)
    records = await recording.records(count)
    assert len(records) == count
    check_records(records)
    assert len({record["decision_id"] for record in records}) == count
    text = recording.log.read_text()
    assert "query-secret" not in text
    for secret in secrets_of(fields):
        assert secret not in text
    surfaces = {record["surface"] for record in records}
    assert surfaces == {
        "forward",
        "nginx",
        "ingress",
        "envoy",
        "envoy_grpc",
        "native",
        "authzen",
    }
    assert {record["request_id"] for record in records} == {"req-1/a"}
    assert {record["trace_id"] for record in records} == {TRACE}


async def test_who_asked_is_told_for_every_kind_of_credential(recording: Recorded) -> None:
    asked = ("nothing", "bearer good", "bearer jti", "session", "basic", "key", "bearer expired")
    for kind in asked:
        headers = {**gateway(), **KINDS[kind]}
        await recording.server.ask("GET", "/authz/forward", headers=headers)
    records = dict(zip(asked, await recording.records(len(asked)), strict=True))
    methods = {kind: record.get("method") for kind, record in records.items()}
    assert methods == {
        "nothing": "none",
        "bearer good": "bearer",
        "bearer jti": "bearer",
        "session": "session",
        "basic": "basic",
        "key": "api_key",
        "bearer expired": None,
    }
    good = records["bearer good"]
    assert (good["subject"], good["issuer"]) == (
        {"id": "alice", "type": "user"},
        support.ISSUER,
    )
    assert (good["asserted_roles"], "member" in good["roles"]) == (["member"], True)
    assert [kind for kind, record in records.items() if "token" in record] == [
        "bearer good",
        "bearer jti",
        "session",
        "bearer expired",
    ]
    assert ("key_id" in records["key"], "key_id" in good) == (True, False)


async def test_all_uses_of_a_token_have_one_fingerprint(recording: Recorded) -> None:
    one, other = token(), token(scope="x")
    twice = [token(jti="7", scope=scope) for scope in ("a", "b")]
    for value in (one, one, other, *twice):
        headers = gateway(Authorization=f"Bearer {value}")
        await recording.server.ask("GET", "/authz/forward", headers=headers)
    body = {"action": "GET", "resource": "/docs/a", "context": {"ip": IP}, "token": one}
    await recording.server.ask("POST", "/v1/decision", json=body)
    found = [record["token"] for record in await recording.records(6)]
    assert found[0] == found[1] == found[5]
    assert found[3] == found[4]
    assert len(set(found)) == 3


async def test_what_cannot_be_understood_is_recorded(recording: Recorded) -> None:
    for headers in ({}, gateway("/a/../%2e%2e/b"), gateway("relative")):
        await recording.server.ask("GET", "/authz/forward", headers=headers)
    await recording.server.ask("POST", "/v1/decision", data=b"{secret-body")
    await recording.server.ask("POST", "/access/v1/evaluation", json={"subject": 1})
    await recording.server.ask("POST", "/access/v1/search/subject", json={"subject": 1})
    records = await recording.records(6)
    check_records(records)
    assert {(r["verdict"], r["status"]) for r in records} == {("bad_request", 400)}
    assert "secret-body" not in recording.log.read_text()


@pytest.mark.parametrize(
    ("field", "values", "known"),
    [
        ("X-Request-ID", ["a b"], False),
        ("X-Request-ID", ["a\u00e9"], False),
        ("X-Request-ID", ["a" * 129], False),
        ("X-Request-ID", ["a", "b"], False),
        ("X-Request-ID", ["a" * 128], True),
        ("traceparent", [f"00-{TRACE}-00f067aa0ba902b7-01"], True),
        ("traceparent", [f"01-{TRACE}-00f067aa0ba902b7-01-more"], True),
        ("traceparent", [f"00-{TRACE}-00f067aa0ba902b7-01-more"], False),
        ("traceparent", [f"ff-{TRACE}-00f067aa0ba902b7-01"], False),
        ("traceparent", [f"00-{'0' * 32}-00f067aa0ba902b7-01"], False),
        ("traceparent", [f"00-{TRACE}-{'0' * 16}-01"], False),
        ("traceparent", [f"00-{TRACE.upper()}-00f067aa0ba902b7-01"], False),
        ("traceparent", ["eyJhbGciOi.secret"], False),
        ("traceparent", [IDS["traceparent"]] * 2, False),
    ],
    ids=str,
)
async def test_ids_are_taken_only_as_they_should_be(
    recording: Recorded, field: str, values: list[str], known: bool
) -> None:
    headers = [(k, v) for k, v in gateway().items() if k not in IDS]
    headers += [(field, value) for value in values]
    await recording.server.ask("GET", "/authz/forward", headers=headers)
    (record,) = await recording.records()
    check_records([record])
    name = {"X-Request-ID": "request_id", "traceparent": "trace_id"}[field]
    assert (name in record) is known
    assert not {"request_id", "trace_id"} - {name} & record.keys()


async def test_ids_of_one_request_are_not_those_of_the_next(recording: Recorded) -> None:
    without = {k: v for k, v in gateway().items() if k not in IDS}
    for headers in (gateway(), without):  # by one connection
        await recording.server.ask("GET", "/authz/forward", headers=headers)
    first, second = await recording.records(2)
    assert ("request_id" in first, "request_id" in second) == (True, False)


async def test_the_caller_is_named(tmp_path: Path) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of `secret`
    (target / "keys").write_text(digest + "\n")
    caller = '\n[[callers]]\nname = "shop"\nkey_sha256_file = "keys"\nvouch = true\n'
    settings = (target / "pdp.toml").read_text()
    (target / "pdp.toml").write_text(settings + caller)
    body = {"subject": "alice", "action": "GET", "resource": "/docs/a", "context": {"ip": IP}}
    async with support.pdp(target, decision_log=str(log)) as server:
        headers = {"Authorization": "Bearer secret"}
        await server.ask("POST", "/v1/decision", json=body, headers=headers)
        await server.ask("POST", "/v1/decision", data=b"?", headers=headers)
        response, _ = await server.ask("POST", "/v1/decision", json=body)
        await server.ask("GET", "/authz/forward", headers=gateway())
    assert response.status == 401
    records = await support.decided(log, 3)
    check_records(records)
    assert [record.get("caller") for record in records] == ["shop", "shop", None]
    assert '"secret"' not in log.read_text()
