"""Judges the claims of a token that is genuine: strict types, then whom it is for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeGuard

import jmespath
from jmespath.parser import ParsedResult

from pdp.identity.issuer import IssuerSettings
from pdp.identity.text import is_name
from pdp.model import ANONYMOUS_ID, Identity, Method, Reason, Rejected

Claims = Mapping[str, Any]
Rule = Callable[[Claims, IssuerSettings, float], Reason | None]

_END_OF_9999: Final = 253_402_300_799
_DATES: Final = ("exp", "nbf", "iat")
_NUMBERS: Final = (int, float)
_STRINGS: Final = frozenset({str})


def identify(
    claims: Claims, issuer: IssuerSettings, now: float, kid: str | None = None
) -> Identity | Rejected:
    """Who the claims of a signed token say it is, or why they are not good enough at `now`.

    `now` is in Unix seconds. Expiry is judged last: `token_expired` means that all else is good.
    `kid` names the key by which it was signed.
    """
    return identify_by(SIGNED, claims, issuer, now, kid)


def identify_by(
    rules: tuple[Rule, ...],
    claims: Claims,
    issuer: IssuerSettings,
    now: float,
    kid: str | None = None,
) -> Identity | Rejected:
    """Who the claims say it is, or the reason of the first rule that they break.

    INVARIANT: the rules hold `dated` and `with_subject`. Policy sees the claims as `scoped`.
    """
    for rule in rules:
        reason = rule(claims, issuer, now)
        if reason is not None:
            return Rejected(reason)
    domain = claims.get(issuer.domain_claim) if issuer.domain_claim is not None else None
    seen = scoped(claims)
    return Identity(
        id=issuer.subject_prefix + claims[issuer.subject_claim],
        method=Method.BEARER,
        claims=MappingProxyType(seen),
        roles=_roles(seen, issuer),
        domain=domain if is_name(domain) else None,
        issuer=issuer.issuer,
        kid=kid,
        expires=claims["exp"] + issuer.leeway_seconds if "exp" in claims else None,
    )


def scoped(claims: Claims) -> dict[str, Any]:
    """The claims with `scope` as a list of strings, or without it: never as one string.

    Issuers write `scope` or `scp`, as a list or as words with spaces between (RFC 8693 §4.2).
    Anything else is dropped, so that what depends on it is unknown.
    """
    seen = dict(claims)
    scope = seen.get("scope", seen.get("scp"))
    if isinstance(scope, str):
        seen["scope"] = [word for word in scope.split(" ") if word]
    elif isinstance(scope, list) and _STRINGS.issuperset(map(type, scope)):
        seen["scope"] = scope
    else:
        seen.pop("scope", None)
    return seen


def unbound(claims: Claims, _: IssuerSettings, __: float) -> Reason | None:
    """A token bound to its sender needs a proof that we cannot check (RFC 7800, RFC 9449)."""
    return Reason.TOKEN_INVALID if "cnf" in claims else None


def expiring(claims: Claims, _: IssuerSettings, __: float) -> Reason | None:
    """The token ends some time."""
    return None if "exp" in claims else Reason.TOKEN_INVALID


def dated(claims: Claims, _: IssuerSettings, __: float) -> Reason | None:
    """`exp`, `nbf` and `iat` are dates, where they are given."""
    for name in _DATES:
        if name in claims and not is_date(claims[name]):
            return Reason.TOKEN_INVALID
    return None


def is_date(value: object) -> TypeGuard[float]:
    """A NumericDate up to the year 9999; the comparison refuses NaN and infinity, too."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return False
    return 0 <= value <= _END_OF_9999


def from_issuer(claims: Claims, issuer: IssuerSettings, _: float) -> Reason | None:
    """`iss` is the issuer's name, character by character."""
    return None if claims.get("iss") == issuer.issuer else Reason.ISSUER_UNKNOWN


def for_audience(claims: Claims, issuer: IssuerSettings, _: float) -> Reason | None:
    """`aud` holds one of the audiences, and nothing but strings."""
    named = claims.get("aud")
    if isinstance(named, list):
        good = all(isinstance(a, str) for a in named) and any(a in issuer.audiences for a in named)
    else:
        good = isinstance(named, str) and named in issuer.audiences
    return None if good else Reason.AUDIENCE_MISMATCH


def with_subject(claims: Claims, issuer: IssuerSettings, _: float) -> Reason | None:
    """The subject has a name, and it is not that of nobody."""
    subject = claims.get(issuer.subject_claim)
    good = is_name(subject) and issuer.subject_prefix + subject != ANONYMOUS_ID
    return None if good else Reason.TOKEN_INVALID


def begun(claims: Claims, issuer: IssuerSettings, now: float) -> Reason | None:
    """Neither `nbf` nor `iat` lies ahead."""
    good = max(claims.get("nbf", 0), claims.get("iat", 0)) <= now + issuer.leeway_seconds
    return None if good else Reason.TOKEN_NOT_YET_VALID


def unexpired(claims: Claims, issuer: IssuerSettings, now: float) -> Reason | None:
    """Valid before `exp`, not at it (RFC 7519 §4.1.4)."""
    good = "exp" not in claims or now < claims["exp"] + issuer.leeway_seconds
    return None if good else Reason.TOKEN_EXPIRED


# INVARIANT: `dated` comes before the rules that compare dates; `unexpired` comes last.
SIGNED: Final[tuple[Rule, ...]] = (
    unbound,
    expiring,
    dated,
    from_issuer,
    for_audience,
    with_subject,
    begun,
    unexpired,
)


def _roles(claims: Claims, issuer: IssuerSettings) -> tuple[str, ...]:
    """The roles asserted that this issuer may assert, prefixed, each once, in their order."""
    prefix = issuer.role_prefix or ""
    if issuer.roles_claim is None or not (prefix or issuer.roles is not None):
        return ()
    asserted = (
        role
        for role in _asserted(claims, issuer.roles_claim)
        if is_name(role) and (issuer.roles is None or role in issuer.roles)
    )
    return tuple(dict.fromkeys(prefix + role for role in asserted))


def _asserted(claims: Claims, expression: str) -> Iterable[object]:
    found = search(expression, claims)
    return found if isinstance(found, list) else (found,)


def search(expression: str, claims: Claims) -> object:
    """What a JMESPath expression finds in claims; None where it finds nothing, or cannot go on."""
    try:
        return _compiled(expression).search(claims)
    except (ValueError, TypeError, RecursionError, ArithmeticError):
        return None  # a function met a value it does not take: no role, which grants nothing


@functools.lru_cache(maxsize=256)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)
