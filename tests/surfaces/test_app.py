"""The HTTP server itself: routing, bytes that are no request, health, and what is never shown."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import support
from multidict import CIMultiDict, CIMultiDictProxy
from support import Running, token

from pdp.errors import KeysUnavailable, RequestError
from pdp.model import Answer
from pdp.surfaces.app import Route, dispatcher
from pdp.surfaces.requests import Peer, Request

FORWARD = (
    b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /docs/a\r\nX-Forwarded-Host: app.test\r\n"
    b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
)


async def raw(server: Running, *requests: bytes) -> list[bytes]:
    """The first bytes of each answer, all on one connection."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = []
    for request in requests:
        writer.write(request)
        answers.append(await asyncio.wait_for(reader.read(65_536), 5))
    writer.close()
    return answers


def get(target: bytes, extra: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: pdp\r\n" + extra + b"\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization Bearer secret\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: secret\x00\r\n\r\n",
        b"GET /secret\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"secret\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        get(b"/v1/decision", b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"POST"),
        get(b"/livez", b"Cookie: " + b"secret" * 20_000 + b"\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no colon", "nul", "control", "no http", "hosts", "smuggling", "huge header", "tls"],
)
async def test_bytes_that_are_no_request_get_our_400_without_an_echo(
    server: Running, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = await raw(server, request_)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"secret" not in answer
    assert b"aiohttp" not in answer
    assert b"Server" not in answer
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "extra",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Expect: 100-continue\r\n",
        b"Cookie: " + b"a" * 30_000 + b"\r\n",
        b"",
    ],
    ids=["upgrade", "expect", "a large cookie", "plain"],
)
async def test_a_gateway_may_hand_on_such_headers_and_keep_the_connection(
    server: Running, extra: bytes
) -> None:
    request = get(b"/authz/forward", FORWARD + extra)
    answers = await raw(server, request, request)
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


async def test_a_body_that_never_comes_is_not_waited_for(server: Running) -> None:
    started = time.monotonic()
    (answer,) = await raw(server, get(b"/authz/forward", FORWARD + b"Content-Length: 5\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("method", [b"PROPFIND", b"OPTIONS", b"DELETE", b"HEAD", b"TRACE"])
async def test_a_gateway_may_ask_with_any_method(server: Running, method: bytes) -> None:
    (answer,) = await raw(server, get(b"/authz/forward?x=1", FORWARD, method))
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("target", [b"/", b"/authz", b"/authz/forward/", b"/authz%2fforward"])
async def test_there_is_nothing_beside_the_endpoints(server: Running, target: bytes) -> None:
    (answer,) = await raw(server, get(target, FORWARD))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"There is no such endpoint" in answer


async def test_a_wrong_method_is_told_the_right_one(server: Running) -> None:
    response, _ = await server.ask("GET", "/v1/decision")
    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("admin", [False, True], ids=["public", "admin"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_health_answers_on_both_listeners(server: Running, path: str, admin: bool) -> None:
    response, body = await server.ask("GET", path, admin=admin)
    assert response.status == 200
    revision = server.service.snapshot.revision
    assert path == "/livez" or json.loads(body)["policy_revision"] == revision


async def test_it_is_not_ready_while_it_stops(server: Running) -> None:
    server.service.stopping = True
    response, body = await server.ask("GET", "/readyz")
    assert (response.status, json.loads(body)["status"]) == (503, "not_ready")


async def test_metrics_and_policy_are_on_the_admin_listener_only(server: Running) -> None:
    for path in ("/metrics", "/v1/policy"):
        assert (await server.ask("GET", path))[0].status == 404
        assert (await server.ask("GET", path, admin=True))[0].status == 200
    assert (await server.ask("POST", "/v1/decision", admin=True, json={}))[0].status == 404


async def test_metrics_count_verdicts_and_hold_no_names(server: Running) -> None:
    headers = forward("/invoices/secret-path") | {"Authorization": f"Bearer {token('sam')}"}
    await server.ask("GET", "/authz/forward", headers=headers)
    _, body = await server.ask("GET", "/metrics", admin=True)
    line = (
        b'pdp_decisions_total{layer="",reason="not_granted",surface="forward",verdict="forbidden"}'
    )
    assert line + b" 1.0" in body
    assert b"pdp_policy_last_reload_success_timestamp_seconds" in body
    assert b"secret-path" not in body
    assert not re.search(rb"\bsam\b", body)


def forward(path: str) -> dict[str, str]:
    return {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": path,
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
    }


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeysUnavailable(), "keys_unavailable"),
        (ValueError("the token was secret"), "internal_error"),
    ],
)
async def test_a_fault_is_a_503_everywhere(
    server: Running, error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise error

    server.service.authenticator.authenticate = fail  # type: ignore[method-assign,assignment]
    headers: Mapping[str, str] = forward("/docs/a") | {"Authorization": "Bearer secret"}
    response, body = await server.ask("GET", "/authz/forward", headers=headers)
    assert response.status == 503
    assert json.loads(body)["error"] == "unavailable"
    nginx = {**headers, "X-Original-Method": "GET", "X-Original-URI": "/docs/a"}
    assert (await server.ask("GET", "/authz/nginx", headers=nginx))[0].status == 503
    question = {"action": "GET", "resource": "/docs/a", "token": "secret", "context": {"ip": "::1"}}
    response, body = await server.ask("POST", "/v1/decision", json=question)
    assert (response.status, json.loads(body)["reason"]) == (503, reason)
    assert "secret" not in caplog.text


async def test_authentication_that_takes_too_long_is_a_503(policies: Path) -> None:
    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    async with support.pdp(policies, authentication_seconds=0.05) as server:
        server.service.authenticator.authenticate = hang  # type: ignore[method-assign,assignment]
        question = {"action": "GET", "resource": "/docs/a", "token": "x", "context": {"ip": "::1"}}
        response, body = await server.ask("POST", "/v1/decision", json=question)
        assert (response.status, json.loads(body)["reason"]) == (503, "deadline_exceeded")


async def test_every_decision_is_recorded_once_without_secrets(
    policies: Path, tmp_path: Path
) -> None:
    log = tmp_path / "decisions"
    good = token("alice")
    headers = forward("/invoices/7?password=hunter2") | {"Authorization": f"Bearer {good}"}
    async with support.pdp(policies, decision_log=str(log)) as server:
        response, _ = await server.ask("GET", "/authz/forward", headers=headers)
    (record,) = await support.decided(log)
    assert record["decision_id"] == response.headers["X-Decision-Id"]
    assert (record["subject"]["id"], record["rule"]) == ("alice", "rbac.csv:3")
    assert record["resource"] == "/invoices/7"
    assert good not in str(record)
    assert "hunter2" not in str(record)


async def test_an_exempted_pattern_lets_encoded_delimiters_in(policies: Path) -> None:
    (policies / "acl.csv").write_text("p, erin, /npm/@a%2Fb, GET, allow\n")
    npm = {**forward("/npm/@a%2fb"), "Authorization": f"Bearer {token('erin')}"}
    async with support.pdp(policies, exempt_targets=["/npm/*"]) as server:
        assert (await server.ask("GET", "/authz/forward", headers=npm))[0].status == 200
        other = {**npm, "X-Forwarded-Uri": "/x/@a%2fb"}
        assert (await server.ask("GET", "/authz/forward", headers=other))[0].status == 400


async def test_a_unix_socket_serves(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / "pdp.sock"
    async with support.pdp(policies, listen=f"unix:{path}"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(get(b"/livez"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_bug_in_recording_what_is_not_understood_is_a_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuses(_: Request) -> Answer:
        raise RequestError("field", "is wrong")

    def broken(_: RequestError) -> None:
        raise RuntimeError("secret")

    answer = dispatcher({"/a": Route(None, refuses, broken), "/b": Route(None, refuses)})
    nobody: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
    asked = [Request("GET", path, nobody, cast(Peer, None), b"") for path in ("/a", "/b")]
    assert [(await answer(request)).status for request in asked] == [503, 400]
    assert "secret" not in caplog.text
    assert "RuntimeError" in str([getattr(record, "facts", None) for record in caplog.records])
