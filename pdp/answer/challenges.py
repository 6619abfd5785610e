"""What a 401 asks for: `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3) from tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from pdp.model import Reason, Verdict

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))


@dataclass(frozen=True, slots=True)
class Challenges:
    """What can be asked for: the accepted schemes, each with its own parameters, in order.

    `resource_metadata` is the URL of RFC 9728 §5.1. `on_403`: who lacks a scope is told which one
    (RFC 6750 §3.1), though a 403 asks for nothing otherwise.
    """

    realm: str
    schemes: tuple[tuple[str, str], ...]
    resource_metadata: str | None = None
    on_403: bool = False


def schemes(
    *, bearer: bool = False, api_key: bool = False, basic: bool = False, cookie: str | None = None
) -> tuple[tuple[str, str], ...]:
    """The accepted schemes with what follows their realm; `cookie` is the name of a session's.

    No registered scheme says "log in and come back with a cookie", yet a 401 must name one: ours
    is `Cookie`, after the draft that proposes it, and browsers pass over it.
    """
    accepted = (
        ("Bearer", "", bearer),
        ("ApiKey", "", api_key),
        ("Basic", ', charset="UTF-8"', basic),  # RFC 7617 §2.1
        ("Cookie", f", cookie-name={_quoted(cookie or '')}", cookie is not None),
    )
    return tuple((name, parameters) for name, parameters, accepts in accepted if accepts)


def _told(error: str, description: str) -> str:
    return f', error="{error}", error_description="{description}"'


# RFC 6750 §3.1: who presented no token that was looked at is told no error.
_NO_ERROR: Final = ""
# One text for all the rest: which check failed helps nobody but an attacker.
_INVALID: Final = _told("invalid_token", "The access token is not valid")
_ERRORS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.CREDENTIALS_MISSING: _NO_ERROR,
        Reason.SCHEME_UNSUPPORTED: _NO_ERROR,
        Reason.API_KEY_INVALID: _NO_ERROR,
        Reason.PASSWORD_INVALID: _NO_ERROR,
        Reason.SESSION_INVALID: _NO_ERROR,
        Reason.TOKEN_EXPIRED: _told("invalid_token", "The access token has expired"),
        Reason.STEP_UP_REQUIRED: _told(  # RFC 9470 §3
            "insufficient_user_authentication", "A stronger or more recent login is required"
        ),
        Reason.INSUFFICIENT_SCOPE: _told(
            "insufficient_scope", "The access token lacks a scope that this needs"
        ),
    }
)


def challenge(verdict: Verdict, asked: Challenges) -> str:
    """One field line with a challenge per accepted scheme, in their order.

    One line, because nginx 1.22 hands on the first one only.
    """
    realm = f"realm={_quoted(asked.realm)}"
    return ", ".join(
        f"{scheme} {realm}{_bearer(verdict, asked) if scheme == 'Bearer' else parameters}"
        for scheme, parameters in asked.schemes
    )


def forbidden_challenge(verdict: Verdict, asked: Challenges) -> str | None:
    """What a 403 asks for where the operator wants that: a token with a further scope."""
    if not asked.on_403 or verdict.reason is not Reason.INSUFFICIENT_SCOPE:
        return None
    return f"Bearer realm={_quoted(asked.realm)}{_bearer(verdict, asked)}"


def _bearer(verdict: Verdict, asked: Challenges) -> str:
    parameters = [f", {name}={_quoted(value)}" for name, value in verdict.demands]
    if asked.resource_metadata is not None:
        parameters.append(f", resource_metadata={_quoted(asked.resource_metadata)}")
    return _ERRORS.get(verdict.reason, _INVALID) + "".join(parameters)


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 §5.6.4); what is not printable ASCII is percent-encoded."""
    visible = quote(text, safe=_PRINTABLE, errors="surrogatepass")
    return '"' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"'
