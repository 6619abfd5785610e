from __future__ import annotations

from typing import Any

import pytest
from minting import ISSUER, NOW, claims, settings

from pdp.identity.claims import identify
from pdp.model import Identity, Method, Reason, Rejected


def judged(given: dict[str, Any], at: float = NOW, **changed: Any) -> Identity | Rejected:
    return identify(given, settings(**changed), at)


def identified(given: dict[str, Any], **changed: Any) -> Identity:
    found = judged(given, **changed)
    assert isinstance(found, Identity)
    return found


def test_good_claims_become_an_identity() -> None:
    who = identified(
        claims(r={"roles": ["member"]}, tenant="acme"),
        roles_claim="r.roles",
        roles=("member",),
        domain_claim="tenant",
        subject_prefix="idp:",
    )
    assert (who.id, who.type, who.method) == ("idp:alice", "user", Method.BEARER)
    assert (who.roles, who.domain, who.issuer) == (("member",), "acme", ISSUER)
    assert who.expires == NOW + 630
    assert who.claims["tenant"] == "acme"
    with pytest.raises(TypeError):
        who.claims["sub"] = "bob"  # type: ignore[index]


BAD_DATES: list[object] = [
    "9_999",
    "1900000600",
    None,
    True,
    1e300,
    float("nan"),
    float("inf"),
    -1,
    [1],
    {},
]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", BAD_DATES)
def test_dates_are_numbers_in_a_sane_range(name: str, value: object) -> None:
    assert judged(claims(**{name: value})) == Rejected(Reason.TOKEN_INVALID)


REFUSED: list[tuple[dict[str, Any], Reason]] = [
    (claims("exp"), Reason.TOKEN_INVALID),
    (claims(cnf={"jkt": "x"}), Reason.TOKEN_INVALID),
    (claims(cnf=None), Reason.TOKEN_INVALID),
    (claims("iss"), Reason.ISSUER_UNKNOWN),
    (claims(iss=ISSUER.rstrip("/")), Reason.ISSUER_UNKNOWN),
    (claims(iss=ISSUER + "x"), Reason.ISSUER_UNKNOWN),
    (claims(iss=ISSUER.upper()), Reason.ISSUER_UNKNOWN),
    (claims(iss=ISSUER.replace("i", "\u0456")), Reason.ISSUER_UNKNOWN),
    (claims(iss=[ISSUER]), Reason.ISSUER_UNKNOWN),
    (claims("aud"), Reason.AUDIENCE_MISMATCH),
    (claims(aud="ap"), Reason.AUDIENCE_MISMATCH),
    (claims(aud="api/"), Reason.AUDIENCE_MISMATCH),
    (claims(aud="API"), Reason.AUDIENCE_MISMATCH),
    (claims(aud="\u0430pi"), Reason.AUDIENCE_MISMATCH),
    (claims(aud=""), Reason.AUDIENCE_MISMATCH),
    (claims(aud=None), Reason.AUDIENCE_MISMATCH),
    (claims(aud=[]), Reason.AUDIENCE_MISMATCH),
    (claims(aud=["other"]), Reason.AUDIENCE_MISMATCH),
    (claims(aud=["api", 1]), Reason.AUDIENCE_MISMATCH),
    (claims(aud=[["api"]]), Reason.AUDIENCE_MISMATCH),
    (claims(aud={"api": 1}), Reason.AUDIENCE_MISMATCH),
    (claims("sub"), Reason.TOKEN_INVALID),
    (claims(sub=7), Reason.TOKEN_INVALID),
    (claims(sub=""), Reason.TOKEN_INVALID),
    (claims(sub="a\nb"), Reason.TOKEN_INVALID),
    (claims(sub="a\x00"), Reason.TOKEN_INVALID),
    (claims(sub="a\u2028b"), Reason.TOKEN_INVALID),
    (claims(sub="a\x85b"), Reason.TOKEN_INVALID),
    (claims(sub="x" * 256), Reason.TOKEN_INVALID),
    (claims(sub=["alice"]), Reason.TOKEN_INVALID),
    (claims(sub="anonymous"), Reason.TOKEN_INVALID),
    (claims(nbf=NOW + 31), Reason.TOKEN_NOT_YET_VALID),
    (claims(iat=NOW + 31), Reason.TOKEN_NOT_YET_VALID),
    (claims(exp=NOW - 30), Reason.TOKEN_EXPIRED),
    (claims(exp=0), Reason.TOKEN_EXPIRED),
]


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_claims_are_refused_with_their_reason(given: dict[str, Any], reason: Reason) -> None:
    assert judged(given) == Rejected(reason)


@pytest.mark.parametrize(("given", "reason"), [r for r in REFUSED if "exp" in r[0]])
def test_expired_means_that_all_else_is_good(given: dict[str, Any], reason: Reason) -> None:
    assert judged(given | {"exp": 1}) == Rejected(reason)


@pytest.mark.parametrize(
    "given",
    [
        claims(aud=["x", "api"]),
        claims(nbf=NOW + 30, iat=NOW + 30),
        claims(exp=NOW - 29.5),
        claims(sub="x" * 255),
        claims(sub="Zo\u00eb \u738b"),
        claims(sub="admin"),  # policy knows its roles and refuses ids that equal one
    ],
)
def test_the_edge_of_what_is_good_is_good(given: dict[str, Any]) -> None:
    assert identified(given).id == given["sub"]


def test_a_prefix_does_not_make_a_subject_anonymous() -> None:
    refused = judged(claims(sub="mous"), subject_prefix="anony")
    assert refused == Rejected(Reason.TOKEN_INVALID)
    assert identified(claims(sub="anonymous"), subject_prefix="idp:").id == "idp:anonymous"


def test_another_claim_may_name_the_subject() -> None:
    assert identified(claims(email="a@b.c"), subject_claim="email").id == "a@b.c"
    assert judged(claims(), subject_claim="email") == Rejected(Reason.TOKEN_INVALID)


ROLES: list[tuple[object, str, dict[str, Any], tuple[str, ...]]] = [
    (["a", "b", "a"], "r", {"roles": ("a", "b")}, ("a", "b")),
    (["a", "root"], "r", {"roles": ("a",)}, ("a",)),
    ("a", "r", {"roles": ("a",)}, ("a",)),
    ("a b", "r", {"roles": ("a", "b")}, ()),
    (["a", "b"], "r", {"role_prefix": "idp:"}, ("idp:a", "idp:b")),
    (["a", "b"], "r", {"roles": ("b",), "role_prefix": "idp:"}, ("idp:b",)),
    (["idp:b"], "r", {"roles": ("b",), "role_prefix": "idp:"}, ()),
    (["a", 1, None, ["a"], "", "x\ny"], "r", {"role_prefix": "p:"}, ("p:a",)),
    (7, "r", {"role_prefix": "p:"}, ()),
    ({"a": 1}, "r", {"role_prefix": "p:"}, ()),
    ({"a": 1}, "keys(r)", {"role_prefix": "p:"}, ("p:a",)),
    (7, "keys(r)", {"role_prefix": "p:"}, ()),
    ([{"n": "a"}, {"n": "b"}], "r[].n", {"roles": ("a", "b")}, ("a", "b")),
    (["a"], "absent.path", {"roles": ("a",)}, ()),
    (["a"], "r", {"roles": ()}, ()),
    (["a"], "r", {}, ()),
    (["a"], "r", {"role_prefix": ""}, ()),
]


@pytest.mark.parametrize(("value", "expression", "bounds", "expected"), ROLES)
def test_roles_are_filtered_then_prefixed(
    value: object, expression: str, bounds: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert identified(claims(r=value), roles_claim=expression, **bounds).roles == expected


@pytest.mark.parametrize("value", [None, 7, "", "a\nb", ["acme"]])
def test_a_domain_is_a_name_or_nothing(value: object) -> None:
    assert identified(claims(tenant=value), domain_claim="tenant").domain is None


SCOPES: list[tuple[dict[str, object], list[str] | None]] = [
    ({"scope": "read write dolphin"}, ["read", "write", "dolphin"]),
    ({"scope": "read"}, ["read"]),
    ({"scope": "  read   write "}, ["read", "write"]),
    ({"scope": ""}, []),
    ({"scope": "read\twrite\u00a0x"}, ["read\twrite\u00a0x"]),
    ({"scope": ["read", "write"]}, ["read", "write"]),
    ({"scope": ["read write"]}, ["read write"]),
    ({"scope": []}, []),
    ({"scp": "read write"}, ["read", "write"]),
    ({"scp": ["read"]}, ["read"]),
    ({"scope": "read", "scp": ["write"]}, ["read"]),
    ({"scope": ["read", 1]}, None),
    ({"scope": ["read", None]}, None),
    ({"scope": [["read"]]}, None),
    ({"scope": {"read": True}}, None),
    ({"scope": 7}, None),
    ({"scope": True}, None),
    ({"scope": None}, None),
    ({"scope": None, "scp": "write"}, None),
    ({"scope": 7, "scp": "write"}, None),
    ({"scp": {"read": True}}, None),
    ({"scp": None}, None),
    ({}, None),
]


@pytest.mark.parametrize(("given", "expected"), SCOPES)
def test_policy_sees_scopes_as_a_list_of_strings_or_not_at_all(
    given: dict[str, Any], expected: list[str] | None
) -> None:
    seen = identified(claims(**given)).claims
    assert ("scope" in seen) == (expected is not None)
    assert seen.get("scope") == expected


def test_scopes_are_put_right_for_policy_and_not_for_whoever_gave_them() -> None:
    given = claims(scope="read write")
    identified(given)
    assert given["scope"] == "read write"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("scope", ("read", "write")), ("scope[?@ == 'read']", ("read",)), ("scp", ())],
)
def test_roles_are_found_among_the_scopes_that_policy_sees(
    expression: str, expected: tuple[str, ...]
) -> None:
    bounds = {"roles_claim": expression, "roles": ("read", "write", "ad")}
    assert identified(claims(scope="read write admin"), **bounds).roles == expected


def test_part_of_a_scope_is_no_role() -> None:
    bounds = {"roles_claim": "contains(scope, 'admin') && 'boss'", "roles": ("boss",)}
    assert identified(claims(scope="admin x"), **bounds).roles == ("boss",)
    assert identified(claims(scope="not-admin"), **bounds).roles == ()
