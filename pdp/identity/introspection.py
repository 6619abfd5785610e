"""Judges what an issuer says of a token that only it can read (RFC 7662)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from pdp import strict_json
from pdp.errors import Unavailable
from pdp.identity.claims import (
    Claims,
    Rule,
    begun,
    dated,
    for_audience,
    from_issuer,
    identify_by,
    unbound,
    unexpired,
    with_subject,
)
from pdp.identity.issuer import IssuerSettings
from pdp.model import Identity, Reason, Rejected

_INVALID: Final = Rejected(Reason.TOKEN_INVALID)
_TOKEN: Final = re.compile(r"[\x20-\x7e]{1,16384}")  # RFC 6749 §A.12, and a bound
_SEGMENTS: Final = 3
_JSON_SPACE: Final = b" \t\r\n"

# An issuer may vouch for its refresh and ID tokens, too (RFC 7662 §2.1); here they open nothing.
_KINDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "token_type": frozenset({"bearer", "access_token"}),
        "token_use": frozenset({"access", "access_token"}),
        "typ": frozenset({"bearer", "jwt", "at+jwt", "application/jwt", "application/at+jwt"}),
    }
)


class IntrospectionUnavailable(Unavailable):
    """The issuer of a token could not be asked, or gave no answer that can be used."""

    reason = Reason.KEYS_UNAVAILABLE


class TokenInspector(Protocol):
    """Where an issuer's word on a token comes from."""

    async def inspect(self, token: str, now: float) -> Claims | None:
        """What an active token says, `active` included; None if it is not active.

        `now` is in Unix seconds. IntrospectionUnavailable if that cannot be found out.
        """
        ...


def identify_introspected(
    claims: Claims, issuer: IssuerSettings, now: float
) -> Identity | Rejected:
    """Who an issuer's answer says it is, or why it is not good enough at `now` (Unix seconds).

    The rules are those of a signed token, but `exp` and `iss` may be absent, and `aud` matters
    only where the issuer has audiences. Policy does not see `active`: what it may know under
    that name is the account's.
    """
    said = dict(claims)
    if said.pop("active", None) is not True:
        return _INVALID
    return identify_by(_INTROSPECTED, said, issuer, now)


def _for_access(claims: Claims, _: IssuerSettings, __: float) -> Reason | None:
    good = all(_is_one_of(claims[name], kinds) for name, kinds in _KINDS.items() if name in claims)
    return None if good else Reason.TOKEN_INVALID


def _is_one_of(value: object, kinds: frozenset[str]) -> bool:
    return value is None or (isinstance(value, str) and value.lower() in kinds)


def _given(name: str, rule: Rule) -> Rule:
    """`rule`, but only for claims that hold `name`."""
    return lambda claims, issuer, now: rule(claims, issuer, now) if name in claims else None


def _for_configured_audience(claims: Claims, issuer: IssuerSettings, now: float) -> Reason | None:
    return for_audience(claims, issuer, now) if issuer.audiences else None


# INVARIANT: in the order of `claims.SIGNED`, for the same reasons.
_INTROSPECTED: Final[tuple[Rule, ...]] = (
    unbound,
    _for_access,
    dated,
    _given("iss", from_issuer),
    _for_configured_audience,
    with_subject,
    begun,
    unexpired,
)


def read_answer(data: bytes) -> Claims | None:
    """What an introspection endpoint says (RFC 7662 §2.2): claims, or None if inactive.

    ValueError, quoting nothing, for anything but a JSON object with a truth as `active`.
    """
    answer = strict_json.loads(data)
    if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
        raise ValueError("not an introspection response")  # noqa: TRY004 - the endpoint's fault
    found: dict[str, Any] = answer
    return found if found["active"] else None


def may_be_token(text: str) -> bool:
    """Whether an issuer can have issued this at all; what cannot be a token is not sent to it."""
    return _TOKEN.fullmatch(text) is not None


def looks_like_jws(token: str) -> bool:
    """Whether this is three segments of which the first begins a JSON object, however spelled.

    Such a token names its issuer; to show it to another one would give it away.
    """
    segments = token.split(".", _SEGMENTS)
    if len(segments) != _SEGMENTS:
        return False
    text = segments[0].rstrip("=")
    try:
        header = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return False
    return header.lstrip(_JSON_SPACE).startswith(b"{")
