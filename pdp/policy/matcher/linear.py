r"""Matches regular expressions of `re` with RE2, in linear time, where both give the same answer.

The expression is written anew from `re`'s own tree, its classes as the characters that `re` says
they have. Left out is what RE2 lacks (back references, atomic parts, look-arounds but for those at
the next character, which is narrowed instead), what differs (`\b`, most flags, a repeat that can
turn without reading), and `$` anywhere but at an end.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import pairwise
from typing import Any, Final

import re2

from pdp.policy.matcher.characters import parse

_MOST_TEXT: Final = 1 << 19
_MOST_COPIES: Final = 256  # of characters in bounded repeats: RE2 can read in as many ways at once
_MOST_MEMORY: Final = 1 << 20  # bytes; it bounds the program, and so the time per character
_FLAGS: Final = int(re.UNICODE | re.VERBOSE | re.DOTALL)
_LAST: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)
_NEVER: Final = rf"[^\x{{0}}-\x{{{_LAST:x}}}]"
_ALONE: Final = re.compile("[\ud800-\udfff]")
_STAND_IN: Final = 0xFDD0  # no character: UTF-8 has it, but no surrogate
_CATEGORIES: Final = {"DIGIT": r"\d+", "SPACE": r"\s+", "WORD": r"\w+"}
_NO_LOOKS: Final = "a look-around, a back reference or an atomic part"
_TOO_LARGE: Final = "a size that is too large"
_PLACES: Final = {
    "AT_BEGINNING": r"\A",
    "AT_BEGINNING_STRING": r"\A",
    "AT_END_STRING": r"\z",
}
_compile: Any = re2.compile  # no stubs, either
_parser: Any = importlib.import_module("re._parser")  # no stubs; `sre_parse` is its old name

_LOOK_NOT: Final = _parser.ASSERT_NOT

Range = tuple[int, int]


def compile_linear(expression: str) -> Callable[[Any], bool]:
    """Whether a text begins with a match; ValueError, saying why, if RE2 is not known to tell."""
    tree = parse(expression)
    if _copies(tree) > _MOST_COPIES:
        raise ValueError(_TOO_LARGE)
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = _MOST_MEMORY, True, False
    try:
        match = _compile(_sequence(tree, tree.state.flags, end=True).encode(), options).match
    except (re2.error, RecursionError):
        raise ValueError(_TOO_LARGE) from None
    return lambda value: match(_encode(value)) is not None


def _copies(items: Iterable[Any], times: int = 1) -> int:
    """How many characters are written more than once, each time counted."""
    found = 0
    for op, argument in items:
        name = str(op)
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, body = argument
            found += _copies(body, times * max(least if most is _parser.MAXREPEAT else most, 1))
        elif name == "SUBPATTERN":
            found += _copies(argument[3], times)
        elif name == "BRANCH":
            found += sum(_copies(choice, times) for choice in argument[1])
        elif name != "AT" and times > 1:
            found += times
    return found


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
    pairs, written = list(items), ""
    for n, (op, argument) in enumerate(pairs, 1):
        if (allowed := _next(str(op), argument, flags)) is not None:
            written += _begun(pairs[n:], allowed, flags, end=end, or_end=op is _LOOK_NOT)
            break
        written += _item(str(op), argument, flags, end=end and n == len(pairs))
    if len(written) > _MOST_TEXT:  # what stands behind a look can be written twice
        raise ValueError(_TOO_LARGE)
    return written


def _next(op: str, argument: Any, flags: int) -> list[Range] | None:
    """The characters that a look at the next one lets pass; None if the item is none."""
    if op not in ("ASSERT", "ASSERT_NOT") or argument[0] < 0 or len(argument[1]) != 1:
        return None
    ranges = _ranges(str(argument[1][0][0]), argument[1][0][1], flags)
    return ranges if ranges is None or op == "ASSERT" else _others(ranges)


def _begun(pairs: list[Any], allowed: list[Range], flags: int, *, end: bool, or_end: bool) -> str:
    """The items where the next character is one of these, or there is none if that is allowed."""
    if not pairs:
        raise ValueError(_NO_LOOKS)
    (op, argument), rest = pairs[0], pairs[1:]
    begun = partial(_begun, allowed=allowed, flags=flags, end=end, or_end=or_end)
    if (ranges := _ranges(str(op), argument, flags)) is not None:
        common = _common(ranges, allowed)
        return _class(common) + _sequence(rest, flags, end=end) if common else _NEVER
    if (further := _next(str(op), argument, flags)) is not None:
        or_end = or_end and op is _LOOK_NOT
        return _begun(rest, _common(allowed, further), flags, end=end, or_end=or_end)
    if str(op) == "SUBPATTERN" and not (argument[1] or argument[2]):
        return begun([*argument[3], *rest])
    if str(op) == "BRANCH" and sum(c.getwidth()[0] == 0 for c in argument[1]) <= 1:
        return _either(begun([*choice, *rest]) for choice in argument[1])
    if str(op) in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] and argument[2].getwidth()[0]:
        least, most, body = argument
        others = most if most is _parser.MAXREPEAT else most - 1
        turn = begun([*body, (op, (max(least - 1, 0), others, body)), *rest])
        return turn if least else _either([turn, begun(rest)])
    if str(argument) == "AT_END_STRING":
        return r"\z" + _sequence(rest, flags, end=end) if or_end else _NEVER
    raise ValueError(_NO_LOOKS)


def _either(choices: Iterable[str]) -> str:
    return f"(?:{'|'.join(choice for choice in choices if choice != _NEVER) or _NEVER})"


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
        raise ValueError(_NO_LOOKS)
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
        found = _categories()[kind.removeprefix("NOT_")]
        return _others(found) if kind.startswith("NOT_") else found
    return [argument if op == "RANGE" else (argument, argument)]


@cache
def _categories() -> dict[str, list[Range]]:
    """What `re` has in each category; it takes a quarter of a second, once a policy needs it."""
    every = "".join(map(chr, range(_LAST + 1)))
    return {
        name: [(found.start(), found.end() - 1) for found in re.finditer(category, every)]
        for name, category in _CATEGORIES.items()
    }


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


def _common(left: list[Range], right: list[Range]) -> list[Range]:
    return _others(_merged([*_others(left), *_others(right)]))


def _class(ranges: list[Range]) -> str:
    """A class of RE2's, which must have all surrogates and their stand-in, or none of them."""
    if not ranges:
        return _NEVER
    alone = [r for r in ranges if r[0] <= _SURROGATES[1] and r[1] >= _SURROGATES[0]]
    whole = any(low <= _SURROGATES[0] and high >= _SURROGATES[1] for low, high in alone)
    stands_in = any(low <= _STAND_IN <= high for low, high in ranges)
    if bool(alone) != whole or whole != stands_in:
        raise ValueError("half a character")
    return f"[{''.join(_spelt(ranges))}]"


def _spelt(ranges: Iterable[Range]) -> Iterator[str]:
    for low, high in ranges:
        yield rf"\x{{{low:x}}}-\x{{{high:x}}}"
