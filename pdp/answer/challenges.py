"""What a 401 asks for: `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3) from tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from pdp.model import Reason

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))

# RFC 6750 §3.1: who presented nothing that was looked at is told no error.
_NO_ERROR: Final = ""
_EXPIRED: Final = ', error="invalid_token", error_description="The access token has expired"'
# One text for all the rest: which check failed helps nobody but an attacker.
_INVALID: Final = ', error="invalid_token", error_description="The access token is not valid"'

_BEARER_ERRORS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.CREDENTIALS_MISSING: _NO_ERROR,
        Reason.SCHEME_UNSUPPORTED: _NO_ERROR,
        Reason.TOKEN_EXPIRED: _EXPIRED,
    }
)

# What follows the realm: by scheme, the attributes of certain reasons and those of all others.
# A scheme without a row has a realm and nothing else.
_ATTRIBUTES: Final[Mapping[str, tuple[Mapping[Reason, str], str]]] = MappingProxyType(
    {"Bearer": (_BEARER_ERRORS, _INVALID)}
)
_NOTHING: Final[tuple[Mapping[Reason, str], str]] = (MappingProxyType({}), "")


def challenge(reason: Reason, realm: str, schemes: Sequence[str]) -> str:
    """One field line with a challenge per accepted scheme, in the order of `schemes`.

    One line, because nginx 1.22 hands on the first one only.
    """
    quoted = _quoted(realm)
    return ", ".join(f"{s} realm={quoted}{_attributes(s, reason)}" for s in schemes)


def _attributes(scheme: str, reason: Reason) -> str:
    by_reason, otherwise = _ATTRIBUTES.get(scheme, _NOTHING)
    return by_reason.get(reason, otherwise)


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 §5.6.4); what is not printable ASCII is percent-encoded."""
    visible = quote(text, safe=_PRINTABLE, errors="surrogatepass")
    return '"' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"'
