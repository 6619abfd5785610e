"""Settings that gateways and browsers see: what is refused at load."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.settings import ServerSettings, check_server, from_environment
from pdp.surfaces.client import parse_host
from pdp.surfaces.target import parse_target


def codes(**settings: Any) -> list[str]:
    return [problem.code for problem in check_gateways(ServerSettings(**settings), "pdp.toml")]


def test_the_defaults_are_good() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    "name",
    ["Remote-User", "remote-groups", "X-WEBAUTH-USER", "X-Remote-User", "X-1",
     "X-Auth-Request-User", "X-Tenant", "X-Client-Id", "X-Realm", "X-Apis", "X-" + "a" * 38],
)  # fmt: skip
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
        "Access-Control-Allow-Origin", "X-API-Key", "User", "X", "Remote", "X-" + "a" * 39,
        "Proxy-Connection", "HTTP2-Settings", "X-Accel-Redirect", "X-Accel-Buffering",
        "X-Accel-Expires", "X-Middleware-Subrequest", "X-CSRF-Token",
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
        "X-Original-Method", "X-Rewrite-URL", "X-Forwarded-User", "X-Forwarded-Ssl", "X-Forwarded",
        "Forwarded", "True-Client-IP", "X-True-Client-IP", "CF-Connecting-IP", "X-Client-IP",
        "X-Cluster-Client-IP", "X-Host", "X-Scheme", "Proxy", "Accept-Encoding", "If-None-Match",
        "If-Modified-Since", "ETag", "Set-Cookie2", "Status", "X-Sendfile", "X-LIGHTTPD-send-file",
        "Range", "Expect", "Refresh", "Age", "Expires", "Link", "Clear-Site-Data", "Early-Data",
        "X-Content-Type-Options", "X-Frame-Options", "X-Request-Id", "Remote-Addr", "REMOTE-HOST",
    ],
)  # fmt: skip
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    assert codes(subject_header=name) == ["bad-identity-header"]
    assert codes(roles_header=name) == ["bad-identity-header"]
    assert codes(identity_headers={name: "email"}) == ["bad-identity-header"]


def test_a_name_may_be_used_once_however_it_is_written() -> None:
    assert codes(identity_headers={"x-auth-SUBJECT": "email"}) == ["duplicate-identity-header"]
    assert codes(subject_header="X-A", roles_header="x-a") == ["duplicate-identity-header"]


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
     "http://localhost:3000/login", "https://[::1]/x", "https://[::ffff:192.0.2.1]:65535/x",
     "/a/b.c/", "/..a/.b", "https://login.test/?a=%zz;b//..", "/" + "a" * 1_023],
)  # fmt: skip
def test_a_login_url_is_a_path_or_a_url(url: str) -> None:
    assert codes(login_url=url) == []


@pytest.mark.parametrize(
    "url",
    ["", "login", "//evil.test", "/\\evil.test", "https:/x", "https://", "javascript:alert(1)",
     "ftp://login.test/", "https://user@login.test/", "https://login.test/#a", "/a b", "/a\r\nX: y",
     "/é", "https://login.test//x", "https://login.test\\x", '/"', "https://[1]/x",
     "https://[:::]/x",
     "https://[::1%25eth0]/x", "https://[::1]:99999/x", "https://h:99999/", "https://h:0/",
     "https://h:/",
     "https://h..x/", "https://h./", "https://h?x", "https://" + "a" * 256 + "/", "/login;x",
     "/a//b",
     "/a/../b", "/a/.", "/..?x", "/log%69n", "/caf%c3%a9", "/a%2Fb", "/%zz", "/x\n", "?x",
     "https://?x",
     "/" + "a" * 1_024],
)  # fmt: skip
def test_any_other_login_url_is_refused(url: str) -> None:
    assert codes(login_url=url) == ["bad-login-url"]


PIECES = (
    "/",
    "//",
    ".",
    "..",
    ";",
    "%",
    "%2F",
    "%69",
    "a",
    "Z",
    "~",
    "é",
    " ",
    "\\",
    "?",
    "#",
    "@",
    ":",
)


@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.sampled_from(["", "https://h"])
)
def test_the_path_of_a_login_url_is_what_a_request_for_it_is_judged_by(
    rest: str, site: str
) -> None:
    url = site + rest
    if codes(login_url=url):
        return
    parts = urlsplit(url)
    assert parts.path == "" or parse_target(parts.path, field="path") == parts.path
    assert site == "" or parse_host(parts.netloc, field="host") == parts.hostname


@pytest.mark.parametrize("name", ["", "a=b", "a&b", "a b", "é", "a" * 65])
def test_the_parameter_is_a_plain_name(name: str) -> None:
    assert codes(login_return_parameter=name) == ["bad-parameter"]
    assert codes(login_return_parameter="rd") == []


@pytest.mark.parametrize(
    "host", ["", "*", "App.test", "app.test:1", "https://app.test", "*.", "a.*", "[1]", "a..b"]
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
