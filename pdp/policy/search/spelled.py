"""Which texts a pattern spells out: `/docs/faq`, or GET and POST of `^(GET|POST)$`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Final

from pdp.policy.matcher.characters import parse

WILDCARD: Final = "*"  # what a rule has where anything goes: no name, unless it is listed as one
MOST: Final = 64  # texts that one regular expression spells out
_SIGNS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "keyMatch": re.compile(r"\*"),
        "keyMatch2": re.compile(r"[*^$+?|()\[\]{}\\]|(?:^|/):"),
        "globMatch": re.compile(r"[*?\[\]{}\\]"),
        "ipMatch": re.compile("/"),
    }
)
_OTHERS: Final = re.compile(r"[*^$+?|()\[\]{}\\]")


def spelled(function: str | None, text: str) -> Iterable[str]:
    """The names that a text of the policy spells out, as a pattern of `function` if one is given.

    A pattern that stands for more than can be written down spells nothing.
    """
    if text == WILDCARD:
        return ()
    if function is None:
        return (text,)
    if function == "regexMatch":
        return _texts(text)
    return () if _SIGNS.get(function, _OTHERS).search(text) else (text,)


def _texts(expression: str) -> Iterable[str]:
    tree = parse(expression)
    if tree.state.flags & re.IGNORECASE:
        return ()
    found = _sequence(tree)
    return found if found is not None else ()


def _sequence(items: Iterable[Any]) -> list[str] | None:
    """Every text that the items match in sequence; None if those are too many to tell."""
    texts = [""]
    for op, argument in items:
        read = _ITEMS.get(str(op))
        more = read(argument) if read else None
        if more is None or len(texts) * len(more) > MOST:
            return None
        texts = [before + text for before, text in product(texts, more)]
    return texts


def _group(argument: Any) -> list[str] | None:
    return None if argument[1] & re.IGNORECASE else _sequence(argument[-1])


def _branch(argument: Any) -> list[str] | None:
    sides = [_sequence(side) for side in argument[1]]
    return None if None in sides else [text for side in sides for text in side or ()]


def _class(argument: Any) -> list[str] | None:
    plain = all(str(op) == "LITERAL" for op, _ in argument)
    return [chr(code) for _, code in argument] if plain else None


def _repeat(argument: Any) -> list[str] | None:
    least, most, items = argument
    once = _sequence(items) if (int(least), int(most)) == (0, 1) else None
    return None if once is None else ["", *once]


_ITEMS: Final[Mapping[str, Callable[[Any], list[str] | None]]] = MappingProxyType(
    {
        "LITERAL": lambda code: [chr(code)],
        "AT": lambda _place: [""],
        "SUBPATTERN": _group,
        "BRANCH": _branch,
        "IN": _class,
        "MAX_REPEAT": _repeat,
    }
)
