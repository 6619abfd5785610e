"""Verifies bearer JWTs (RFC 7519, RFC 8725): strict form, then signature, then claims."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Final

from pdp import strict_json
from pdp.errors import KeysUnavailable
from pdp.identity import base64url
from pdp.identity.claims import identify
from pdp.identity.issuer import IssuerSettings
from pdp.identity.keys import Key, KeyRing, KeySource, select
from pdp.identity.text import is_name
from pdp.model import Identity, Reason, Rejected

LONGEST_TOKEN: Final = 16_384  # characters
_SEGMENTS: Final = 3
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_INVALID: Final = Rejected(Reason.TOKEN_INVALID)
_ORDINARY_HEADER: Final = 512  # characters


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted, and where its keys come from."""

    settings: IssuerSettings
    source: KeySource


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a token says, none of it verified yet."""

    alg: str
    kid: str | None = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    signature: bytes = field(repr=False)


async def verify(token: str, parsed: Parsed, issuer: Issuer, now: float) -> Identity | Rejected:
    """Who the token says it is, or why it is refused; `now` in Unix seconds.

    `issuer` is the one that the token names. KeysUnavailable if its keys were never loaded.
    """
    if parsed.alg not in issuer.settings.algorithms:
        return _INVALID
    key = await _key(issuer, parsed)
    if key is None or not key.verifies(parsed.alg, _signed(token), parsed.signature):
        return _INVALID
    return identify(parsed.claims, issuer.settings, now, key.kid)


def parse(token: str) -> Parsed:
    """A token in the strict form (RFC 7519 §3, RFC 8725); ValueError or RecursionError if not."""
    segments = token.split(".", _SEGMENTS)
    if len(segments) != _SEGMENTS:
        raise ValueError("not three segments")
    header, claims, signature = segments
    alg, kid = (_known_header if len(header) <= _ORDINARY_HEADER else _header)(header)
    return Parsed(alg, kid, _object(claims), base64url.decode(signature))


def _signed(token: str) -> bytes:
    """The signing input (RFC 7515 §5.2)."""
    return token.rpartition(".")[0].encode("ascii")


def _object(segment: str) -> dict[str, Any]:
    value = strict_json.loads(base64url.decode(segment))
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the token's fault, not the program's
    return value


def _header(segment: str) -> tuple[str, str | None]:
    header = _object(segment)
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise ValueError("a header parameter that is not accepted")
    if "typ" in header and not _is_type(header["typ"]):
        raise ValueError("another kind of JWT")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or ("kid" in header and not is_name(kid)):
        raise ValueError("`alg` or `kid` of a wrong type")
    return alg, kid


# All tokens by one key begin alike; nothing is secret in a header, nor does it say who asks.
_known_header = functools.lru_cache(maxsize=256)(_header)


def _is_type(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.lower() in _TYPES


async def _key(issuer: Issuer, parsed: Parsed) -> Key | None:
    ring = _loaded(issuer, issuer.source.current())
    key = select(ring, parsed.kid, parsed.alg)
    if key is None and parsed.kid is not None and parsed.kid not in {k.kid for k in ring.keys}:
        ring = _loaded(issuer, await issuer.source.after_unknown_kid())
        key = select(ring, parsed.kid, parsed.alg)
    return key


def _loaded(issuer: Issuer, ring: KeyRing | None) -> KeyRing:
    if ring is None:
        raise KeysUnavailable(f"the keys of `{issuer.settings.issuer}` were never loaded")
    return ring
