"""A service that enforces itself: what its clients see is what the PDP says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import support
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from imposters import ALLOWED, REFUSED, Talk, close, drip, hang, imposter, serving, talking
from support import Running, token

from pdp.client import VERDICT, Action, Guard, Pdp, Resource, Subject, Verdict, request_id, require

INVOICE, DOCS, ADMIN = "/invoices/7", "/docs/a", "/admin"
CLIENT = "203.0.113.9"


async def served(request: web.Request) -> web.Response:
    verdict = request[VERDICT]
    return web.json_response({"subject": verdict.subject, "path": request.path})


def application(*guards: Guard) -> web.Application:
    app = web.Application(middlewares=guards)
    app.router.add_route("*", "/invoices/{id}", served)
    app.router.add_route("*", "/docs/{tail:.*}", served)
    return app


@asynccontextmanager
async def guarded(
    url: str, *, seconds: float = 5, key: str | None = None, **options: Any
) -> AsyncIterator[str]:
    """The URL of a service that asks the PDP at `url`."""
    given = {"client": lambda _: CLIENT, **options}
    async with (
        Pdp(url, timeout=seconds, key=key) as asking,
        serving(application(require(asking, **given))) as service,
    ):
        yield service


async def get(
    url: str, method: str = "GET", headers: Any = None
) -> tuple[int, Mapping[str, str], bytes]:
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, url, headers=headers) as response,
    ):
        return response.status, response.headers, await response.read()


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(who)}"}


@pytest.mark.parametrize(
    ("method", "path", "who", "status"),
    [
        ("GET", DOCS, None, 200),
        ("GET", INVOICE, "alice", 200),
        ("GET", INVOICE, None, 401),
        ("DELETE", INVOICE, "alice", 403),
        ("HEAD", INVOICE, "alice", 403),
        ("GET", ADMIN, "alice", 404),
        ("GET", "/nothing", "alice", 404),
        ("GET", "/nothing", None, 401),
    ],
)
async def test_clients_see_what_the_pdp_says(
    server: Running, method: str, path: str, who: str | None, status: int
) -> None:
    headers = bearer(who) if who else {}
    async with guarded(server.url) as url:
        found, fields, body = await get(url + path, method, headers)
    assert found == status
    if status == 200:
        assert body.startswith(b'{"subject": ' + f'"{who or "anonymous"}"'.encode())
        assert not {"X-Auth-Subject", "X-Auth-Roles"} & fields.keys()
        return
    forward = {"X-Forwarded-Method": method, "X-Forwarded-Uri": path, "X-Forwarded-Host": "a"}
    forward |= {"X-Forwarded-Proto": "http", "X-Forwarded-For": CLIENT, **headers}
    response, said = await server.ask("GET", "/authz/forward", headers=forward)
    assert response.status == status
    assert body == (b"" if method == "HEAD" else said)
    for name in ("WWW-Authenticate", "Content-Type", "Cache-Control", "Vary"):
        assert fields.get(name) == response.headers.get(name)
    assert ("WWW-Authenticate" in fields) == (status == 401)


async def test_a_hidden_page_and_none_are_the_same_bytes(server: Running) -> None:
    async with guarded(server.url) as url:
        hidden = await get(url + ADMIN, headers=bearer("alice"))
        absent = await get(url + "/nothing", headers=bearer("alice"))
    assert (hidden[0], hidden[2]) == (absent[0], absent[2])
    assert {**hidden[1], "Date": ""} == {**absent[1], "Date": ""}


async def test_the_form_of_a_refusal_is_the_clients_choice(server: Running) -> None:
    async with guarded(server.url) as url:
        _, fields, body = await get(url + INVOICE, headers={"Accept": "text/html"})
        assert fields["Content-Type"] == "text/html; charset=utf-8"
        assert body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        [("Authorization", "Bearer a"), ("X-API-Key", "b")],
        [("X-API-Key", "a"), ("X-API-Key", "b")],
        [("Authorization", "Bearer a, Basic b")],
        [("Authorization", "Bearer \udcff")],
    ],
    ids=str,
)
async def test_two_credentials_are_a_400_even_on_a_public_page(
    server: Running, headers: list[tuple[str, str]]
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    async with guarded(server.url) as url:
        assert (await raw(url, DOCS, lines)).startswith(b"HTTP/1.1 400 ")


async def raw(url: str, target: str, fields: str = "", method: str = "GET") -> bytes:
    """The answer to a request that no client would write."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"
    writer.write(head.encode("utf-8", "surrogateescape"))
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_cookie_counts_where_nothing_else_is_presented() -> None:
    fields = {"Cookie": "s=1", **bearer("alice")}
    async with imposter(ALLOWED) as other, guarded(other.url) as url:
        await get(url + DOCS, headers=fields)
        await get(url + DOCS, headers={"Cookie": "s=1"})
        await get(url + DOCS, headers={"X-API-Key": "k", "Cookie": "s=1"})
    bodies = [body for _, _, body in other.asked]
    names = ("authorization", "cookie", "api_key")
    shown = [{n: body[n] for n in names if n in body} for body in bodies]
    assert shown == [
        {"authorization": fields["Authorization"]},
        {"cookie": "s=1"},
        {"api_key": "k"},
    ]


async def test_the_policy_is_told_who_is_at_the_other_end() -> None:
    fields = {"Origin": "https://app.test", "User-Agent": "u", "Referer": "x" * 3000}
    async with imposter(ALLOWED) as other:
        async with (
            Pdp(other.url, timeout=5) as asking,
            serving(application(require(asking))) as url,
        ):
            await get(url + DOCS, headers=fields)
        async with guarded(other.url, client=lambda _: None, context=lambda _: {"a": 1}) as url:
            await get(url + DOCS, headers=fields)
    known = {"origin": "https://app.test", "user_agent": "u"}
    contexts = [body["context"] for _, _, body in other.asked]
    assert contexts == [{"ip": "127.0.0.1", **known}, {"a": 1, **known}]


async def test_an_address_that_nobody_is_served_from_is_refused(server: Running) -> None:
    async with guarded(server.url, client=lambda _: "198.51.100.7") as url:
        assert (await get(url + DOCS))[0] == 403


async def test_a_pdp_that_is_down_is_a_503(caplog: pytest.LogCaptureFixture) -> None:
    async with guarded(f"http://127.0.0.1:{support.free_port()}") as url:
        with caplog.at_level(logging.WARNING, "pdp.client"):
            status, fields, body = await get(url + DOCS, headers=bearer("alice"))
    assert (status, fields["Cache-Control"]) == (503, "no-store")
    assert body.startswith(b'{"error":"unavailable"')
    assert caplog.messages == ["not decided: Unreachable: no answer: ClientConnectorError"]


@pytest.mark.parametrize("talk", [hang, drip, close], ids=["silent", "slow", "closing"])
async def test_a_pdp_that_hangs_is_a_503_in_time(talk: Talk) -> None:
    async with talking(talk) as pdp_url, guarded(pdp_url, seconds=0.2) as url:
        started = time.monotonic()
        assert (await get(url + DOCS))[0] == 503
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        ({"decision": True}, 200, 503),
        ({**ALLOWED, "verdict": "yes"}, 200, 503),
        ({**ALLOWED, "status": 1}, 200, 503),
        (b"true", 200, 503),
        (b"x" * 2_000_000, 200, 503),
        (ALLOWED, 302, 503),
        (ALLOWED, 401, 503),
        (ALLOWED, 403, 503),
        (ALLOWED, 500, 503),
        (ALLOWED, 400, 400),
        (REFUSED, 200, 403),
        (ALLOWED, 200, 200),
    ],
    ids=lambda v: str(v)[:30],
)
async def test_only_an_allow_is_served(answer: object, status: int, expected: int) -> None:
    async with imposter(answer, status) as other, guarded(other.url, key="secret-key") as url:
        found, fields, body = await get(url + DOCS)
        assert found == expected
        assert "WWW-Authenticate" not in fields
        assert b"secret" not in body


async def test_a_service_can_say_itself_who_asks(policies: Path) -> None:
    (policies / "pdp.toml").write_text(without_authentication(policies))
    users = {"s=a": Subject("user", "alice")}
    async with (
        support.pdp(policies) as server,
        guarded(server.url, subject=lambda r: users.get(r.headers.get("Cookie", ""))) as url,
    ):
        assert (await get(url + INVOICE, headers={"Cookie": "s=a"}))[0] == 200
        # A credential of the client is not looked at: here it could not be judged either.
        assert (await get(url + INVOICE, headers={"Cookie": "s=b", **bearer("alice")}))[0] == 403
        assert (await get(url + DOCS))[0] == 200


def without_authentication(policies: Path) -> str:
    text = (policies / "pdp.toml").read_text()
    return text[text.index("[[layers]]") :]


async def test_one_handler_can_be_guarded_with_a_question_of_its_own(server: Running) -> None:
    told: list[str | None] = []
    async with Pdp(server.url, timeout=5) as asking:
        deletion = require(
            asking,
            action=Action("DELETE"),
            resource=lambda request: Resource("resource", f"/invoices/{request.match_info['id']}"),
            client=lambda _: CLIENT,
            on_allow=lambda _, verdict: told.append(verdict.subject),
        )

        @deletion.around
        async def purge(request: web.Request) -> web.Response:
            verdict: Verdict = request[VERDICT]
            return web.Response(text=f"{verdict.subject} purged {request.match_info['id']}")

        assert purge.__name__ == "purge"
        app = web.Application()
        app.router.add_post("/purge/{id}", purge)
        async with serving(app) as url:
            found = await get(f"{url}/purge/7", "POST", bearer("bob"))
            assert (found[0], found[2]) == (200, b"bob purged 7")
            assert (await get(f"{url}/purge/7", "POST", bearer("alice")))[0] == 403
            assert (await get(f"{url}/purge/7", "POST"))[0] == 401
    assert told == ["bob"]


async def test_an_application_within_another_has_its_own_guard(server: Running) -> None:
    async with Pdp(server.url, timeout=5) as asking:
        app = web.Application()
        resource = Resource("resource", INVOICE)
        inner = web.Application(
            middlewares=[require(asking, resource=resource, client=lambda _: CLIENT)]
        )
        inner.router.add_get("/a", served)
        app.add_subapp("/inner", inner)
        app.router.add_get("/open", opened)
        async with serving(app) as url:
            assert (await get(f"{url}/inner/a"))[0] == 401
            assert (await get(f"{url}/inner/a", headers=bearer("alice")))[0] == 200
            assert (await get(f"{url}/inner/none"))[0] == 401
            assert (await get(f"{url}/open"))[0] == 200


async def opened(_: web.Request) -> web.Response:
    return web.Response()


async def test_a_request_id_goes_on_and_no_further() -> None:
    seen: list[str | None] = []

    def note(request: web.Request, verdict: Verdict) -> None:
        seen.append(request_id.get())

    async with (
        imposter(ALLOWED) as other,
        guarded(other.url, on_allow=note) as url,
        aiohttp.ClientSession() as session,  # one connection, one task at the service
    ):
        for fields in ({"X-Request-ID": "r-1"}, {}, {"X-Request-ID": "a b"}):
            async with session.get(url + DOCS, headers=fields) as response:
                assert response.status == 200
    assert seen == ["r-1", None, None]
    assert [headers.get("X-Request-ID") for _, headers, _ in other.asked] == seen


async def test_an_id_of_the_application_stays_and_one_of_the_request_goes() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=request_id.get())

    request = make_mocked_request("GET", DOCS, {"X-Request-ID": "of-the-request"})
    async with imposter(ALLOWED) as other, Pdp(other.url, timeout=5) as asking:
        guard = require(asking)
        for own in (None, "of-the-application"):
            mark = request_id.set(own)
            answer = await guard(request, handler)
            assert isinstance(answer, web.Response)
            assert answer.text == (own or "of-the-request")
            assert request_id.get() == own
            request_id.reset(mark)


async def test_a_guard_that_breaks_lets_nobody_in() -> None:
    def broken(_: web.Request) -> Resource:
        raise LookupError

    async with imposter(ALLOWED) as other:
        async with guarded(other.url, resource=broken) as url:
            assert (await get(url + DOCS))[0] == 500
        assert not other.asked
