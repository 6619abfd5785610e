"""What the pages say of samples that are changed, and what happens where a gateway is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from gateway_cases import ALICE, UNREADY
from gateway_fleet import BY_NAME, Gateway
from gateway_machinery import SAMPLES
from gateway_processes import Live, Pdp

RENDERED = (SAMPLES / "ingress-nginx" / "nginx.conf").read_text()
SNIPPETS = re.findall(r" *# (?:auth|server|configuration)-snippet\n(?:.+\n)+", RENDERED)


def variant(name: str, called: str, changes: dict[str, str]) -> Gateway:
    found = BY_NAME[name]
    return replace(found, name=called, prepare={**found.prepare, **changes})


@pytest.fixture(scope="module")
def without_snippets(fleet: Any) -> Live:
    return fleet.get(variant("ingress-nginx", "no-snippets", dict.fromkeys(SNIPPETS, "")))


def test_ingress_nginx_without_snippets_refuses_all_the_same(without_snippets: Live) -> None:
    assert len(SNIPPETS) == 3
    expected = {
        ("GET", "/docs/a"): (200, [], 1),
        ("GET", "/invoices/7"): (200, [ALICE], 1),
        ("POST", "/invoices/7"): (401, [], 0),
        ("DELETE", "/invoices/7"): (403, [ALICE], 0),
        ("GET", "/docs/../admin"): (403, [ALICE], 0),
        ("PUT", "/invoices/7"): (500, [UNREADY], 0),
    }
    for (method, path), (status, fields, served) in expected.items():
        response, _, seen = without_snippets.judge(method, path, fields)
        assert (response.status, len(seen)) == (status, served)


def test_ingress_nginx_without_snippets_hides_what_is_hidden(without_snippets: Live) -> None:
    answers = [without_snippets.ask("GET", path, [ALICE]) for path in ("/admin", "/ghost")]
    assert answers[0].shown == answers[1].shown
    assert answers[0].status == 403


ONE_404 = ("proxy_intercept_errors on;\n            error_page 404 = @authz_not_found;", "")
BEHIND_A_PROXY = (
    "# An absolute-form",
    "http-request set-src req.hdr_ip(x-forwarded-for,-1) if { src 127.0.0.77 }\n    #",
)


def test_ingress_nginx_without_one_404_page_hands_on_an_applications_403(fleet: Any) -> None:
    live = fleet.get(variant("ingress-nginx", "two-404-pages", dict([ONE_404])))
    response = live.ask("GET", "/docs/forbidden")
    assert (response.status, response.body) == (403, b"the application's own 403")
    assert live.ask("GET", "/docs/missing").get("X-App") == "echo"
    hidden, absent = (live.ask("GET", path, [ALICE]) for path in ("/admin", "/ghost"))
    assert hidden.shown == absent.shown
    assert hidden.status == 404


def test_haproxy_behind_another_proxy_takes_its_word_and_no_other(fleet: Any) -> None:
    live = fleet.get(variant("haproxy", "haproxy-behind", dict([BEHIND_A_PROXY])))
    chain = [("X-Forwarded-For", "127.0.0.5, 127.0.0.6")]
    for source, client in (("127.0.0.77", "127.0.0.6"), ("127.0.0.78", "127.0.0.78")):
        live.pdp.take()
        live.app.take()
        assert live.ask("GET", "/docs/a", chain, source=source).status == 200
        [seen] = live.app.take()
        assert [d["ip"] for d in live.pdp.take()] == [client]
        told = {name.lower(): value for name, value in seen["headers"]}
        assert (told["x-forwarded-for"], told["x-real-ip"]) == (client, client)


# As the page has it.
PROTO = (
    'map "$realip_remote_addr:$http_x_forwarded_proto" $proto '
    '{ default http; "10.0.0.5:https" https; }'
)
HERE = PROTO.replace("10.0.0.5", "127.0.0.77")
BEHIND_TLS = {"    map $http_upgrade": f"    {HERE}\n    map $http_upgrade", "$scheme;": "$proto;"}


def test_nginx_behind_what_ends_tls_takes_its_word_and_no_other(fleet: Any, strict: Pdp) -> None:
    assert PROTO in (SAMPLES.parents[1] / "docs/gateways/nginx.md").read_text()
    live = fleet.get(variant("nginx", "nginx-behind-tls", BEHIND_TLS))
    fields = [ALICE, ("X-Forwarded-Proto", "https")]
    with live.asking(strict.port):
        for source, status, proto in (("127.0.0.77", 200, ["https"]), ("127.0.0.78", 403, [])):
            live.app.take()
            assert live.ask("GET", "/invoices/7", fields, source=source).status == status
            told = [v for s in live.app.take() for k, v in s["headers"] if k == "X-Forwarded-Proto"]
            assert told == proto


BROKEN = {
    "raises": ("    local answer =", '    error("a bug")\n    local answer ='),
    "is silent": ("    local answer =", "    if true then return end\n    local answer ="),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_script_of_haproxy_that_fails_lets_nothing_through(fleet: Any, fault: str) -> None:
    gateway = variant("haproxy", f"haproxy-{fault}", dict([BROKEN[fault]]))
    live = fleet.get(replace(gateway, ready=503))
    response, decisions, seen = live.judge("GET", "/docs/a", [ALICE])
    assert (response.status, decisions, seen) == (503, [], [])


def test_a_gateway_that_is_missing_is_a_failure_in_ci_and_a_skip_elsewhere() -> None:
    absent = replace(BY_NAME["nginx"], binary="no-such-gateway")
    with pytest.raises(pytest.fail.Exception, match="apt-get install nginx-light"):
        absent.require({"CI": "true"})
    with pytest.raises(pytest.skip.Exception, match="apt-get install nginx-light"):
        absent.require({})
