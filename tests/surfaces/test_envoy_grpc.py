"""Envoy's gRPC API beyond the verdict table: addresses, headers, bounds, faults, and the extra."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_client import channel, check, check_request, fields
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st
from support import Running, free_port, pdp, token

from pdp.errors import KeysUnavailable, RequestError
from pdp.model import Reason, Rejected
from pdp.runtime.settings import parse_networks
from pdp.surfaces.asked import Asked, Reading
from pdp.surfaces.envoy_grpc import Fields, read_check
from pdp.surfaces.ext_authz_pb2 import OVERWRITE_IF_EXISTS_OR_ADD, CheckRequest, CheckResponse

ALICE = {"authorization": "Bearer " + token("alice")}
REFUSED = "198.51.100.7"  # by the network guard
PROXY = "127.0.0.1"


@pytest.fixture
async def served(policies: Path) -> AsyncIterator[Running]:
    async with pdp(policies, grpc_listen=f"127.0.0.1:{free_port()}") as running:
        yield running


def place(running: Running) -> str:
    found = running.service.loaded.server.grpc_listen
    assert found is not None
    return found


async def ask(running: Running, request: CheckRequest, **options: Any) -> CheckResponse:
    async with channel(place(running)) as opened:
        return await check(opened, request, **options)


def status(answered: CheckResponse) -> int:
    denied = answered.denied_response.status.code
    assert (denied == 0) == (answered.status.code == 0)
    return denied or 200


async def test_an_allow_overwrites_the_identity_and_drops_its_other_spellings(
    served: Running,
) -> None:
    spoofed = {"x-auth-subject": "root", "x_auth_roles": "administrator", **ALICE}
    answered = await ask(served, check_request("/invoices/7", headers=spoofed))
    allowed = answered.ok_response
    told = fields(allowed.headers)
    assert (told["x-auth-subject"], told["x-auth-roles"]) == ("alice", "authenticated,member")
    assert all(o.append_action == OVERWRITE_IF_EXISTS_OR_ADD for o in allowed.headers)
    assert {"x_auth_subject", "x-auth_subject", "x_auth-subject"} <= set(allowed.headers_to_remove)
    # Envoy removes after it has set: what is told must not be among what is removed.
    assert not told.keys() & set(allowed.headers_to_remove)


async def test_nobodys_identity_is_told_too_and_empty(served: Running) -> None:
    answered = await ask(served, check_request("/docs/a", headers={"x-auth-subject": "root"}))
    told = fields(answered.ok_response.headers)
    assert (told["x-auth-subject"], told["x-auth-roles"]) == ("", "")
    assert all(option.keep_empty_value for option in answered.ok_response.headers)


@pytest.mark.parametrize(
    ("accept", "media", "start"),
    [
        ("", "application/json", '{"error":"unauthenticated"'),
        ("application/problem+json", "application/problem+json", '{"type":"about:blank"'),
        ("text/html", "text/html; charset=utf-8", "<!doctype html>"),
    ],
)
async def test_a_denial_is_whole(served: Running, accept: str, media: str, start: str) -> None:
    answered = await ask(served, check_request("/invoices/7", headers={"accept": accept}))
    denied = answered.denied_response
    told = fields(denied.headers)
    assert denied.status.code == 401
    assert told["www-authenticate"] == 'Bearer realm="tests"'
    assert (told["cache-control"], told["vary"]) == ("no-store", "Accept")
    assert told["content-type"] == media
    assert denied.body.startswith(start)
    assert len(told["x-decision-id"]) == 36


@pytest.mark.parametrize(
    ("peer", "chain", "expected"),
    [
        pytest.param("203.0.113.9", None, 401, id="the peer"),
        pytest.param(REFUSED, None, 403, id="a refused peer"),
        pytest.param(REFUSED, "203.0.113.9", 403, id="a refused peer cannot name another"),
        pytest.param("203.0.113.9", REFUSED, 401, id="nor be named"),
        pytest.param(PROXY, REFUSED, 403, id="a proxy names the client"),
        pytest.param(PROXY, f"203.0.113.9, {REFUSED}", 403, id="the right-most counts"),
        pytest.param(PROXY, f"{REFUSED}, 203.0.113.9", 401, id="what stands left is unread"),
        pytest.param(f"::ffff:{REFUSED}", None, 403, id="mapped"),
        pytest.param(PROXY, None, 401, id="a proxy alone is the client"),
        pytest.param(PROXY, "garbage", 400, id="a proxy that names nobody"),
        pytest.param("garbage", None, 400, id="no address"),
    ],
)
async def test_the_client_is_the_peer_or_whom_a_proxy_names(
    served: Running, peer: str, chain: str | None, expected: int
) -> None:
    headers = {"x-forwarded-for": chain} if chain else {}
    assert status(await ask(served, check_request("/x", peer=peer, headers=headers))) == expected


@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ("path", "http.path"),
        ("method", "http.method"),
        ("host", "http.host"),
        ("peer", "source.address"),
    ],
)
async def test_a_missing_attribute_is_a_bad_request(
    served: Running, missing: str, field: str
) -> None:
    elsewhere = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    elsewhere |= {":method": "GET", "x-forwarded-host": "app.test", "x-original-uri": "/docs/a"}
    answered = await ask(served, check_request(**{missing: ""}, headers=elsewhere))  # type: ignore[arg-type]
    assert answered.denied_response.status.code == 400
    assert json.loads(answered.denied_response.body)["message"] == f"{field}: is missing"


@pytest.mark.parametrize("own", ["https", "http", "gopher", ""])
@pytest.mark.parametrize(
    ("told", "headers", "expected"),
    [
        pytest.param(["https"], ALICE, 200, id="https"),
        pytest.param(["http"], ALICE, 403, id="http"),
        pytest.param([], ALICE, 400, id="missing"),
        pytest.param([], {}, 400, id="missing without a credential"),
        pytest.param([""], ALICE, 400, id="empty"),
        pytest.param(["https,http"], ALICE, 400, id="joined"),
        pytest.param(["HTTPS"], ALICE, 400, id="another case"),
        pytest.param(["https", "http"], ALICE, 400, id="repeated"),
    ],
)
async def test_the_scheme_is_envoys_word_and_never_the_clients(
    policies: Path, own: str, told: list[str], headers: dict[str, str], expected: int
) -> None:
    request = check_request("/invoices/7", scheme=own, headers={**headers, ":scheme": own})
    for value in told:
        request.attributes.request.http.header_map.headers.add(key="x-forwarded-proto", value=value)
    listen = f"127.0.0.1:{free_port()}"
    async with pdp(policies, grpc_listen=listen, require_https=True) as server:
        assert status(await ask(server, request)) == expected


def test_the_scheme_that_rules_see_is_envoys_too() -> None:
    _, asked = understood(check_request(headers={"x-forwarded-proto": "http"}))
    assert asked is not None
    assert asked.query.context["scheme"] == "http"
    error, _ = understood(check_request(headers={"x-forwarded-proto": "gopher"}))
    assert error is not None
    assert error.field == "x-forwarded-proto"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("authorization", ALICE["authorization"], id="bearer"),
        pytest.param("x-api-key", "k", id="key"),
        pytest.param("x-forwarded-proto", "https", id="scheme"),
    ],
)
async def test_names_that_differ_in_case_only_are_one_name_repeated(
    served: Running, name: str, value: str
) -> None:
    both = {name: value, name.title(): value}
    assert status(await ask(served, check_request("/docs/a", headers=both))) == 400


async def test_an_empty_request_is_a_bad_request(served: Running) -> None:
    assert status(await ask(served, CheckRequest())) == 400


async def test_headers_are_read_from_the_newer_list_too(served: Running) -> None:
    request = check_request("/invoices/7")
    request.attributes.request.http.ClearField("headers")
    listed = request.attributes.request.http.header_map.headers
    listed.add(key="authorization", raw_value=ALICE["authorization"].encode())
    assert status(await ask(served, request)) == 200
    listed.add(key="Authorization", value=ALICE["authorization"])
    assert status(await ask(served, request)) == 400


@pytest.mark.parametrize("joined", ["Bearer a,Bearer b", "Bearer a, Basic b"])
async def test_two_credentials_that_envoy_joined_are_a_bad_request(
    served: Running, joined: str
) -> None:
    assert status(await ask(served, check_request(headers={"authorization": joined}))) == 400


@pytest.mark.parametrize("error", [KeysUnavailable(), ValueError("secret")])
async def test_a_fault_is_a_503_and_never_a_403(
    served: Running, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise error

    served.service.authenticator.authenticate = fail  # type: ignore[method-assign,assignment]
    answered = await ask(served, check_request(headers={"authorization": "Bearer secret"}))
    assert answered.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert answered.denied_response.status.code == 503
    assert "secret" not in caplog.text + answered.denied_response.body


async def test_a_bug_outside_the_pipeline_is_a_503_too(served: Running) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret")

    served.service.refuse = fail  # type: ignore[method-assign,assignment]
    answered = await ask(served, CheckRequest())
    assert answered.denied_response.status.code == 503
    assert len(fields(answered.denied_response.headers)["x-decision-id"]) == 36
    assert "secret" not in answered.denied_response.body


async def test_it_answers_before_the_callers_deadline(policies: Path) -> None:
    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    listen = f"127.0.0.1:{free_port()}"
    async with pdp(policies, grpc_listen=listen, authentication_seconds=30) as server:
        server.service.authenticator.authenticate = hang  # type: ignore[method-assign,assignment]
        answered = await ask(server, check_request(headers=ALICE), timeout=2)
    assert answered.denied_response.status.code == 503


async def test_a_message_over_the_bound_is_refused_unread(policies: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    async with pdp(policies, grpc_listen=listen, max_body_bytes=10_000) as server:
        assert status(await ask(server, check_request(headers={"x": "a" * 9_000}))) == 200
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(server, check_request(headers={"x": "a" * 10_000}))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_more_calls_than_may_be_under_way_are_refused(policies: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    async with pdp(policies, grpc_listen=listen, grpc_max_calls=1) as server:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def hang(*_: object) -> Rejected:
            entered.set()
            await leave.wait()
            return Rejected(Reason.TOKEN_INVALID)

        server.service.authenticator.authenticate = hang  # type: ignore[method-assign,assignment]
        first = asyncio.create_task(ask(server, check_request(headers=ALICE)))
        await entered.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(server, check_request("/docs/a"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        leave.set()
        assert status(await first) in {401, 503}  # a slow machine: authentication had a second


async def test_stopping_waits_for_the_calls_under_way(policies: Path) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> Rejected:
        entered.set()
        await leave.wait()
        return Rejected(Reason.TOKEN_INVALID)

    listen = f"127.0.0.1:{free_port()}"
    async with pdp(policies, grpc_listen=listen, authentication_seconds=30) as server:
        server.service.authenticator.authenticate = slow  # type: ignore[method-assign,assignment]
        asked = asyncio.create_task(ask(server, check_request(headers=ALICE)))
        await entered.wait()
        asyncio.get_running_loop().call_later(0.2, leave.set)
    assert status(await asked) == 401


def latin(header: bytes) -> bytes:
    """A CheckRequest that would be an allow, but for one header that is not UTF-8."""
    request = check_request(headers={"x": "?" * len(header)}).SerializeToString()
    return request.replace(b"?" * len(header), header)


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", latin(b"\xe9\xe9\xe9")], ids=["garbage", "latin-1"]
)
async def test_bytes_that_are_no_message_are_a_bad_request(served: Running, data: bytes) -> None:
    async with channel(place(served)) as opened:
        call = opened.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        answered = CheckResponse.FromString(await call(data))
    assert status(answered) == 400


async def test_there_is_no_other_method(served: Running) -> None:
    async with channel(place(served)) as opened:
        call = opened.unary_unary("/envoy.service.auth.v2.Authorization/Check")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["", "envoy.service.auth.v3.Authorization"])
async def test_health_is_readiness(served: Running, service: str) -> None:
    async with channel(place(served)) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        request = health_pb2.HealthCheckRequest(service=service)
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        served.service.stopping = True
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_health_of_another_service_is_unknown(served: Running) -> None:
    async with channel(place(served)) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="x"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_unix_socket_serves_grpc(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with pdp(policies, grpc_listen=f"unix:{path}") as server:
        assert status(await ask(server, check_request())) == 200


async def test_a_port_that_is_taken_is_an_error(served: Running, policies: Path) -> None:
    with pytest.raises(OSError, match="gRPC"):
        async with pdp(policies, grpc_listen=place(served)):
            pytest.fail("it must not start")


async def test_calls_are_counted_and_logged_like_all_others(served: Running) -> None:
    await ask(served, check_request("/invoices/7", headers=ALICE))
    _, body = await served.ask("GET", "/metrics", admin=True)
    assert b'surface="envoy_grpc",verdict="allow"} 1.0' in body


TEXT = st.text("/%.:,;AB0[] \0é", max_size=12) | st.sampled_from(["GET", "/a", "a.test", "https"])


@given(st.dictionaries(st.sampled_from(["path", "method", "host", "scheme", "peer"]), TEXT), TEXT)
def test_only_a_request_error_is_raised_and_it_quotes_nothing(
    changes: dict[str, str], chain: str
) -> None:
    request = check_request(**changes, headers={"x-forwarded-for": chain})  # type: ignore[arg-type]
    error, asked = understood(request)
    if error is not None:
        assert error.field.startswith(("http.", "source."))
        assert not any(value in error.problem for value in changes.values() if len(value) > 3)
    if asked is not None:
        assert asked.query.action.name == request.attributes.request.http.method
        assert "scheme" not in asked.query.context  # whatever the client wrote as its own


def understood(request: CheckRequest) -> tuple[RequestError | None, Asked | None]:
    fields = Fields(request.attributes.request.http)
    try:
        return None, read_check(request, fields, Reading(parse_networks(["127.0.0.1"])))
    except RequestError as error:
        return error, None


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - code of this file
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_nothing_of_grpc_is_imported_unless_it_is_served() -> None:
    code = (
        "import sys; import pdp.cli.serve, pdp.cli.start;"
        "print([m for m in sys.modules if m.split('.')[0] in ('grpc', 'google', 'grpc_health')])"
    )
    ran = python(code)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["grpc", "grpc_health", "google.protobuf"])
def test_without_the_extra_the_start_says_what_to_install(policies: Path, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:1] = ['serve', '--listen',"
        "'127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--grpc-listen', '127.0.0.1:0'];"
        "from pdp.cli.main import main; main()"
    )
    ran = python(code, str(policies))
    assert ran.returncode == 3
    assert "missing-extra" in ran.stderr
    assert "pip install '.[grpc]'" in ran.stderr
