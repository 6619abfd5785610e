"""Opaque tokens for the next page of a search: sealed, and good for that search only."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pdp.errors import RequestError
from pdp.identity import base64url

FIELD: Final = "page.token"
_NONCE_BYTES: Final = 12


class _Content(msgspec.Struct, frozen=True, array_like=True):
    cursor: Any
    revision: str
    limit: int


class PageTokens:
    """Seals and opens them with a key of this process and of its workers.

    After a restart a search begins anew.

    They are encrypted, not only signed: a cursor can hold a name that the asker may not see.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, search: bytes, cursor: Any, revision: str, limit: int) -> str:
        """A token to go on with `search`, a digest of all that was asked, behind `cursor`."""
        nonce = os.urandom(_NONCE_BYTES)
        content = msgspec.msgpack.encode(_Content(cursor, revision, limit))
        sealed = nonce + self._cipher.encrypt(nonce, content, search)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, token: str, search: bytes, revision: str, limit: int | None) -> tuple[Any, int]:
        """The cursor and the limit of a token; RequestError if it is no token for this search."""
        content = self._read(token, search)
        if content.revision != revision:
            raise RequestError(FIELD, "is of an earlier policy: begin the search anew")
        if limit is not None and limit != content.limit:
            raise RequestError("page.limit", "is not that of the search's first page")
        return content.cursor, content.limit

    def _read(self, token: str, search: bytes) -> _Content:
        try:
            data = base64url.decode(token)
            plain = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], search)
        except (ValueError, InvalidTag):
            raise RequestError(FIELD, "is not one that was given for this search") from None
        return msgspec.msgpack.decode(plain, type=_Content)
