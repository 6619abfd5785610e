r"""Matches regular expressions of `re` with RE2, in linear time, where both give the same answer.

The expression is written anew from `re`'s own tree, its classes as the characters that `re` says
they have. Left out is what RE2 lacks (look-arounds, back references, atomic parts), what differs
(`\b`, most flags, a repeat that can turn without reading), and `$` anywhere but at an end.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import re2

_MOST_MEMORY: Final = 1 << 20  # bytes; it bounds the program, and so the time per character
_FLAGS: Final = int(re.UNICODE | re.VERBOSE | re.DOTALL)
_LAST: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)
_ALONE: Final = re.compile("[\ud800-\udfff]")
_STAND_IN: Final = 0xFDD0  # no character: UTF-8 has it, but no surrogate
_CATEGORIES: Final = {"DIGIT": r"\d+", "SPACE": r"\s+", "WORD": r"\w+"}
_PLACES: Final = {
    "AT_BEGINNING": r"\A",
    "AT_BEGINNING_STRING": r"\A",
    "AT_END_STRING": r"\z",
}
_compile: Any = re2.compile  # no stubs, either
_parser: Any = importlib.import_module("re._parser")  # no stubs; `sre_parse` is its old name

Range = tuple[int, int]


def compile_linear(expression: str) -> Callable[[Any], bool]:
    """Whether a text begins with a match; ValueError, saying why, if RE2 is not known to tell."""
    tree = _parser.parse(expression)
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = _MOST_MEMORY, True, False
    try:
        match = _compile(_sequence(tree, tree.state.flags, end=True).encode(), options).match
    except (re2.error, RecursionError):
        raise ValueError("a size that is too large") from None
    return lambda value: match(_encode(value)) is not None


def _encode(value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError("is no text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        return _ALONE.sub(chr(_STAND_IN), value).encode()


def _sequence(items: Iterable[Any], flags: int, *, end: bool) -> str:
    """The items one behind the other; `end` tells that nothing can follow them."""
    if flags & ~_FLAGS:
        raise ValueError("flags")
    pairs = list(items)
    return "".join(
        _item(str(op), argument, flags, end=end and n == len(pairs))
        for n, (op, argument) in enumerate(pairs, 1)
    )


def _item(op: str, argument: Any, flags: int, *, end: bool) -> str:
    if op == "SUBPATTERN":
        _, added, removed, body = argument
        return f"(?:{_sequence(body, (flags | added) & ~removed, end=end)})"
    if op == "BRANCH":
        return f"(?:{'|'.join(_sequence(choice, flags, end=end) for choice in argument[1])})"
    if op in ("MAX_REPEAT", "MIN_REPEAT"):
        return _repeat(argument, flags, end=end)
    if op == "AT":
        return _place(str(argument), end=end)
    ranges = _ranges(op, argument, flags)
    if ranges is None:
        raise ValueError("a look-around, a back reference or an atomic part")
    return _class(ranges)


def _repeat(argument: Any, flags: int, *, end: bool) -> str:
    least, most, body = argument
    if most > 1 and body.getwidth()[0] == 0:
        raise ValueError("a repeat of what can be empty")
    upper = "" if most is _parser.MAXREPEAT else str(most)
    return f"(?:{_sequence(body, flags, end=end and most == 1)}){{{least},{upper}}}"


def _place(place: str, *, end: bool) -> str:
    if place == "AT_END" and end:
        return r"(?:\n?\z)"
    if place not in _PLACES:
        raise ValueError(r"a `\b`, or a `$` before the end")
    return _PLACES[place]


def _ranges(op: str, argument: Any, flags: int) -> list[Range] | None:
    """The characters that an item reads, as ranges in order; None if it reads none."""
    if op == "ANY":
        return _others([] if flags & re.DOTALL else [(10, 10)])
    if op == "LITERAL":
        return [(argument, argument)]
    if op == "NOT_LITERAL":
        return _others([(argument, argument)])
    if op != "IN":
        return None
    negated = str(argument[0][0]) == "NEGATE"
    found = _merged(r for o, a in argument[negated:] for r in _of_class(str(o), a))
    return _others(found) if negated else found


def _of_class(op: str, argument: Any) -> Iterable[Range]:
    if op == "CATEGORY":
        kind = str(argument).removeprefix("CATEGORY_")
        found = _category(_CATEGORIES[kind.removeprefix("NOT_")])
        return _others(found) if kind.startswith("NOT_") else found
    return [argument if op == "RANGE" else (argument, argument)]


@lru_cache(maxsize=16)
def _category(category: str) -> list[Range]:
    every = "".join(map(chr, range(_LAST + 1)))
    return [(found.start(), found.end() - 1) for found in re.finditer(category, every)]


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """The same characters in order, no two ranges touching."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _others(ranges: list[Range]) -> list[Range]:
    bounds = [(-1, -1), *ranges, (_LAST + 1, _LAST + 1)]
    between = [(left[1] + 1, right[0] - 1) for left, right in pairwise(bounds)]
    return [(low, high) for low, high in between if low <= high]


def _class(ranges: list[Range]) -> str:
    """A class of RE2's, which must have all surrogates and their stand-in, or none of them."""
    alone = [r for r in ranges if r[0] <= _SURROGATES[1] and r[1] >= _SURROGATES[0]]
    whole = any(low <= _SURROGATES[0] and high >= _SURROGATES[1] for low, high in alone)
    stands_in = any(low <= _STAND_IN <= high for low, high in ranges)
    if bool(alone) != whole or whole != stands_in or not ranges:
        raise ValueError("half a character")
    return f"[{''.join(_spelt(ranges))}]"


def _spelt(ranges: Iterable[Range]) -> Iterator[str]:
    for low, high in ranges:
        yield rf"\x{{{low:x}}}-\x{{{high:x}}}"
