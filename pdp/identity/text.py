"""Which strings may serve as a name: of a subject, a role, a domain or a key."""

from __future__ import annotations

import unicodedata
from typing import Final, TypeGuard

LONGEST_NAME: Final = 255
_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})  # controls, line and paragraph separators


def is_name(value: object) -> TypeGuard[str]:
    """Whether `value` is a string of 1 to 255 characters, none of them a control character."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_NAME
        and not any(unicodedata.category(c) in _BREAKING for c in value)
    )
