"""Which strings may serve as a name: of a subject, a role, a domain or a key."""

from __future__ import annotations

import unicodedata
from typing import Final, TypeGuard

LONGEST_NAME: Final = 255
_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})  # controls, line and paragraph separators


def is_name(value: object) -> TypeGuard[str]:
    """Whether `value` is a string of 1 to 255 characters, none of them a control character."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    if value.isascii():
        return value.isprintable()
    return not any(unicodedata.category(c) in _BREAKING for c in value)
