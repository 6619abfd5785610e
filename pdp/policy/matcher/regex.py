"""Regular expressions that take linear time: `re` where that is proven, RE2 for others."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from pdp.policy.matcher.backtracking import is_safe
from pdp.policy.matcher.characters import parse
from pdp.policy.matcher.linear import compile_linear

Match = Callable[[Any], bool]

# Text up to here is read as it stands, and what comes next ends it.
_BEGINNING: Final = re.compile(r"\^?([^\\.|+?*^$()\[\]{}]*)(?:\[\^|\.|\$?\Z)")
_WIDTHLESS: Final = ("AT", "ASSERT", "ASSERT_NOT")


class CatastrophicPattern(ValueError):
    """A pattern that is not proven to take `re` linear time, and that RE2 does not match."""


def pattern_code(error: ValueError) -> str:
    """The code of the problem that a pattern is which cannot be compiled."""
    return "catastrophic-pattern" if isinstance(error, CatastrophicPattern) else "bad-pattern"


@lru_cache(maxsize=1 << 17)
def compile_regex(expression: str) -> Match:
    """Whether a text begins with a match, in linear time, as `re.match` tells.

    ValueError for what is no regular expression; CatastrophicPattern if there is no fast way.
    """
    compiled = _compile(expression)
    if is_safe(expression):
        return lambda value: compiled.match(value) is not None
    try:
        return compile_linear(expression)
    except ValueError as error:
        raise CatastrophicPattern(
            f"can take more than linear time, and RE2 does not match it: it has {error}"
        ) from None


def compile_groups(expression: str) -> re.Pattern[str]:
    """A regular expression whose groups matter, so that only `re` will do; raises likewise."""
    compiled = _compile(expression)
    if not is_safe(expression):
        raise CatastrophicPattern("can take more than linear time, and its groups keep it from RE2")
    return compiled


def _compile(expression: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[[`: it means what it says
            return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None


def literal_prefix(expression: str) -> str:
    """The text that whatever matches at its beginning begins with; the expression must compile."""
    begins = None if "|" in expression else _BEGINNING.match(expression)
    if begins:
        return begins.group(1)
    tree = parse(expression)
    return "" if tree.state.flags & re.IGNORECASE else _prefix(tree)[0]


def _prefix(items: Iterable[Any]) -> tuple[str, bool]:
    """What a match of the items begins with, and whether that is all of it."""
    text = ""
    for op, argument in items:
        name, more, whole = str(op), "", True
        if name == "LITERAL":
            more = chr(argument)
        elif name == "SUBPATTERN" and not argument[1] & re.IGNORECASE:
            more, whole = _prefix(argument[-1])
        elif name not in _WIDTHLESS:  # what alternatives share the parser has put before them
            whole = False
        text += more
        if not whole:
            return text, False
    return text, True
