"""Base64url as JWS means it: one spelling for each value (RFC 7515 §2)."""

from __future__ import annotations

import base64
import re

_TEXT = re.compile(r"[A-Za-z0-9_-]+")


def decode(text: str) -> bytes:
    """The bytes that `text` spells.

    ValueError for padding, white space, foreign characters, stray bits and the empty text.
    """
    if not _TEXT.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii") != text:
        raise ValueError("not canonical base64url")
    return data
