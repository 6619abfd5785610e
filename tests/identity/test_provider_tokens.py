"""Tokens in the shape of well-known providers, with the settings that one writes for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from minting import NOW, judged_by, sign, static

from pdp.config import decode, parse_toml
from pdp.identity.settings import AuthenticationSettings, check
from pdp.model import Identity, Reason, Rejected

DATES = {"exp": int(NOW) + 300, "iat": int(NOW), "nbf": int(NOW)}
TENANT = "9122040d-6c67-4c5b-b112-36a304b66dad"
SHOP = "https://sso.example.com/realms/shop"
KEYCLOAK: Mapping[str, Any] = {
    **{name: DATES[name] for name in ("exp", "iat")},
    "jti": "onrtac:6c9e6dd1",
    "iss": SHOP,
    "aud": ["shop-api", "account"],
    "sub": "f3a1c0de-0000-4000-8000-00000000a11c",
    "typ": "Bearer",
    "azp": "shop-web",
    "sid": "e0f0c1d2",
    "acr": "1",
    "allowed-origins": ["https://shop.example.com"],
    "realm_access": {"roles": ["editor", "offline_access", "uma_authorization"]},
    "resource_access": {
        "shop-api": {"roles": ["refunds"]},
        "account": {"roles": ["manage-account", "view-profile"]},
    },
    "scope": "openid email orders:read",
    "preferred_username": "alice",
}
AUTH0: Mapping[str, Any] = {
    **{name: DATES[name] for name in ("exp", "iat")},
    "iss": "https://shop.eu.auth0.com/",
    "sub": "auth0|65f0c0ffee",
    "aud": ["https://api.example.com", "https://shop.eu.auth0.com/userinfo"],
    "azp": "q2hhbmdlbWU",
    "scope": "openid profile orders:read",
    "permissions": ["orders:read", "orders:write"],
    "https://example.com/roles": ["editor", "trainee"],
    "https://example.com/tenant": "north",
}
ENTRA: Mapping[str, Any] = {
    **DATES,
    "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "azpacr": "0",
    "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    "roles": ["Orders.Manager", "Unlisted"],
    "scp": "Orders.Read User.Read",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "tid": TENANT,
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "ver": "2.0",
}
OKTA: Mapping[str, Any] = {
    **{name: DATES[name] for name in ("exp", "iat")},
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": "https://shop.okta.com/oauth2/default",
    "aud": "api://default",
    "cid": "0oabskvc6442nkvQO0h7",
    "uid": "00uid4BxXw6I6TV4m0g3",
    "scp": ["openid", "orders:read"],
    "sub": "alice@example.com",
    "auth_time": int(NOW) - 60,
    "groups": ["Everyone", "Editors"],
}
ISSUERS = {
    "keycloak": f"""
        issuer = "{SHOP}"
        audiences = ["shop-api"]
        jwks_url = "{SHOP}/protocol/openid-connect/certs"
        roles_claim = "realm_access.roles"
        roles = ["editor", "member"]
    """,
    "keycloak clients": f"""
        issuer = "{SHOP}"
        audiences = ["shop-api"]
        roles_claim = 'resource_access."shop-api".roles'
        role_prefix = "shop:"
    """,
    "keycloak both": f"""
        issuer = "{SHOP}"
        audiences = ["shop-api"]
        subject_claim = "preferred_username"
        roles_claim = '[realm_access.roles, resource_access."shop-api".roles][]'
        roles = ["editor", "refunds"]
    """,
    "auth0": """
        issuer = "https://shop.eu.auth0.com/"
        audiences = ["https://api.example.com"]
        roles_claim = '"https://example.com/roles"'
        roles = ["editor"]
        domain_claim = "https://example.com/tenant"
    """,
    "auth0 permissions": """
        issuer = "https://shop.eu.auth0.com/"
        audiences = ["https://api.example.com"]
        roles_claim = "permissions"
        role_prefix = "may:"
    """,
    "entra": f"""
        issuer = "https://login.microsoftonline.com/{TENANT}/v2.0"
        audiences = ["6e74172b-be56-4843-9ff4-e66a39bb12e3"]
        subject_claim = "oid"
        roles_claim = "roles"
        roles = ["Orders.Manager"]
        domain_claim = "tid"
    """,
    "okta": """
        issuer = "https://shop.okta.com/oauth2/default"
        audiences = ["api://default"]
        subject_claim = "uid"
        roles_claim = "groups"
        roles = ["Editors"]
    """,
}


@dataclass(frozen=True)
class Who:
    """Whom a provider's token must be found to be."""

    claims: Mapping[str, Any]
    id: str
    roles: tuple[str, ...]
    scope: list[str]
    domain: str | None = None
    header: Mapping[str, str] = field(default_factory=lambda: {"typ": "JWT"})


ALICE = "f3a1c0de-0000-4000-8000-00000000a11c"
WORDS = ["openid", "email", "orders:read"]
AUTH0_WORDS = ["openid", "profile", "orders:read"]
EXPECTED = {
    "keycloak": Who(KEYCLOAK, ALICE, ("editor",), WORDS),
    "keycloak clients": Who(KEYCLOAK, ALICE, ("shop:refunds",), WORDS),
    "keycloak both": Who(KEYCLOAK, "alice", ("editor", "refunds"), WORDS),
    "auth0": Who(AUTH0, "auth0|65f0c0ffee", ("editor",), AUTH0_WORDS, "north", {"typ": "at+jwt"}),
    "auth0 permissions": Who(
        AUTH0, "auth0|65f0c0ffee", ("may:orders:read", "may:orders:write"), AUTH0_WORDS
    ),
    "entra": Who(
        ENTRA, str(ENTRA["oid"]), ("Orders.Manager",), ["Orders.Read", "User.Read"], TENANT
    ),
    "okta": Who(OKTA, str(OKTA["uid"]), ("Editors",), ["openid", "orders:read"], header={}),
}


def issuer_of(name: str) -> Any:
    text = f'[[issuers]]\nalgorithms = ["RS256"]\n{ISSUERS[name]}'
    table, problems = parse_toml(text.encode(), "pdp.toml")
    assert problems == []
    found, problems = decode(AuthenticationSettings, table, "pdp.toml", "")
    assert found is not None, problems
    assert check(found, "pdp.toml") == []
    return found.issuers[0]


async def judged(name: str, claims: Mapping[str, Any], header: Mapping[str, str]) -> Any:
    token = sign(dict(claims), {"alg": "RS256", "kid": "k1", **header})
    return await judged_by(issuer_of(name), static(), token, NOW)


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_providers_token_says_who_asks(name: str) -> None:
    who = EXPECTED[name]
    found = await judged(name, who.claims, who.header)
    assert isinstance(found, Identity), found
    assert (found.id, found.roles, found.domain) == (who.id, who.roles, who.domain)
    assert found.claims["scope"] == who.scope
    assert (found.issuer, found.kid) == (who.claims["iss"], "k1")


REFUSED: list[tuple[str, Mapping[str, Any], Mapping[str, str], Reason]] = [
    ("keycloak", {**KEYCLOAK, "aud": "account"}, {}, Reason.AUDIENCE_MISMATCH),
    ("keycloak", {**KEYCLOAK, "iss": SHOP + "/"}, {}, Reason.ISSUER_UNKNOWN),
    ("keycloak", KEYCLOAK, {"typ": "logout+jwt"}, Reason.TOKEN_INVALID),
    ("auth0", {**AUTH0, "iss": "https://shop.eu.auth0.com"}, {}, Reason.ISSUER_UNKNOWN),
    ("auth0", {**AUTH0, "aud": AUTH0["aud"][1]}, {}, Reason.AUDIENCE_MISMATCH),
    (
        "entra",  # of version 1, and of another tenant
        {**ENTRA, "iss": f"https://sts.windows.net/{TENANT}/", "ver": "1.0"},
        {},
        Reason.ISSUER_UNKNOWN,
    ),
    (
        "entra",
        {**ENTRA, "iss": "https://login.microsoftonline.com/{tenantid}/v2.0"},
        {},
        Reason.ISSUER_UNKNOWN,
    ),
    (
        "entra",
        {name: value for name, value in ENTRA.items() if name != "oid"},
        {},
        Reason.TOKEN_INVALID,
    ),
    ("entra", ENTRA, {"nonce": "x", "crit": "nonce"}, Reason.TOKEN_INVALID),
    ("okta", {**OKTA, "aud": "https://shop.okta.com"}, {}, Reason.AUDIENCE_MISMATCH),
]


@pytest.mark.parametrize(("name", "claims", "header", "reason"), REFUSED)
async def test_what_only_looks_like_it_is_refused(
    name: str, claims: Mapping[str, Any], header: Mapping[str, str], reason: Reason
) -> None:
    assert await judged(name, claims, header) == Rejected(reason)


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": None},
        {"realm_access": {"roles": None}},
        {"realm_access": {"roles": "edito"}},
        {"realm_access": {"roles": {"editor": True}}},
        {"realm_access": {"roles": [["editor"], {"name": "editor"}, 7, None, "", "e" * 300]}},
        {"realm_access": ["editor"]},
        {"realm_access": {"roles": ["Editor", "editor ", "member,editor"]}},
    ],
)
async def test_roles_of_another_shape_are_none(claims: Mapping[str, Any]) -> None:
    found = await judged("keycloak", {**KEYCLOAK, **claims}, {})
    assert isinstance(found, Identity)
    assert found.roles == ()
