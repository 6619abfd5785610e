"""What the pages say of samples that are changed, and what happens where a gateway is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from gateway_cases import ALICE, UNREADY
from gateway_fleet import BY_NAME, Gateway
from gateway_machinery import SAMPLES
from gateway_processes import Live

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
