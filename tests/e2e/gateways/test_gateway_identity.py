"""Who it is, as the application is told; what a client says of itself has no effect."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_cases import ALICE
from gateway_processes import Live, Pdp, new_client
from gateway_wire import Fields

LIES = (
    "X-Auth-Subject",
    "x-auth-subject",
    "X-AUTH-SUBJECT",
    "X_Auth_Subject",
    "X-Auth_Subject",
    "X_Auth-Subject",
    "x_auth_roles",
    "X.Auth.Subject",
    "X-Auth.Roles",
    "X-Auth-Roles",
    "X-Auth-roles",
)
# Spellings that some applications read alike (WSGI and CGI fold `-`, `_` and more).
Identity = dict[str, list[str]]


def identity(seen: dict[str, Any]) -> Identity:
    told: Identity = {}
    for name, value in seen["headers"]:
        folded = name.lower().replace("_", "-").replace(".", "-")
        if folded.startswith("x-auth-"):
            told.setdefault(folded, []).append(value)
    return told


def told(live: Live, fields: Fields = (), path: str = "/docs/a") -> Identity | None:
    """What the application was told; None where the gateway or the PDP refused."""
    response, _, seen = live.judge("GET", path, fields)
    assert (response.status == 200) == bool(seen)
    assert seen or 400 <= response.status < 500
    return identity(seen[0]) if seen else None


def test_the_application_is_told_who_it_is(live: Live) -> None:
    known = told(live, [ALICE], "/invoices/7")
    assert known is not None
    assert known["x-auth-subject"] == ["alice"]
    assert "member" in known["x-auth-roles"][0].split(",")


def test_nobody_is_told_as_nobody(live: Live) -> None:
    nobody = told(live)
    assert nobody is not None
    assert {value for values in nobody.values() for value in values} <= {""}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("credential", [[], [ALICE]], ids=["nobody", "alice"])
def test_a_clients_own_copy_is_gone(live: Live, lie: str, credential: Fields) -> None:
    honest = told(live, credential)
    for fields in ([(lie, "root")], [(lie, "root"), (lie, "administrator")], [(lie, "")]):
        assert told(live, [*fields, *credential]) in (honest, None)


@pytest.mark.parametrize("names", ["X-Auth-Subject", "x-auth-roles, close", "X-Auth-Subject, te"])
def test_connection_cannot_take_the_identity_away(live: Live, names: str) -> None:
    honest = told(live, [ALICE])
    for more in ([], [("X-Auth-Subject", "root")]):
        fields = [("Connection", names), *more, ALICE]
        assert told(live, fields) in (honest, None)
        _, _, seen = live.judge("GET", "/docs/a", fields)
        handed_on = [v for s in seen for k, v in s["headers"] if k.lower() == "connection"]
        assert "x-auth" not in "".join(handed_on).lower()  # or the next proxy would drop it


def test_an_honest_header_of_a_similar_name_stays(live: Live) -> None:
    _, _, [seen] = live.judge("GET", "/docs/a", [("X-Auth-Token", "t"), ("X-Authority", "a")])
    assert identity(seen)["x-auth-token"] == ["t"]
    assert [v for k, v in seen["headers"] if k.lower() == "x-authority"] == ["a"]


def test_an_application_page_for_404_is_not_lied_to_either(live: Live) -> None:
    live.app.take()
    response = live.ask("GET", "/ghost", [("X-Auth-Subject", "root"), ALICE])
    assert response.status == 404
    for seen in live.app.take():
        assert identity(seen) in ({}, {"x-auth-subject": [""]})


# What other conventions, and this one, call the question. None may move the decision.
SPOOFS: tuple[tuple[str, str], ...] = (
    ("X-Forwarded-Uri", "/docs/a"),
    ("X-Forwarded-URI", "/docs/a"),
    ("X_Forwarded_Uri", "/docs/a"),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Prefix", "/docs"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-For", "127.0.0.130"),
    ("X-Forwarded-For", "127.0.0.130, 127.0.0.1"),
    ("X_Forwarded_For", "127.0.0.130"),
    ("X-Real-IP", "127.0.0.130"),
    ("True-Client-IP", "127.0.0.130"),
    ("Forwarded", "for=127.0.0.130;host=evil.test;proto=https"),
    ("X-Original-URI", "/docs/a"),
    ("X-Original-URL", "http://app.test/docs/a"),
    ("X-Original-Method", "GET"),
    ("X-Rewrite-URL", "/docs/a"),
    ("X-Envoy-Original-Path", "/docs/a"),
    ("X-Envoy-External-Address", "127.0.0.130"),
    ("X-Envoy-Auth-Headers-To-Remove", "x-auth-subject"),
    ("X-HTTP-Method-Override", "GET"),
    ("X-Authz-Status", "200"),
    ("Connection", "close, X-Forwarded-Uri, X-Original-URI, X-Original-URL, Authorization"),
    ("Connection", "close, X-Forwarded-For, X-Forwarded-Method, X-Forwarded-Host, Host"),
)
QUESTIONS = (("DELETE", "/invoices/7", [ALICE]), ("GET", "/reports/1", []), ("GET", "/admin", []))


@pytest.mark.parametrize("spoof", SPOOFS, ids=lambda s: f"{s[0]}-{s[1]}")
def test_a_spoofed_question_has_no_effect(live: Live, spoof: tuple[str, str]) -> None:
    for method, path, credential in QUESTIONS:
        honest, [judged], seen = live.judge(method, path, credential)
        assert (judged["action"], judged["resource"], seen) == (method, path, [])
        client = new_client()
        response, decisions, seen = live.judge(method, path, [spoof, *credential], source=client)
        assert seen == []
        # A gateway may refuse what is odd; what it asks about is the same.
        assert response.status in (honest.status, 400, 401)
        assert decisions or response.status == 400
        for decision in decisions:
            if decision["status"] != 400:
                facts = decision["action"], decision["resource"], decision["ip"]
                assert facts == (method, path, client)


def test_the_application_is_told_where_the_client_is(live: Live) -> None:
    for fields in ([], [("X-Forwarded-For", "127.0.0.130")]):
        client = new_client()
        _, _, [seen] = live.judge("GET", "/docs/a", fields, source=client)
        chain = [v for k, v in seen["headers"] if k.lower() == "x-forwarded-for"]
        assert ",".join(chain).split(",")[-1].strip() == client


def test_the_host_that_is_judged_is_the_host_that_is_served(live: Live) -> None:
    for fields in ([("Host", "app.test")], [("Host", "APP.test:81")]):
        response, _, seen = live.judge("GET", "/docs/a", fields)
        assert response.status == 200
        assert [v for k, v in seen[0]["headers"] if k.lower() == "host"] == [fields[0][1]]
    for fields in (
        [("Host", "app.test"), ("Host", "evil.test")],
        [("Host", "app.test, evil.test")],
        [("Host", "")],
    ):
        response, _, seen = live.judge("GET", "/docs/a", fields)
        assert (400 <= response.status < 500, seen) == (True, [])


HTTPS = (
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Scheme", "https"),
    ("X-Forwarded-Ssl", "on"),
    ("Front-End-Https", "on"),
    ("Forwarded", "proto=https"),
    ("X-Forwarded-Port", "443"),
    ("X-Url-Scheme", "https"),
    ("Connection", "close, X-Forwarded-Proto"),
)


@pytest.mark.parametrize(
    "target", ["/secure", "https://app.test/secure", "HTTPS://app.test/secure"]
)
@pytest.mark.parametrize("lie", [None, *HTTPS], ids=str)
def test_a_client_cannot_say_that_it_came_by_https(
    live: Live, strict: Pdp, target: str, lie: tuple[str, str] | None
) -> None:
    fields = [lie] if lie else []
    with live.asking(strict.grpc if live.gateway.asks == "envoy_grpc" else strict.port):
        secure, _, served = live.judge("GET", target, fields)
        told, _, known = live.judge("GET", target.replace("secure", "invoices/7"), [*fields, ALICE])
        plain, _, seen = live.judge("GET", "/plain", fields)
    assert (400 <= secure.status < 500, served) == (True, [])
    assert (told.status in (400, 403), known) == (True, [])
    # A gateway that refuses the lie, or drops its own word with it, refuses the question.
    assert (plain.status == 200) == bool(seen)
    assert seen or (lie and plain.status == 400)
