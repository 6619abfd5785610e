"""Fingerprints of tokens: two records of one token can be told, and the token cannot."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from pdp.identity.session import session_of
from pdp.model import Credentials, Identity, Method

_SHOWN: Final = 32  # hex digits of a fingerprint
_SHORTEST_TOKEN: Final = 32  # what is shorter could be guessed from its digest
_REMEMBERED: Final = 2_048  # fingerprints of ids
_SHORT_ID: Final = 128  # characters of one that is remembered: a UUID has 36
_TOKENS: Final = frozenset({Method.BEARER, Method.SESSION})


def fingerprint(
    identity: Identity | None, credentials: Credentials, cookie: str | None
) -> str | None:
    """That of the token among these credentials: of a good one with an id, however it is spelt.

    None for what is no token, and for what is so short that its digest would give it away.
    `cookie` is the name of a session's.
    """
    if identity is not None and identity.method in _TOKENS:
        jti = identity.claims.get("jti")
        if isinstance(jti, str) and jti:
            return _digest_of_id(jti) if len(jti) <= _SHORT_ID else digest(jti)
    token = credentials.token
    if token is None and credentials.authorization is not None:
        scheme, _, value = credentials.authorization.partition(" ")
        token = value.strip() if scheme.lower() == "bearer" else None
    elif token is None and credentials.cookie is not None and cookie is not None:
        token = session_of(credentials.cookie, cookie)
    return digest(token) if token and len(token) >= _SHORTEST_TOKEN else None


@lru_cache(maxsize=_REMEMBERED)
def _digest_of_id(jti: str) -> str:
    return digest(jti)  # an id is no credential: it may be remembered


def digest(text: str) -> str:
    """The fingerprint of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]
