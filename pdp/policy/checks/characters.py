"""The characters that an item of a regular expression reads, as the bits of a number.

The lower half is ASCII; the upper holds all other characters, folded together.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import Any, Final

_HALF: Final = 128
_ABOVE: Final = ((1 << _HALF) - 1) << _HALF
_ALL: Final = (1 << 2 * _HALF) - 1


def _matched(category: str) -> int:
    return sum(1 << code for code in range(_HALF) if re.match(category, chr(code)))


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": _matched(r"\d"),
    "CATEGORY_NOT_DIGIT": _matched(r"\D") | _ABOVE,
    "CATEGORY_SPACE": _matched(r"\s"),
    "CATEGORY_NOT_SPACE": _matched(r"\S") | _ABOVE,
    "CATEGORY_WORD": _matched(r"\w") | _ABOVE,
    "CATEGORY_NOT_WORD": _matched(r"\W"),
}


def characters(op: str, argument: Any) -> int:
    """What an item of `re`'s own tree reads; nothing if it is no character."""
    if op == "ANY":
        return _ALL & ~_bit(ord("\n"))
    if op == "LITERAL":
        return _bit(argument)
    if op == "NOT_LITERAL":
        return _ALL & ~_bit(argument)
    if op == "RANGE":
        return _range(*argument)
    if op == "CATEGORY":
        return _CATEGORIES.get(str(argument), 0)
    return _class(argument) if op == "IN" else 0


def _class(items: Any) -> int:
    negated = str(items[0][0]) == "NEGATE"
    found: int = reduce(or_, (characters(str(op), item) for op, item in items[negated:]), 0)
    return _ALL & ~found if negated else found


def _range(low: int, high: int) -> int:
    below = sum(1 << code for code in range(low, min(high + 1, _HALF)))
    return below | _ABOVE if high >= _HALF else below


def _bit(code: int) -> int:
    return 1 << (code if code < _HALF else _HALF + code % _HALF)
