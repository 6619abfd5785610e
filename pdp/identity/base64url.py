"""Base64url as JWS means it: one spelling for each value (RFC 7515 §2)."""

from __future__ import annotations

from binascii import a2b_base64
from string import ascii_letters, digits
from typing import Final

_FOREIGN: Final = b"!"  # which `strict_mode` refuses


def _standard() -> bytes:
    """The byte of plain base64 for each of base64url; a foreign one stays foreign."""
    table = bytearray(_FOREIGN * 256)
    kept = (ascii_letters + digits).encode()
    for byte, plain in zip(kept + b"-_", kept + b"+/", strict=True):
        table[byte] = plain
    return bytes(table)


_STANDARD: Final = _standard()

# By the number of characters behind the last four: what pads them, and which may be the last,
# their stray bits being zero.
_ENDS: Final[tuple[tuple[bytes, frozenset[str]], ...]] = (
    (b"", frozenset(ascii_letters + digits + "-_")),
    (b"", frozenset()),
    (b"==", frozenset("AQgw")),
    (b"=", frozenset("AEIMQUYcgkosw048")),
)


def decode(text: str) -> bytes:
    """The bytes that `text` spells.

    ValueError for padding, white space, foreign characters, stray bits and the empty text.
    """
    padding, last = _ENDS[len(text) % 4]
    if text[-1:] not in last:
        raise ValueError("not canonical base64url")
    try:
        return a2b_base64(text.encode("ascii").translate(_STANDARD) + padding, strict_mode=True)
    except ValueError:
        raise ValueError("not base64url") from None
