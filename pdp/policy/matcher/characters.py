r"""The characters that an item of a regular expression may read, as the bits of a number.

ASCII has a bit for each character; all others share four, by what `\d`, `\w` and `\s` say of
them. Never too few are told: an item that reads one of those that share a bit has the bit.
"""

from __future__ import annotations

import importlib
import re
import warnings
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Final

_parser: Any = importlib.import_module("re._parser")  # no stubs; `sre_parse` is its old name
_HALF: Final = 128
# One that stands for all others that are a digit, another word character, a space, or none.
_OTHERS: Final = ("\u0661", "\u00e9", "\u2003", "\u2014")
BITS: Final = _HALF + len(_OTHERS)
_ABOVE: Final = (1 << BITS) - (1 << _HALF)
EVERY: Final = (1 << BITS) - 1
_NEWLINE: Final = 1 << ord("\n")
_LETTERS: Final = sum(1 << code for code in range(_HALF) if chr(code).isalpha())
_CASE: Final = ord("a") - ord("A")
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def parse(expression: str) -> Any:
    """`re`'s own tree of an expression, which must compile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `[[`: it means what it says
        return _parser.parse(expression)


def may_read(op: str, argument: Any, flags: int) -> int | None:
    """What an item of `re`'s own tree may read under these flags; None if it is no character."""
    if op == "ANY":
        return EVERY if flags & re.DOTALL else EVERY & ~_NEWLINE
    if op == "LITERAL":
        return _folded(_range(argument, argument), flags)
    if op == "NOT_LITERAL":
        return may_not_read("LITERAL", argument, flags)
    if op != "IN":
        return None
    if str(argument[0][0]) == "NEGATE":
        return may_not_read(op, argument[1:], flags)
    return _folded(_any_of(argument, flags, _range), flags)


def may_not_read(op: str, argument: Any, flags: int) -> int | None:
    """What such an item may leave out; None if that is not known.

    What it reads for certain, in its own case and of ASCII, it does not leave out.
    """
    if op == "LITERAL" or (op == "IN" and str(argument[0][0]) != "NEGATE"):
        items = argument if op == "IN" else [(op, argument)]
        return EVERY & ~_any_of(items, flags, _below)
    return None


def _any_of(items: Any, flags: int, characters: Any) -> int:
    """What some item of a class reads; `characters` tells it of a range."""
    found: int = reduce(
        or_,
        (
            characters(*(argument if str(op) == "RANGE" else (argument, argument)))
            if str(op) != "CATEGORY"
            else _category(_CATEGORIES[str(argument)], flags & re.ASCII)
            for op, argument in items
        ),
        0,
    )
    return found


def _below(low: int, high: int) -> int:
    """The ASCII part of a range."""
    above = 1 << min(high + 1, _HALF)
    return max(above - (1 << low), 0) if low < _HALF else 0


def _range(low: int, high: int) -> int:
    if high < _HALF:
        return _below(low, high)
    return _below(low, high) | (_kind(high) if low == high else _ABOVE)


def _kind(code: int) -> int:
    """The bit of one character above ASCII."""
    kinds = [re.match(category, chr(code)) is not None for category in (r"\d", r"\w", r"\s", "")]
    return 1 << _HALF + kinds.index(True)


@lru_cache(maxsize=16)
def _category(category: str, flags: int) -> int:
    ours = re.compile(category, flags)
    characters = (*map(chr, range(_HALF)), *_OTHERS)
    return sum(1 << n for n, character in enumerate(characters) if ours.match(character))


def _folded(found: int, flags: int) -> int:
    """With all that a letter equals in another case: `k` equals the sign of Kelvin, too."""
    letters = found & _LETTERS
    if not flags & re.IGNORECASE or not (letters or found & _ABOVE):
        return found
    others = _LETTERS if found & _ABOVE else (letters << _CASE | letters >> _CASE) & _LETTERS
    return found | others | _ABOVE
