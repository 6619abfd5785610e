"""Each convention by the rows of the verdict table, over sockets; and nobody else's headers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from grpc_client import channel, check, check_request, fields
from support import Running, copy_policies, free_port, pdp, token
from test_verdicts import TABLE, Row

from pdp.answer.profiles import Profile
from pdp.errors import KeysUnavailable
from pdp.surfaces.conventions import CONVENTIONS, ENVOY, FORWARD, INGRESS, NGINX, Convention

FOREIGN = {
    "X-Forwarded-Method": "OPTIONS",
    "X-Forwarded-Uri": "/docs/a",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Server": "evil.test",
    "X-Original-Method": "OPTIONS",
    "X-Original-URI": "/docs/a",
    "X-Original-URL": "https://evil.test/docs/a",
    "X-Original-Proto": "gopher",
    "X-Rewrite-URL": "/docs/a",
    "X-HTTP-Method-Override": "OPTIONS",
    "X-Real-IP": "192.0.2.14",
    "X-Client-IP": "192.0.2.14",
    "Forwarded": "for=192.0.2.14;host=evil.test;proto=http",
    "X-Envoy-External-Address": "192.0.2.14",
    "X-Envoy-Original-Path": "/docs/a",
    "X-Auth-Subject": "carol",
    "X-Auth-Roles": "administrator",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_policies(tmp_path_factory.mktemp("conventions"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(directory: Path) -> AsyncIterator[Running]:
    """A PDP that answers HTTP and gRPC."""
    async with pdp(directory, grpc_listen=f"127.0.0.1:{free_port()}") as running:
        yield running


def grpc_of(running: Running) -> str:
    place = running.service.loaded.server.grpc_listen
    assert place is not None
    return place


def question(convention: Convention, row: Row, query: str = "?q=1") -> dict[str, str]:
    """The headers by which a gateway of this convention asks."""
    target = row.resource + query
    told = {
        FORWARD: {
            "X-Forwarded-Method": row.action,
            "X-Forwarded-Uri": target,
            "X-Forwarded-Host": "app.test",
            "X-Forwarded-Proto": "https",
        },
        NGINX: {
            "X-Original-Method": row.action,
            "X-Original-URI": target,
            "X-Forwarded-Host": "app.test",
        },
        INGRESS: {
            "X-Original-Method": row.action,
            "X-Original-URL": f"https://app.test{target}",
        },
        ENVOY: {"Host": "app.test"},
    }[convention]
    own = {name.title(): value for name, value in row.context.items()}
    known = {"Authorization": row.authorization} if row.authorization else {}
    return {**told, "X-Forwarded-For": row.ip, **own, **known}


def line(convention: Convention, row: Row) -> tuple[str, str]:
    if convention.is_prefix:
        return row.action, convention.path + row.resource + "?q=1"
    return "GET", convention.path


conventions = pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
rows = pytest.mark.parametrize("row", TABLE, ids=str)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@conventions
@rows
async def test_every_http_convention_gives_the_verdict(
    shared: Running, convention: Convention, row: Row
) -> None:
    method, path = line(convention, row)
    foreign = {k: v for k, v in FOREIGN.items() if k not in question(convention, row)}
    headers = {**foreign, **question(convention, row)}
    response, body = await shared.ask(method, path, headers=headers)
    nginx = convention.profile is Profile.NGINX
    shown = row.status if not nginx or row.status in (200, 401) else 403
    assert response.status == shown
    assert response.headers.get("X-Authz-Status") == (
        str(row.status) if shown == 403 and nginx else None
    )
    assert row.challenge is None or response.headers["WWW-Authenticate"] == row.challenge
    assert ("WWW-Authenticate" in response.headers) == (row.status == 401)
    assert ("X-Auth-Subject" in response.headers) == (row.status == 200)
    assert "X-Decision-Id" in response.headers
    assert (body == b"") == (nginx or row.status == 200)


@rows
async def test_envoys_grpc_api_gives_the_verdict(shared: Running, row: Row) -> None:
    own = dict(row.context)
    known = {"authorization": row.authorization} if row.authorization else {}
    read = {"X-Forwarded-Proto": "https"}
    foreign = {name.lower(): value for name, value in {**FOREIGN, **read}.items()}
    request = check_request(
        row.resource + "?q=1", row.action, peer=row.ip, headers={**foreign, **own, **known}
    )
    async with channel(grpc_of(shared)) as opened:
        answered = await check(opened, request)
    if row.status == 200:
        assert answered.status.code == 0
        told = fields(answered.ok_response.headers)
        assert {"x-auth-subject", "x-auth-roles", "x-decision-id"} == told.keys()
        return
    denied = answered.denied_response
    told = fields(denied.headers)
    assert answered.status.code != 0
    assert (denied.status.code, told.get("www-authenticate")) == (
        row.status,
        row.challenge if row.challenge or row.status != 401 else told["www-authenticate"],
    )
    assert json.loads(denied.body).keys() == {"error", "message"}
    assert not {"x-auth-subject", "x-auth-roles"} & told.keys()


ALICE = Row("", "GET", "/invoices/7", 200, "granted", "Bearer " + token("alice"))
PUBLIC = Row("", "GET", "/docs/a", 200, "public")


@conventions
@pytest.mark.parametrize("row", [ALICE, PUBLIC], ids=["alice", "nobody"])
async def test_an_allow_overwrites_what_the_client_calls_itself(
    shared: Running, convention: Convention, row: Row
) -> None:
    method, path = line(convention, row)
    spoofed = [
        *question(convention, row).items(),
        ("X-Auth-Subject", "carol"),
        ("X-Auth-Subject", "root"),
        ("X-Auth-Roles", "administrator"),
        ("X_Auth_Roles", "administrator"),
    ]
    response, _ = await shared.ask(method, path, headers=spoofed)
    subject = "alice" if row is ALICE else ""
    assert response.headers.getall("X-Auth-Subject") == [subject]
    assert response.headers.getall("X-Auth-Roles") == ["authenticated,member" if subject else ""]
    removed = response.headers.get("X-Envoy-Auth-Headers-To-Remove")
    assert (removed is not None) == (convention is ENVOY)
    assert removed is None or "x_auth_subject" in removed.split(",")


@conventions
async def test_a_missing_header_is_a_bad_request_that_names_it(
    shared: Running, convention: Convention
) -> None:
    method, path = line(convention, ALICE)
    whole = question(convention, ALICE)
    for name in whole.keys() - {"Authorization", "Host"}:
        headers = {**FOREIGN, **whole}
        del headers[name]
        response, body = await shared.ask(method, path, headers=headers)
        if convention.profile is Profile.NGINX:
            assert (response.status, response.headers["X-Authz-Status"]) == (403, "400")
        else:
            assert response.status == 400
            assert f"{name}: is missing" in body.decode()


@conventions
async def test_a_fault_is_a_503(directory: Path, convention: Convention) -> None:
    async def fail(*_: object) -> None:
        raise KeysUnavailable

    method, path = line(convention, ALICE)
    async with pdp(directory) as server:
        server.service.authenticator.authenticate = fail  # type: ignore[method-assign,assignment]
        response, body = await server.ask(method, path, headers=question(convention, ALICE))
    assert response.status == 503
    assert "X-Authz-Status" not in response.headers
    assert (body == b"") == (convention.profile is Profile.NGINX)


@conventions
@pytest.mark.parametrize("asks", ["understood", "not understood"])
async def test_a_bug_outside_the_judgement_is_a_503_in_its_form(
    directory: Path, convention: Convention, asks: str, caplog: pytest.LogCaptureFixture
) -> None:
    judged = asks == "understood"
    nobody = Row("", "GET", "/invoices/7" if judged else "/a;b", 401, "")
    method, path = line(convention, nobody)
    headers = {**question(convention, nobody), "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    async with pdp(directory) as server:
        # Either the record of a refusal fails, or what is made of a verdict.
        object.__setattr__(server.context, "login", None if not judged else Failing())
        server.service.refuse = fail  # type: ignore[method-assign,assignment]
        response, body = await server.ask(method, path, headers=headers)
    assert response.status == 503
    assert len(response.headers["X-Decision-Id"]) == 36
    assert response.headers["Cache-Control"] == "no-store"
    assert (body == b"") == (convention.profile is Profile.NGINX)
    (logged,) = [r for r in caplog.records if r.levelname == "ERROR"]
    facts = logged.facts  # type: ignore[attr-defined]
    assert facts["decision_id"] == response.headers["X-Decision-Id"]
    assert any(place.endswith(" fail") for place in facts["at"])
    assert "secret" not in f"{caplog.text}{facts}{body.decode()}"


def fail(*_: object) -> str:
    raise ValueError("secret")


class Failing:
    """A login page of which every question is a bug."""

    def location(self, _: object) -> str:
        return fail()


@conventions
async def test_two_hosts_credentials_or_targets_are_a_bad_request(
    shared: Running, convention: Convention
) -> None:
    method, path = line(convention, ALICE)
    whole = question(convention, ALICE)
    refused = 403 if convention.profile is Profile.NGINX else 400
    for name in whole.keys() - {"X-Forwarded-For", "Host"}:
        twice = [*whole.items(), (name, whole[name])]
        response, _ = await shared.ask(method, path, headers=twice)
        assert response.status == refused, name


TARGETS = [
    "//docs/a", "/docs//a", "/docs/../invoices/7", "/docs/./a", "/docs/%2e%2e/invoices/7",
    "/docs/..%2finvoices/7", "/docs/a;x", "/docs/a%3bx", "/docs\\a", "/docs/%5ca", "/docs/%252e",
    "/docs/%00", "/docs/%", "/docs/%zz", "/docs/%EF%BD%81",
]  # fmt: skip


async def raw(running: Running, method: str, path: str, headers: dict[str, str]) -> bytes:
    """The whole answer to bytes that no client library has made canonical."""
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{sent}Connection: close\r\n\r\n".encode())
    answered = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answered


@conventions
async def test_the_largest_allow_fits_into_the_least_of_buffers(
    directory: Path, convention: Convention
) -> None:
    names = {f"X-{n:02}-{'a' * 35}": f"c{n}" for n in range(14)}
    claims = {f"c{n}": "a" * (230 - n) for n in range(14)}
    row = Row("", "GET", "/invoices/7", 200, "", "Bearer " + token("alice", **claims))
    headers = {"Host": "pdp", **question(convention, row)}
    async with pdp(directory, identity_headers=names) as server:
        answered = await raw(server, *line(convention, row), headers)
    if convention is ENVOY:  # which has 60 kB, and is told what to remove besides
        answered = re.sub(rb"X-Envoy-[^\r]*\r\n", b"", answered)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"a" * 222 in answered
    assert 3_700 < len(answered) < 4_096


@conventions
@pytest.mark.parametrize("target", TARGETS)
async def test_every_convention_refuses_what_two_servers_could_read_differently(
    shared: Running, convention: Convention, target: str
) -> None:
    row = Row("", "GET", target, 400, "", "Bearer " + token("alice"))
    headers = {"Host": "pdp", **question(convention, row, query="")}
    path = convention.path + target if convention.is_prefix else convention.path
    answered = (await raw(shared, "GET", path, headers)).decode()
    nginx = convention.profile is Profile.NGINX
    assert answered.startswith("HTTP/1.1 403 " if nginx else "HTTP/1.1 400 ")
    assert ("X-Authz-Status: 400" in answered) == nginx


@pytest.mark.parametrize("target", TARGETS)
async def test_so_does_the_grpc_api(shared: Running, target: str) -> None:
    async with channel(grpc_of(shared)) as opened:
        answered = await check(opened, check_request(target))
    assert answered.denied_response.status.code == 400
    assert "http.path: " in json.loads(answered.denied_response.body)["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/authz/envoy/docs/a", 200, id="the path behind the prefix"),
        pytest.param("/authz/envoy/docs/a?x=/../y", 200, id="a query is nobody's business"),
        pytest.param("/authz/envoy/", 401, id="the root"),
        pytest.param("/authz/envoy", 404, id="no path at all"),
        pytest.param("/authz/envoyx/docs/a", 404, id="another prefix"),
        pytest.param("/authz/envoy//docs/a", 400, id="an empty segment"),
        pytest.param("/authz/envoy/../forward", 400, id="another endpoint"),
        pytest.param("/authz/envoy/%2e%2e/forward", 400, id="another endpoint, encoded"),
        pytest.param("/authz/%65nvoy/docs/a", 404, id="the prefix itself is not decoded"),
    ],
)
async def test_envoys_prefix_is_taken_off_once_and_literally(
    shared: Running, path: str, status: int
) -> None:
    headers = {**FOREIGN, "Host": "app.test", "X-Forwarded-For": "203.0.113.9"}
    answered = await raw(shared, "GET", path, headers)
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())


async def test_envoys_method_is_the_clients(shared: Running) -> None:
    headers = {"Host": "app.test", "X-Forwarded-For": "203.0.113.9"}
    known = {**headers, "Authorization": "Bearer " + token("alice")}
    for method, status in (("GET", 200), ("HEAD", 403), ("DELETE", 403), ("PROPFIND", 403)):
        response, _ = await shared.ask(method, "/authz/envoy/invoices/7", headers=known)
        assert response.status == status, method


@pytest.mark.parametrize(
    "url",
    [
        "/docs/a", "app.test/docs/a", "https:/docs/a", "https://app.test", "https:///docs/a",
        "ftp://app.test/docs/a", "HTTPS://app.test/docs/a", "https://me@app.test/docs/a",
        "https://a.test,app.test/docs/a", "https://app.test?/docs/a", "https://app.test#/docs/a",
        "https://app.test\\/docs/a", "https://app.test//docs/a", "https://app.test:0/docs/a",
    ],
)  # fmt: skip
async def test_an_ingress_url_must_be_whole_and_plain(shared: Running, url: str) -> None:
    headers = {"X-Original-Method": "GET", "X-Original-URL": url, "X-Forwarded-For": "203.0.113.9"}
    response, _ = await shared.ask("GET", "/authz/ingress", headers=headers)
    assert (response.status, response.headers["X-Authz-Status"]) == (403, "400")


MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""


async def test_the_host_of_an_ingress_url_is_the_host(tmp_path: Path) -> None:
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "policy.csv").write_text("p, anonymous, app.test/x, GET\n")
    headers = {
        "X-Original-Method": "GET",
        "X-Original-URL": "https://APP.test:8443/x?y=https://evil.test/x",
        "X-Forwarded-For": "203.0.113.9",
    }
    async with pdp(tmp_path, resource="{host}{path}") as server:
        assert (await server.ask("GET", "/authz/ingress", headers=headers))[0].status == 200
        other = {**headers, "X-Original-URL": "https://evil.test/x", "X-Forwarded-Host": "app.test"}
        assert (await server.ask("GET", "/authz/ingress", headers=other))[0].status == 403
