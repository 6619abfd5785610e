"""Preflights, the login page, and credentials in the clear, over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from grpc_client import channel, check, check_request, fields
from hypothesis import given
from hypothesis import strategies as st
from support import Running, copy_policies, decided, free_port, pdp, token

from pdp.model import Action, Entity, Query
from pdp.surfaces.asked import Asked
from pdp.surfaces.browser import Login

REFUSED = "198.51.100.7"  # by the network guard
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PREFLIGHT = {"Origin": "https://app.test", "Access-Control-Request-Method": "PUT"}
BEARER = {"Authorization": "Bearer " + token("alice")}
SURFACES = ("forward", "nginx", "ingress", "envoy", "grpc")
surfaces = pytest.mark.parametrize("surface", SURFACES)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_policies(tmp_path_factory.mktemp("browser"))


@contextlib.asynccontextmanager
async def serving(directory: Path, **settings: Any) -> AsyncIterator[Running]:
    async with pdp(directory, grpc_listen=f"127.0.0.1:{free_port()}", **settings) as running:
        yield running


async def ask(
    running: Running,
    surface: str,
    target: str = "/invoices/7",
    method: str = "GET",
    *,
    scheme: str = "https",
    host: str = "app.test",
    ip: str = "203.0.113.9",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str]]:
    """The status that is meant, and the header fields by their names in lower case."""
    own = dict(headers or {})
    if surface == "grpc":
        headed = {"x-forwarded-proto": scheme, **{k.lower(): v for k, v in own.items()}}
        request = check_request(target, method, peer=ip, host=host, headers=headed)
        listen = running.service.loaded.server.grpc_listen
        assert listen is not None
        async with channel(listen) as opened:
            answered = await check(opened, request)
        denied = answered.denied_response
        told = answered.ok_response if not denied.status.code else denied
        return denied.status.code or 200, fields(told.headers)
    forwarded = {"X-Forwarded-For": ip, "X-Forwarded-Proto": scheme}
    of_surface = {
        "forward": {
            "X-Forwarded-Method": method,
            "X-Forwarded-Uri": target,
            "X-Forwarded-Host": host,
        },
        "nginx": {
            "X-Original-Method": method,
            "X-Original-URI": target,
            "X-Forwarded-Host": host,
        },
        "ingress": {"X-Original-Method": method, "X-Original-URL": f"{scheme}://{host}{target}"},
        "envoy": {"Host": host},
    }
    prefix = surface == "envoy"
    path = f"/authz/{surface}" + (target if prefix else "")
    sent = {**own, **of_surface[surface], **forwarded}
    response, body = await running.ask(
        method if prefix else "GET", path, headers=sent, allow_redirects=False
    )
    nginx = surface in {"nginx", "ingress"}
    assert not (nginx and body)
    real = response.headers.get("X-Authz-Status") if nginx and response.status == 403 else None
    return int(real or response.status), {k.lower(): v for k, v in response.headers.items()}


# preflights


@surfaces
async def test_a_preflight_is_let_through_where_the_setting_says_so(
    directory: Path, surface: str, tmp_path: Path
) -> None:
    log = tmp_path / "decisions"
    async with serving(directory, preflight=["/invoices/*"], decision_log=str(log)) as server:
        status, told = await ask(server, surface, method="OPTIONS", headers=PREFLIGHT)
        assert (status, told["x-auth-subject"], told["x-auth-roles"]) == (200, "", "")
        (facts,) = await decided(log)
        assert (facts["reason"], facts["detail"], facts["action"]) == (
            "public",
            "preflight",
            "OPTIONS",
        )
        elsewhere, _ = await ask(server, surface, "/reports/1", "OPTIONS", headers=PREFLIGHT)
        assert elsewhere == 403  # by the site guard
        other, _ = await ask(server, surface, "/x", "OPTIONS", headers=PREFLIGHT)
        assert other == 401


@surfaces
async def test_by_default_no_preflight_is(directory: Path, surface: str) -> None:
    async with serving(directory) as server:
        assert (await ask(server, surface, method="OPTIONS", headers=PREFLIGHT))[0] == 401


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("OPTIONS", {}, 401, id="no preflight at all"),
        pytest.param("OPTIONS", {"Origin": "https://app.test"}, 401, id="no method"),
        pytest.param("OPTIONS", {"Access-Control-Request-Method": "PUT"}, 401, id="no origin"),
        pytest.param("OPTIONS", {**PREFLIGHT, "Origin": ""}, 401, id="an empty origin"),
        pytest.param("OPTIONS", {**PREFLIGHT, "Cookie": "a=b"}, 200, id="a cookie is no matter"),
        pytest.param("GET", PREFLIGHT, 401, id="another method"),
        pytest.param("options", PREFLIGHT, 401, id="a method in lower case"),
        pytest.param("OPTIONS", {**PREFLIGHT, **BEARER}, 403, id="a good credential"),
        pytest.param(
            "OPTIONS", {**PREFLIGHT, "Authorization": "Bearer x"}, 401, id="a bad credential"
        ),
        pytest.param("OPTIONS", {**PREFLIGHT, "X-API-Key": "x"}, 401, id="a key"),
    ],
)
async def test_only_what_is_a_preflight_is_let_through(
    directory: Path, method: str, headers: Mapping[str, str], status: int
) -> None:
    async with serving(directory, preflight=["*"]) as server:
        for surface in ("forward", "nginx", "grpc"):
            assert (await ask(server, surface, method=method, headers=headers))[0] == status


async def test_a_repeated_origin_is_no_preflight(directory: Path) -> None:
    async with serving(directory, preflight=["*"]) as server:
        told = {
            "X-Forwarded-Method": "OPTIONS",
            "X-Forwarded-Uri": "/invoices/7",
            "X-Forwarded-Host": "app.test",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
        }
        twice = [*told.items(), *PREFLIGHT.items(), ("Origin", "https://evil.test")]
        response, _ = await server.ask("GET", "/authz/forward", headers=twice)
        assert response.status == 401


@surfaces
async def test_guards_hold_for_preflights_too(directory: Path, surface: str) -> None:
    async with serving(directory, preflight=["*"]) as server:
        status, _ = await ask(server, surface, method="OPTIONS", ip=REFUSED, headers=PREFLIGHT)
        assert status == 403
        odd, _ = await ask(server, surface, "/a//b", "OPTIONS", headers=PREFLIGHT)
        assert odd == 400


async def test_hidden_and_absent_preflights_are_alike(directory: Path) -> None:
    async with serving(directory, preflight=["/admin/*", "/ghost"]) as server:
        answers = [
            (await ask(server, "forward", path, "OPTIONS", headers=PREFLIGHT))[0]
            for path in ("/admin/users", "/admin/ghost", "/ghost")
        ]
        assert answers == [200, 200, 200]


# the login page


@surfaces
async def test_a_browser_is_sent_to_log_in_and_told_the_way_back(
    directory: Path, surface: str
) -> None:
    async with serving(directory, login_url="/login") as server:
        status, told = await ask(server, surface, "/invoices/7?a=b&c=%26", headers=NAVIGATES)
        assert status == 302
        assert told["location"] == "/login?return_to=%2Finvoices%2F7%3Fa%3Db%26c%3D%2526"
        assert told["cache-control"] == "no-store"
        assert "www-authenticate" not in told


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("GET", {}, 401, id="a program"),
        pytest.param("GET", {"Accept": "text/html"}, 401, id="no fetch metadata"),
        pytest.param("GET", {"Sec-Fetch-Mode": "navigate"}, 401, id="no accept"),
        pytest.param("GET", {**NAVIGATES, "Accept": "*/*"}, 401, id="anything"),
        pytest.param("GET", {**NAVIGATES, "Accept": "application/json"}, 401, id="json"),
        pytest.param(
            "GET", {**NAVIGATES, "Accept": "text/html;q=0.1,application/json"}, 401, id="json first"
        ),
        pytest.param("GET", {**NAVIGATES, "Sec-Fetch-Mode": "cors"}, 401, id="a script"),
        pytest.param("GET", {**NAVIGATES, "Sec-Fetch-Mode": "Navigate"}, 401, id="another case"),
        pytest.param("POST", NAVIGATES, 401, id="a form"),
        pytest.param("get", NAVIGATES, 401, id="a method in lower case"),
        pytest.param("HEAD", NAVIGATES, 302, id="head"),
        pytest.param("GET", {**NAVIGATES, "Cookie": "session=old"}, 302, id="an old cookie"),
        pytest.param("GET", {**NAVIGATES, "Authorization": "Bearer x"}, 401, id="a bad token"),
        pytest.param("GET", {**NAVIGATES, "X-API-Key": "x"}, 401, id="a key"),
        pytest.param("GET", {**NAVIGATES, **BEARER}, 200, id="a good token"),
    ],
)
async def test_nobody_else_is_ever_redirected(
    directory: Path, method: str, headers: Mapping[str, str], status: int
) -> None:
    async with serving(directory, login_url="/login") as server:
        for surface in ("forward", "nginx", "grpc"):
            found, told = await ask(server, surface, method=method, headers=headers)
            assert found == status
            assert ("location" in told) == (status == 302)


@surfaces
@pytest.mark.parametrize(
    ("target", "ip", "status"),
    [("/reports/1", "203.0.113.9", 403), ("/invoices/7", REFUSED, 403), ("/a//b", REFUSED, 400)],
)
async def test_what_logging_in_would_not_mend_is_not_redirected(
    directory: Path, surface: str, target: str, ip: str, status: int
) -> None:
    async with serving(directory, login_url="/login") as server:
        found, told = await ask(server, surface, target, ip=ip, headers=NAVIGATES)
        assert (found, "location" in told) == (status, False)


async def test_every_page_that_is_not_public_redirects_alike(directory: Path) -> None:
    async with serving(directory, login_url="/login") as server:
        for path in ("/invoices/7", "/admin", "/admin/ghost", "/ghost"):
            status, told = await ask(server, "forward", path, headers=NAVIGATES)
            back = path.replace("/", "%2F")
            assert (status, told["location"]) == (302, f"/login?return_to={back}")
        assert (await ask(server, "forward", "/login?x=1", headers=NAVIGATES))[0] == 401


@surfaces
async def test_a_login_page_elsewhere_is_told_a_whole_url_of_a_known_host(
    directory: Path, surface: str
) -> None:
    settings = {
        "login_url": "https://login.test/start?app=1",
        "login_return_parameter": "rd",
        "login_return_hosts": ["*.app.test"],
    }
    async with serving(directory, **settings) as server:
        for host, back in (
            ("Shop.App.test:8443", "https://shop.app.test:8443/invoices/7?q=1"),
            ("login.test", "https://login.test/invoices/7?q=1"),
            ("app.test", None),
            ("evilapp.test", None),
            ("shop.app.test.evil.test", None),
            ("evil.test", None),
        ):
            status, told = await ask(
                server, surface, "/invoices/7?q=1", host=host, headers=NAVIGATES
            )
            assert status == 302
            query = parse_qs(urlsplit(told["location"]).query)
            assert query == {"app": ["1"], **({"rd": [back]} if back else {})}
            assert told["location"].startswith("https://login.test/start?app=1")


@pytest.mark.parametrize("surface", ["nginx", "envoy", "grpc"])
async def test_conventions_without_a_scheme_are_asked_for_it_where_it_matters(
    directory: Path, surface: str
) -> None:
    for settings in ({"login_url": "https://login.test/"}, {"require_https": True}):
        async with serving(directory, **settings) as server:
            assert (await ask(server, surface, "/docs/a"))[0] == 200
            assert (await ask(server, surface, "/docs/a", scheme="gopher"))[0] == 400


@pytest.mark.parametrize("surface", ["nginx", "envoy"])
async def test_and_are_not_where_it_does_not(directory: Path, surface: str) -> None:
    async with serving(directory, login_url="/login") as server:
        assert (await ask(server, surface, "/docs/a", scheme="gopher"))[0] == 200


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("/login", "app.test", "/login?return_to=%2Flogin"),
        ("/login", "app.test", "/%6Cogin"),
        ("https://login.test", "login.test", "/?a=b"),
        ("https://Login.test:8443/a", "login.test", "/a"),
        ("https://[0:0::1]:8443/a", "[::1]:8443", "/a"),
    ],
)
async def test_the_login_page_is_never_redirected_to_itself(
    directory: Path, url: str, host: str, target: str
) -> None:
    async with serving(directory, login_url=url) as server:
        for surface in SURFACES:
            status, told = await ask(server, surface, target, host=host, headers=NAVIGATES)
            assert (status, "location" in told) == (401, False)


@surfaces
async def test_a_redirect_is_no_larger_than_the_least_of_buffers(
    directory: Path, surface: str
) -> None:
    async with serving(directory, login_url="/login?" + "a" * 1_000) as server:
        for length in range(1_900, 2_200, 20):
            status, told = await ask(server, surface, "/" + "a" * length, headers=NAVIGATES)
            assert status == 302
            whole = sum(len(f"{name}: {value}\r\n") for name, value in told.items())
            assert whole < 3_500
        assert told["location"] == "/login?" + "a" * 1_000


class Explosive(Login):
    """A login page that must not be asked for."""

    def location(self, asked: Asked) -> str | None:
        raise ValueError(f"secret of {asked.path}")


@surfaces
async def test_a_redirect_is_made_only_where_somebody_is_to_log_in(
    directory: Path, surface: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(directory, login_url="/login") as server:
        object.__setattr__(server.context, "login", Explosive("/login", "rd"))
        for target, ip, status in (
            ("/docs/a", "203.0.113.9", 200),
            ("/reports/1", "203.0.113.9", 403),
            ("/invoices/7", REFUSED, 403),
            ("/a//b", "203.0.113.9", 400),
        ):
            assert (await ask(server, surface, target, ip=ip, headers=NAVIGATES))[0] == status
        status, told = await ask(server, surface, headers=NAVIGATES)
        assert (status, len(told["x-decision-id"]), "location" in told) == (503, 36, False)
    assert "secret" not in caplog.text


LOGINS = (
    Login("/login", "rd"),
    Login("https://login.test/x", "rd", ("app.test",)),
    Login("https://login.test", "rd", ("*.test",)),
)


@given(
    login=st.sampled_from(LOGINS),
    host=st.sampled_from(["app.test", "evil.example", "login.test", "a.test"]),
    path=st.text("/ab.%2F", min_size=1, max_size=9).map(lambda text: "/" + text),
    search=st.text(max_size=30) | st.just("?" + "é" * 900) | st.just("?\udcff\r\nX: y"),
)
def test_a_redirect_leads_to_the_login_page_whatever_was_asked(
    login: Login, host: str, path: str, search: str
) -> None:
    query = Query(Action("GET"), Entity("resource", path), {"host": host, "scheme": "http"})
    location = login.location(Asked(query, path, search, f"{host}:81"))
    if location is None:
        return
    assert len(location) <= 3072
    assert location.isascii()
    assert location.isprintable()
    found, own = urlsplit(location), urlsplit(login.url)
    assert (found.scheme, found.netloc, found.path) == (own.scheme, own.netloc, own.path)
    back = parse_qs(found.query).get("rd", [""])[0]
    if back and login.url == "/login":
        assert back.startswith("/")
    elif back:
        assert urlsplit(back).hostname in {"app.test", "login.test", "a.test"}
        assert urlsplit(back).hostname == host


# credentials in the clear


@surfaces
@pytest.mark.parametrize("resource", ["/invoices/7", "/docs/a", "/admin", "/ghost"])
@pytest.mark.parametrize(
    "headers", [BEARER, {"Authorization": "Bearer x"}, {"X-API-Key": "x"}], ids=["good", "bad", "k"]
)
async def test_a_credential_in_the_clear_is_a_403_whatever_it_is(
    directory: Path, surface: str, resource: str, headers: Mapping[str, str]
) -> None:
    async with serving(directory, require_https=True) as server:
        status, told = await ask(server, surface, resource, scheme="http", headers=headers)
        assert (status, "www-authenticate" in told) == (403, False)


@surfaces
async def test_all_else_is_judged_as_ever(directory: Path, surface: str, tmp_path: Path) -> None:
    log, cookie = tmp_path / "decisions", {"Cookie": "session=x"}
    async with serving(directory, require_https=True, decision_log=str(log)) as server:
        for scheme, headers, resource, expected in (
            ("https", BEARER, "/invoices/7", 200),
            ("http", {}, "/invoices/7", 401),
            ("http", {}, "/docs/a", 200),
            ("http", cookie, "/docs/a", 200),
            ("http", cookie, "/invoices/7", 401),
            ("http", BEARER, "/docs/a", 403),
        ):
            status, _ = await ask(server, surface, resource, scheme=scheme, headers=headers)
            assert status == expected
    facts = (await decided(log, 6))[-1]
    assert facts["reason"] == "guard_denied"
    assert facts["detail"] == "a credential came over plain http"
    assert "subject" not in facts


async def test_by_default_the_scheme_is_a_fact_like_others(directory: Path) -> None:
    async with serving(directory) as server:
        assert (await ask(server, "forward", scheme="http", headers=BEARER))[0] == 200


@pytest.mark.parametrize(
    ("context", "status"),
    [({}, 200), ({"scheme": "https"}, 200), ({"scheme": "http"}, 403), ({"scheme": "HTTP"}, 403)],
)
async def test_the_json_api_has_the_scheme_from_its_caller(
    directory: Path, context: Mapping[str, str], status: int
) -> None:
    async with serving(directory, require_https=True) as server:
        body = {
            "action": "GET",
            "resource": "/invoices/7",
            "token": token("alice"),
            "context": {"ip": "203.0.113.9", **context},
        }
        response, _ = await server.ask("POST", "/v1/decision", json=body)
        assert (await response.json())["status"] == status
