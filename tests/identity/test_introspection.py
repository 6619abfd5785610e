from __future__ import annotations

import json
from typing import Any

import pytest
from minting import ISSUER, NOW, encoded, settings, sign

from pdp.identity.introspection import (
    IntrospectionUnavailable,
    identify_introspected,
    looks_like_jws,
    may_be_token,
    read_answer,
)
from pdp.model import Identity, Method, Reason, Rejected

# The example of RFC 7662, section 2.2.
EXAMPLE: dict[str, Any] = {
    "active": True,
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "scope": "read write dolphin",
    "sub": "Z5O3upPC88QrAjx00dis",
    "aud": "https://protected.example.net/resource",
    "iss": "https://server.example.com/",
    "exp": 1419356238,
    "iat": 1419350238,
    "extension_field": "twenty-seven",
}


def said(**changed: Any) -> dict[str, Any]:
    return {"active": True, "sub": "alice", **changed}


def judged(given: dict[str, Any], at: float = NOW, **changed: Any) -> Identity | Rejected:
    introspected: dict[str, Any] = {
        "audiences": (),
        "algorithms": (),
        "jwks_file": None,
        "introspection_url": "https://idp.example.com/introspect",
        "client_id": "pdp",
        "client_secret_env": "SECRET",
    }
    return identify_introspected(given, settings(**(introspected | changed)), at)


def identified(given: dict[str, Any], **changed: Any) -> Identity:
    found = judged(given, **changed)
    assert isinstance(found, Identity)
    return found


def test_the_example_of_the_rfc_becomes_an_identity() -> None:
    who = identified(
        EXAMPLE,
        at=1419350300,
        issuer="https://server.example.com/",
        audiences=("https://protected.example.net/resource",),
        roles_claim="scope",
        role_prefix="may:",
        domain_claim="client_id",
    )
    assert (who.id, who.type, who.method) == ("Z5O3upPC88QrAjx00dis", "user", Method.BEARER)
    assert who.issuer == "https://server.example.com/"
    assert who.roles == ("may:read", "may:write", "may:dolphin")
    assert who.domain == "l238j323ds-23ij4"
    assert who.expires == 1419356238 + 30
    assert who.claims["scope"] == ["read", "write", "dolphin"]
    assert who.claims["extension_field"] == "twenty-seven"


def test_active_and_a_subject_are_enough() -> None:
    who = identified(said())
    assert (who.id, who.expires, who.issuer) == ("alice", None, ISSUER)


def test_active_says_nothing_of_the_account() -> None:
    assert dict(identified(said()).claims) == {"sub": "alice"}


@pytest.mark.parametrize("active", [False, None, 1, 1.0, "true", "yes", [True], {}])
def test_active_is_exactly_true(active: object) -> None:
    assert judged(said(active=active)) == Rejected(Reason.TOKEN_INVALID)


def test_active_must_be_there() -> None:
    assert judged({"sub": "alice"}) == Rejected(Reason.TOKEN_INVALID)


BAD_DATES: list[object] = ["1900000600", None, True, 1e300, float("nan"), -1, [1], {}]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", BAD_DATES)
def test_dates_that_are_given_are_dates(name: str, value: object) -> None:
    assert judged(said(**{name: value})) == Rejected(Reason.TOKEN_INVALID)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], Reason]] = [
    (said(exp=NOW - 30), {}, Reason.TOKEN_EXPIRED),
    (said(exp=0), {}, Reason.TOKEN_EXPIRED),
    (said(nbf=NOW + 31), {}, Reason.TOKEN_NOT_YET_VALID),
    (said(iat=NOW + 31), {}, Reason.TOKEN_NOT_YET_VALID),
    (said(iss="https://other.example.com/"), {}, Reason.ISSUER_UNKNOWN),
    (said(iss=ISSUER.rstrip("/")), {}, Reason.ISSUER_UNKNOWN),
    (said(iss=None), {}, Reason.ISSUER_UNKNOWN),
    (said(iss=[ISSUER]), {}, Reason.ISSUER_UNKNOWN),
    (said(), {"audiences": ("api",)}, Reason.AUDIENCE_MISMATCH),
    (said(aud="other"), {"audiences": ("api",)}, Reason.AUDIENCE_MISMATCH),
    (said(aud=["api", 1]), {"audiences": ("api",)}, Reason.AUDIENCE_MISMATCH),
    (said(aud=[]), {"audiences": ("api",)}, Reason.AUDIENCE_MISMATCH),
    ({"active": True}, {}, Reason.TOKEN_INVALID),
    (said(), {"subject_claim": "username"}, Reason.TOKEN_INVALID),
    (said(sub=7), {}, Reason.TOKEN_INVALID),
    (said(sub=""), {}, Reason.TOKEN_INVALID),
    (said(sub="a\nb"), {}, Reason.TOKEN_INVALID),
    (said(sub="anonymous"), {}, Reason.TOKEN_INVALID),
    (said(cnf={"x5t#S256": "x"}), {}, Reason.TOKEN_INVALID),
    (said(cnf=None), {}, Reason.TOKEN_INVALID),
    (said(token_type="DPoP"), {}, Reason.TOKEN_INVALID),
    (said(token_type="refresh_token"), {}, Reason.TOKEN_INVALID),
    (said(token_type=7), {}, Reason.TOKEN_INVALID),
    (said(token_use="refresh_token"), {}, Reason.TOKEN_INVALID),
    (said(token_use="id"), {}, Reason.TOKEN_INVALID),
    (said(typ="Refresh"), {}, Reason.TOKEN_INVALID),
    (said(typ="Offline", token_type="Bearer"), {}, Reason.TOKEN_INVALID),
    (said(typ="ID"), {}, Reason.TOKEN_INVALID),
]


@pytest.mark.parametrize(("given", "changed", "reason"), REFUSED)
def test_answers_are_refused_with_their_reason(
    given: dict[str, Any], changed: dict[str, Any], reason: Reason
) -> None:
    assert judged(given, **changed) == Rejected(reason)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        (said(exp=NOW - 29.5), {}),
        (said(nbf=NOW + 30, iat=NOW + 30), {}),
        (said(iss=ISSUER), {}),
        (said(aud="whoever"), {}),
        (said(aud=7), {}),
        (said(aud=["x", "api"]), {"audiences": ("api",)}),
        (said(token_type="bearer", typ="Bearer"), {}),
        (said(token_type=None, token_use="access_token", typ="at+JWT"), {}),
    ],
)
def test_the_edge_of_what_is_good_is_good(given: dict[str, Any], changed: dict[str, Any]) -> None:
    assert identified(given, **changed).id == "alice"


def test_another_claim_may_name_the_subject() -> None:
    who = identified({"active": True, "username": "jdoe"}, subject_claim="username")
    assert who.id == "jdoe"
    assert identified(said(), subject_prefix="idp:").id == "idp:alice"


def test_an_answer_is_claims_or_none() -> None:
    assert read_answer(json.dumps(EXAMPLE).encode()) == EXAMPLE
    assert read_answer(b'{"active": false}') is None
    assert read_answer(b'{"active": false, "sub": "alice"}') is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"<html>",
        b"true",
        b"null",
        b"[]",
        b"{}",
        b'{"sub": "alice"}',
        b'{"active": "true", "sub": "secret-name"}',
        b'{"active": 1}',
        b'{"active": null}',
        b'{"active": true, "active": false}',
        b'{"active": false, "sub": "a", "sub": "b"}',
        b'{"active": true, "exp": NaN}',
        b'\xef\xbb\xbf{"active": true}',
        b'{"active": true, "sub": "\xff"}',
        b'{"active": true}{"active": true}',
        b'{"active": true, "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_anything_else_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is judged below
        read_answer(body)
    assert "secret-name" not in str(caught.value)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (sign(), True),
        (f"{encoded({'alg': 'none'})}.x.", True),
        (f"{encoded(b' {}')}.x.y", True),
        ("eyJ.eyJ.x", True),
        ("e30=.e30=.x", True),
        ("2YotnFZFEjr1zCsicMWpAA", False),
        ("a.b.c", False),
        ("..", False),
        ("e.e.e", False),
        (f"{encoded(b'[]')}.x.y", False),
        (f"{encoded({'alg': 'x'})}.y", False),
        (f"{encoded({'enc': 'A256GCM'})}.a.b.c.d", False),
        ("\u00e9.\u00e9.\u00e9", False),
    ],
)
def test_a_signed_token_looks_like_one(token: str, expected: bool) -> None:
    assert looks_like_jws(token) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", True),
        ("2YotnFZFEjr1zCsicMWpAA", True),
        ("x" * 16_384, True),
        ("x" * 16_385, False),
        ("", False),
        ("a\n", False),
        ("a\x00b", False),
        ("\u00e9", False),
        ("\ud800", False),
    ],
)
def test_what_no_issuer_issues_is_no_token(text: str, expected: bool) -> None:
    assert may_be_token(text) is expected


def test_an_answer_that_is_missing_is_not_the_askers_fault() -> None:
    assert IntrospectionUnavailable().reason is Reason.KEYS_UNAVAILABLE
