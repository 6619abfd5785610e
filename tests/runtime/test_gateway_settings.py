"""Settings that gateways and browsers see: what is refused at load."""

from __future__ import annotations

from typing import Any

import pytest

from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.settings import ServerSettings, check_server, from_environment


def codes(**settings: Any) -> list[str]:
    return [problem.code for problem in check_gateways(ServerSettings(**settings), "pdp.toml")]


def test_the_defaults_are_good() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    "name", ["Remote-User", "X-WEBAUTH-USER", "X-Forwarded-User", "User", "X-1"]
)
def test_names_that_upstreams_know_are_good(name: str) -> None:
    assert codes(subject_header=name) == []
    assert codes(identity_headers={name: "email"}) == []


@pytest.mark.parametrize(
    "name",
    [
        "", "X_Auth_User", "X Auth", "X-Auth:", "X-Auth\r\n", "Ä", "-X", "X-", "X--Y",
        "a-b-c-d-e-f", "Authorization", "authorization", "Host", "Connection", "Content-Length",
        "Cookie", "Location", "Transfer-Encoding", "X-Forwarded-For", "X-Forwarded-Proto",
        "X-Original-URI", "X-Real-IP", "X-Authz-Status", "X-Decision-Id", "WWW-Authenticate",
        "Set-Cookie", "Cache-Control", "Vary", "X-Envoy-Auth-Headers-To-Remove", "Sec-Fetch-Mode",
        "Access-Control-Allow-Origin", "X-API-Key",
    ],
)  # fmt: skip
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    assert codes(subject_header=name) == ["bad-identity-header"]
    assert codes(roles_header=name) == ["bad-identity-header"]
    assert codes(identity_headers={name: "email"}) == ["bad-identity-header"]


def test_a_name_may_be_used_once_however_it_is_written() -> None:
    assert codes(identity_headers={"x-auth-SUBJECT": "email"}) == ["duplicate-identity-header"]
    assert codes(subject_header="A", roles_header="a") == ["duplicate-identity-header"]


def test_there_are_not_too_many() -> None:
    assert codes(identity_headers={f"X-{n}": "a" for n in range(14)}) == []
    assert codes(identity_headers={f"X-{n}": "a" for n in range(15)}) == [
        "too-many-identity-headers"
    ]


@pytest.mark.parametrize("expression", ["", "a.", "a[", "no_such_function(a)"])
def test_an_expression_must_be_jmespath(expression: str) -> None:
    assert codes(identity_headers={"X-Claim": expression}) == ["bad-jmespath"]


@pytest.mark.parametrize(
    "url",
    ["/login", "/", "/login?x=1", "https://login.test", "https://login.test:8443/a?b=c",
     "http://localhost:3000/login", "https://[::1]/x"],
)  # fmt: skip
def test_a_login_url_is_a_path_or_a_url(url: str) -> None:
    assert codes(login_url=url) == []


@pytest.mark.parametrize(
    "url",
    ["", "login", "//evil.test", "/\\evil.test", "https:/x", "https://", "javascript:alert(1)",
     "ftp://login.test/", "https://user@login.test/", "https://login.test/#a", "/a b", "/a\r\nX: y",
     "/é", "https://login.test//x", "https://login.test\\x", '/"'],
)  # fmt: skip
def test_any_other_login_url_is_refused(url: str) -> None:
    assert codes(login_url=url) == ["bad-login-url"]


@pytest.mark.parametrize("name", ["", "a=b", "a&b", "a b", "é", "a" * 65])
def test_the_parameter_is_a_plain_name(name: str) -> None:
    assert codes(login_return_parameter=name) == ["bad-parameter"]
    assert codes(login_return_parameter="rd") == []


@pytest.mark.parametrize(
    "host", ["", "*", "App.test", "app.test:1", "https://app.test", "*.", "a.*"]
)
def test_hosts_are_lower_case_without_a_port(host: str) -> None:
    assert codes(login_return_hosts=(host,)) == ["bad-host"]
    assert codes(login_return_hosts=("app.test", "*.app.test", "[::1]", "localhost")) == []


def test_a_preflight_pattern_must_be_one() -> None:
    found = check_server(ServerSettings(preflight=("/api/*", "/(")), "pdp.toml")
    assert [(p.code, "server.preflight" in p.message) for p in found] == [("bad-pattern", True)]


def test_the_environment_has_identity_headers_as_json() -> None:
    values, problems = from_environment({"PDP_IDENTITY_HEADERS": '{"X-Auth-Email": "email"}'})
    assert (values, problems) == ({"identity_headers": {"X-Auth-Email": "email"}}, [])
    _, problems = from_environment({"PDP_IDENTITY_HEADERS": "X-Auth-Email=email"})
    assert [p.message for p in problems] == ["`PDP_IDENTITY_HEADERS` must be a JSON object"]
