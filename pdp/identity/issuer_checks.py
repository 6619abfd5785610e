"""Every mistake one can make in `[[authentication.issuers]]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, get_args
from urllib.parse import urlsplit

import jmespath
import jmespath.exceptions

from pdp.config import suggest
from pdp.errors import Severity
from pdp.identity.algorithms import ALGORITHMS, ASYMMETRIC, HMAC
from pdp.identity.issuer import (
    CLIENT_SECRETS,
    KEY_SOURCES,
    PUBLIC_SOURCES,
    SECRET_SOURCES,
    IssuerSettings,
    Kind,
    Mistake,
    Mistakes,
)
from pdp.identity.text import is_name
from pdp.identity.urls import is_discoverable, is_safe_url
from pdp.model import ANONYMOUS_ID


def mistakes(issuer: IssuerSettings, key: str) -> Mistakes:
    """Every mistake within `issuer`, which stands at `key`."""
    for rule in _RULES:
        yield from rule(issuer, key)


def several_introspections(issuers: Iterable[IssuerSettings]) -> Mistakes:
    """A mistake for every kind of credential that more than one endpoint would have to judge.

    An opaque token does not name its issuer, so there must be nothing to choose from.
    """
    asked = [issuer for issuer in issuers if issuer.introspected]
    for kind in get_args(Kind):
        named = [f"`{issuer.issuer}`" for issuer in asked if kind in issuer.accepts]
        if len(named) > 1:
            yield Mistake(
                "several-introspections",
                f"`authentication.issuers`: {', '.join(named)} all introspect `{kind}` credentials",
                "an opaque credential names no issuer: narrow `accepts` until one is left",
            )


def _named(issuer: IssuerSettings, key: str) -> Mistakes:
    if not issuer.issuer:
        yield Mistake("empty-value", f"`{key}.issuer` is empty", "write the `iss` of its tokens")
    if (issuer.key_sources or issuer.introspected) and "@" in urlsplit(issuer.issuer).netloc:
        message = f"`{key}.issuer` holds a user name or a password"
        yield Mistake("bad-issuer", message, "it is shown in /readyz, metrics and logs")
    if not issuer.accepts:
        yield Mistake("empty-value", f"`{key}.accepts` is empty", 'for example `["bearer"]`')


def _key_source(issuer: IssuerSettings, key: str) -> Mistakes:
    given = issuer.key_sources + ("introspection_url",) * issuer.introspected
    if issuer.discovered and not is_discoverable(issuer.issuer):
        known = ", ".join(f"`{name}`" for name in (*KEY_SOURCES, "introspection_url"))
        yield Mistake(
            "no-key-source",
            f"`{key}` names no keys",
            f"set one of {known}; keys are found by discovery only where `issuer` is an https URL",
        )
    if len(given) > 1:
        listed = ", ".join(f"`{name}`" for name in given)
        yield Mistake(
            "several-key-sources", f"`{key}` names several sources of keys: {listed}", "keep one"
        )


def _audiences(issuer: IssuerSettings, key: str) -> Mistakes:
    needed = not issuer.introspected
    if (needed and not issuer.audiences) or not all(issuer.audiences):
        yield Mistake(
            "no-audience",
            f"`{key}.audiences` is missing, empty or holds an empty name",
            "name the `aud` values that mean this service",
        )


def _algorithms(issuer: IssuerSettings, key: str) -> Mistakes:
    place = f"{key}.algorithms"
    if not issuer.algorithms and not issuer.introspected:
        yield Mistake("no-algorithm", f"`{place}` is missing or empty", 'for example `["RS256"]`')
    for name in issuer.algorithms:
        if name not in ALGORITHMS:
            yield Mistake(
                "unknown-algorithm",
                f"`{place}`: `{name}` is not an algorithm that can be accepted",
                suggest(name.upper(), ALGORITHMS),
            )


def _families(issuer: IssuerSettings, key: str) -> Mistakes:
    place = f"{key}.algorithms"
    symmetric, asymmetric = HMAC & {*issuer.algorithms}, ASYMMETRIC & {*issuer.algorithms}
    if symmetric and asymmetric:
        yield Mistake(
            "mixed-algorithms",
            f"`{place}` mixes shared-secret and public-key algorithms",
            "keep one kind: a public key must never serve as a secret",
        )
        return
    wanted = SECRET_SOURCES if symmetric else PUBLIC_SOURCES
    unfit = [f"{key}.{name}" for name in issuer.key_sources if name not in wanted]
    if issuer.discovered and is_discoverable(issuer.issuer) and symmetric:
        unfit = [f"{key}.issuer"]  # discovery finds public keys
    for where in unfit if symmetric or asymmetric else ():
        yield Mistake(
            "wrong-key-source",
            f"`{where}` does not fit `algorithms`",
            f"these algorithms need {' or '.join(f'`{w}`' for w in wanted)}",
        )


def _urls(issuer: IssuerSettings, key: str) -> Mistakes:
    for name, code in (
        ("jwks_url", "bad-jwks-url"),
        ("introspection_url", "bad-introspection-url"),
    ):
        url = getattr(issuer, name)
        if url is not None and not is_safe_url(url):
            yield Mistake(
                code,
                f"`{key}.{name}` must be an https URL without user name and password",
                "plain http is for loopback hosts only",
            )


def _client(issuer: IssuerSettings, key: str) -> Mistakes:
    secrets = [name for name in CLIENT_SECRETS if getattr(issuer, name)]
    if not issuer.introspected:
        if secrets or issuer.client_id is not None:
            yield Mistake(
                "client-unused",
                f"`{key}` names a client, but introspects nothing",
                "set `introspection_url`, or remove the client",
                Severity.WARNING,
            )
        return
    if not issuer.client_id:
        yield Mistake(
            "no-client-id",
            f"`{key}.introspection_url` needs `client_id`",
            "name the client under which this service may introspect",
        )
    if len(secrets) != 1:
        yield Mistake(
            "no-client-secret" if not secrets else "several-client-secrets",
            f"`{key}.introspection_url` needs exactly one client secret",
            f"set one of {', '.join(f'`{name}`' for name in CLIENT_SECRETS)}",
        )


def _roles_claim(issuer: IssuerSettings, key: str) -> Mistakes:
    bounded = issuer.roles is not None or bool(issuer.role_prefix)
    if issuer.roles_claim is None:
        if bounded:
            yield Mistake(
                "roles-unused",
                f"`{key}` bounds roles, but reads none",
                "set `roles_claim`, or remove `roles` and `role_prefix`",
                Severity.WARNING,
            )
        return
    if not bounded:
        yield Mistake(
            "unbounded-roles",
            f"`{key}.roles_claim` needs `roles` or `role_prefix`",
            "list the roles that this issuer may assert, or set them apart by a prefix",
        )
    if not is_jmespath(issuer.roles_claim):
        yield Mistake(
            "bad-jmespath",
            f"`{key}.roles_claim` is not a JMESPath expression",
            "for example `realm_access.roles`; quote names with other characters: "
            '`"https://example.com/roles"`',
        )


def is_jmespath(text: str) -> bool:
    """Whether `text` is an expression that can be compiled."""
    try:
        jmespath.compile(text).search({})
    except jmespath.exceptions.JMESPathTypeError:
        return True  # a function that finds nothing to work on in an empty document
    except jmespath.exceptions.JMESPathError:
        return False
    return True


def _roles(issuer: IssuerSettings, key: str) -> Mistakes:
    for role in issuer.roles or ():
        if not may_be_role((issuer.role_prefix or "") + role) or not role:
            yield bad_role(f"{key}.roles", role)


def may_be_role(name: str) -> bool:
    """Whether a role may have this name."""
    return is_name(name) and name != ANONYMOUS_ID


def bad_role(key: str, role: str) -> Mistake:
    """The mistake that `role`, at `key`, has a name that roles may not have."""
    return Mistake(
        "bad-role",
        f"`{key}`: `{role}` cannot be a role",
        f"a role's name is not empty, not `{ANONYMOUS_ID}`, and has no control characters",
    )


_RULES: Final[tuple[Callable[[IssuerSettings, str], Mistakes], ...]] = (
    _named,
    _key_source,
    _audiences,
    _algorithms,
    _families,
    _urls,
    _client,
    _roles_claim,
    _roles,
)
