from __future__ import annotations

from typing import Any

import pytest
from minting import settings

from pdp.config import decode
from pdp.errors import Severity
from pdp.identity.issuer_checks import mistakes, several_introspections
from pdp.identity.settings import AuthenticationSettings, IssuerSettings, check, role_names


def found(*issuers: IssuerSettings, **section: Any) -> list[tuple[str, str]]:
    problems = check(AuthenticationSettings(issuers=issuers, **section), "pdp.toml")
    assert all(p.file == "pdp.toml" and p.help and p.message for p in problems)
    return [(p.code, p.message) for p in problems]


def test_the_example_of_the_contract_is_fine() -> None:
    table = {
        "realm": "api",
        "authenticated_role": "authenticated",
        "issuers": [
            {
                "issuer": "https://idp.example.com/",
                "audiences": ["api"],
                "algorithms": ["RS256", "ES256"],
                "jwks_url": "https://idp.example.com/jwks.json",
                "subject_claim": "sub",
                "subject_prefix": "",
                "roles_claim": "realm_access.roles",
                "roles": ["member", "accountant"],
                "domain_claim": "tenant",
                "leeway_seconds": 30,
            }
        ],
    }
    section, problems = decode(AuthenticationSettings, table, "pdp.toml", "authentication")
    assert problems == []
    assert section is not None
    assert section.issuers[0].jwks_refresh_seconds is None
    assert check(section, "pdp.toml") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"leeway_seconds": 301},
        {"leeway_seconds": -1},
        {"leeway_seconds": float("nan")},
        {"jwks_refresh_seconds": 0},
        {"jwks_refresh_seconds": 1e9},
        {"jwks_stale_max_seconds": 59},
        {"jwks_stale_max_seconds": 30 * 86_400 + 1},
        {"introspection_cache_seconds": -1},
        {"introspection_cache_seconds": 3601},
        {"accepts": ["basic"]},
        {"accepts": "bearer"},
        {"audiences": "api"},
    ],
)
def test_bounds_hold_at_decoding(wrong: dict[str, Any]) -> None:
    table = {"issuer": "i", "audiences": ["a"], "algorithms": ["RS256"], **wrong}
    section, problems = decode(IssuerSettings, table, "pdp.toml", "x")
    assert section is None
    assert [p.code for p in problems] == ["wrong-type"]


ASKS: dict[str, Any] = {
    "jwks_file": None,
    "audiences": (),
    "algorithms": (),
    "introspection_url": "https://idp.example.com/introspect",
    "client_id": "pdp",
    "client_secret_file": "client-secret",
}
FOUND: dict[str, Any] = {"jwks_file": None}  # by discovery

FINE: list[dict[str, Any]] = [
    {},
    ASKS,
    {**ASKS, "client_secret_file": None, "client_secret_env": "SECRET", "accepts": ("bearer",)},
    {**ASKS, "issuer": "no URL", "audiences": ("api",)},
    FOUND,
    {**FOUND, "issuer": "https://idp.example.com/realms/a"},
    {**FOUND, "issuer": "http://127.0.0.1:8080"},
    {"jwks_file": None, "jwks_url": "http://127.0.0.1:8080/jwks"},
    {"jwks_file": None, "jwks_url": "http://localhost/jwks"},
    {"jwks_file": None, "jwks_url": "http://[::1]/jwks"},
    {"jwks_file": None, "secret_env": "KEY", "algorithms": ("HS256", "HS512")},
    {"roles_claim": "a.b[].name", "roles": ("member",)},
    {"roles_claim": "keys(groups)", "role_prefix": "idp:"},
    {"roles_claim": '"https://example.com/roles"', "roles": ("member",), "role_prefix": "idp:"},
]


@pytest.mark.parametrize("changed", FINE)
def test_what_is_fine_is_no_problem(changed: dict[str, Any]) -> None:
    assert found(settings(**changed)) == []


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"issuer": ""}, "empty-value", ".issuer`"),
    ({"accepts": ()}, "empty-value", ".accepts`"),
    ({"issuer": "https://u:p@idp.example.com/"}, "bad-issuer", "holds a user name"),
    ({**FOUND, "issuer": "idp"}, "no-key-source", "issuers[0]` names no keys"),
    ({**FOUND, "issuer": "http://idp.example.com/"}, "no-key-source", "issuers[0]` names no keys"),
    ({**FOUND, "issuer": "https://u:p@idp.example.com/"}, "no-key-source", "issuers[0]`"),
    ({**FOUND, "issuer": "https://idp.example.com/?a=b"}, "no-key-source", "issuers[0]`"),
    ({**FOUND, "issuer": "https://idp.example.com/#a"}, "no-key-source", "issuers[0]`"),
    ({**FOUND, "algorithms": ("HS256",)}, "wrong-key-source", ".issuer` does not fit"),
    ({**ASKS, "jwks_file": "k"}, "several-key-sources", "`jwks_file`, `introspection_url`"),
    ({**ASKS, "introspection_url": "http://h/"}, "bad-introspection-url", ".introspection_url`"),
    ({**ASKS, "introspection_url": "https://u@h/"}, "bad-introspection-url", ".introspection_url`"),
    ({**ASKS, "audiences": ("",)}, "no-audience", ".audiences`"),
    ({**ASKS, "client_id": None}, "no-client-id", ".introspection_url`"),
    ({**ASKS, "client_id": ""}, "no-client-id", ".introspection_url`"),
    ({**ASKS, "client_secret_file": None}, "no-client-secret", ".introspection_url`"),
    ({**ASKS, "client_secret_file": ""}, "no-client-secret", ".introspection_url`"),
    ({**ASKS, "client_secret_env": "S"}, "several-client-secrets", ".introspection_url`"),
    ({"client_id": "pdp"}, "client-unused", "issuers[0]` names a client"),
    ({"client_secret_env": "S"}, "client-unused", "issuers[0]` names a client"),
    ({"public_key_file": "p.pem"}, "several-key-sources", "`jwks_file`, `public_key_file`"),
    ({"audiences": ()}, "no-audience", ".audiences`"),
    ({"audiences": ("api", "")}, "no-audience", ".audiences`"),
    ({"algorithms": ()}, "no-algorithm", ".algorithms`"),
    ({"algorithms": ("none",)}, "unknown-algorithm", "`none`"),
    ({"algorithms": ("rs256",)}, "unknown-algorithm", "`rs256`"),
    ({"algorithms": ("RS256", "HS256")}, "mixed-algorithms", ".algorithms`"),
    ({"algorithms": ("HS256",)}, "wrong-key-source", ".jwks_file`"),
    ({"jwks_file": None, "secret_env": "K"}, "wrong-key-source", ".secret_env`"),
    ({"jwks_file": None, "jwks_url": "http://idp.example.com/"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "http://127.0.0.1.evil.com/"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "https://u:p@idp.example.com/"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "file:///etc/passwd"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "https://"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "https://h:99999/"}, "bad-jwks-url", ".jwks_url`"),
    ({"jwks_file": None, "jwks_url": "https://h/a b"}, "bad-jwks-url", ".jwks_url`"),
    ({"roles_claim": "roles"}, "unbounded-roles", ".roles_claim`"),
    ({"roles_claim": "roles", "role_prefix": ""}, "unbounded-roles", ".roles_claim`"),
    ({"roles_claim": "a..b", "roles": ("m",)}, "bad-jmespath", ".roles_claim`"),
    ({"roles_claim": "nope(@)", "roles": ("m",)}, "bad-jmespath", ".roles_claim`"),
    ({"roles": ("member",)}, "roles-unused", "issuers[0]` bounds roles"),
    ({"roles_claim": "r", "roles": ("anonymous",)}, "bad-role", "`anonymous`"),
    ({"roles_claim": "r", "roles": ("",)}, "bad-role", ".roles`"),
    (
        {"roles_claim": "r", "role_prefix": "idp:", "subject_prefix": "idp:u:"},
        "prefix-collision",
        ".subject_prefix`",
    ),
]


@pytest.mark.parametrize(("changed", "code", "part"), WRONG)
def test_a_mistake_is_named_by_code_and_key(changed: dict[str, Any], code: str, part: str) -> None:
    ((got, message),) = found(settings(**changed))
    assert got == code
    assert "`authentication.issuers" in message
    assert part in message


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\nb", "caf\u00e9", "a\x7f"])
def test_a_realm_that_cannot_stand_in_a_header_is_refused(realm: str) -> None:
    assert [code for code, _ in found(realm=realm)] == ["bad-realm"]


@pytest.mark.parametrize("role", ["", "anonymous", "a\nb"])
def test_the_authenticated_role_is_a_role(role: str) -> None:
    assert [code for code, _ in found(authenticated_role=role)] == ["bad-role"]


def test_issuers_differ_in_name_and_prefix() -> None:
    assert [code for code, _ in found(settings(), settings())] == [
        "duplicate-issuer",
        "duplicate-prefix",
    ]
    assert found(settings(), settings(issuer="b", subject_prefix="b:")) == []


def test_all_mistakes_are_told_at_once() -> None:
    bare = IssuerSettings(issuer="idp")
    codes = [code for code, _ in found(bare, realm='"')]
    assert codes == ["bad-realm", "no-key-source", "no-audience", "no-algorithm"]


@pytest.mark.parametrize("listed", [IssuerSettings(issuer="i"), settings(jwks_file=None)])
def test_the_help_of_an_issuer_without_keys_names_discovery(listed: IssuerSettings) -> None:
    helps = [m.help for m in mistakes(listed, "x") if m.code == "no-key-source"]
    assert all("discovery" in help_ for help_ in helps)
    assert len(helps) == (listed.issuer == "i")


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        (("bearer", "cookie"), ("bearer", "cookie"), ["bearer", "cookie"]),
        (("bearer",), ("bearer", "cookie"), ["bearer"]),
        (("bearer",), ("cookie",), []),
    ],
)
def test_one_endpoint_at_most_judges_each_kind(
    first: tuple[Any, ...], second: tuple[Any, ...], kinds: list[str]
) -> None:
    asked = [
        settings(**ASKS, accepts=accepts, issuer=name)
        for name, accepts in (("a", first), ("b", second))
    ]
    problems = list(several_introspections([settings(), *asked]))
    assert [p.code for p in problems] == ["several-introspections"] * len(kinds)
    for problem, kind in zip(problems, kinds, strict=True):
        assert f"`a`, `b` all introspect `{kind}`" in problem.message


def test_the_nearest_algorithm_is_suggested() -> None:
    (problem,) = check(AuthenticationSettings(issuers=(settings(algorithms=("rs265",)),)), "f")
    assert problem.help == "did you mean `RS256`?"


def test_roles_that_nothing_asserts_are_only_a_warning() -> None:
    (problem,) = check(AuthenticationSettings(issuers=(settings(roles=("m",)),)), "f")
    assert problem.severity is Severity.WARNING


def test_role_names_carry_their_prefixes() -> None:
    names = role_names(
        AuthenticationSettings(
            authenticated_role="everybody",
            issuers=(
                settings(roles=("member",)),
                settings(roles=("boss",), role_prefix="b:"),
                settings(role_prefix="c:"),
            ),
        )
    )
    assert names.asserted == {"member", "b:boss"}
    assert names.role_prefixes == ("c:",)
    assert names.authenticated_role == "everybody"
