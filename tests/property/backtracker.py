"""A backtracking engine that goes all ways and counts them, to judge what is foretold of `re`'s."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

PARSER: Any = importlib.import_module("re._parser")
COMPILER: Any = importlib.import_module("re._compiler")
SINGLES: dict[tuple[str, str, int], re.Pattern[str]] = {}


def single(op: str, argument: Any, flags: int) -> re.Pattern[str]:
    """The expression of one item that reads a character."""
    key = op, repr(argument), flags
    if key not in SINGLES:
        state = PARSER.State()
        state.flags, state.str = flags, ""
        item = PARSER.SubPattern(state, [(getattr(PARSER, op), argument)])
        SINGLES[key] = COMPILER.compile(item, flags)
    return SINGLES[key]


class Backtracker:
    """Reads a value as `re` does, without what it skips, and counts the characters it tries."""

    def __init__(self, value: str) -> None:
        self.value, self.tried = value, 0

    def steps(self, text: str) -> int:
        """Of all ways: none of them is let succeed."""
        tree, limit = PARSER.parse(text), sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, 20 * len(self.value)))
        try:
            for _ in self.read(list(tree), 0, tree.state.flags):
                pass
        finally:
            sys.setrecursionlimit(limit)
        return self.tried

    def read(self, items: list[Any], at: int, flags: int) -> Iterator[int]:
        """Every place where a way through the items ends, as often as there are ways."""
        if not items:
            yield at
            return
        (op, argument), rest = items[0], items[1:]
        for end in self.item(str(op), argument, at, flags):
            yield from self.read(rest, end, flags)

    def item(self, op: str, argument: Any, at: int, flags: int) -> Iterator[int]:
        if op == "SUBPATTERN":
            yield from self.read(list(argument[3]), at, (flags | argument[1]) & ~argument[2])
        elif op == "BRANCH":
            for choice in argument[1]:
                yield from self.read(list(choice), at, flags)
        elif op in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from self.turns(*argument, at, flags)
        elif op in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            yield from self.first(op, argument, at, flags)
        elif op in ("ASSERT", "ASSERT_NOT"):
            if self.looks(argument, at, flags) is (op == "ASSERT"):
                yield at
        elif op == "AT":
            yield at  # more ways than `re` has
        else:
            yield from self.character(op, argument, at, flags)

    def turns(self, least: int, most: int, body: Any, at: int, flags: int) -> Iterator[int]:
        if most:
            for end in self.read(list(body), at, flags):
                if end > at or least > 0:
                    yield from self.turns(max(least - 1, 0), most - 1, body, end, flags)
        if not least:
            yield at

    def first(self, op: str, argument: Any, at: int, flags: int) -> Iterator[int]:
        inside = (
            self.turns(*argument, at, flags)
            if op == "POSSESSIVE_REPEAT"
            else self.read(list(argument), at, flags)
        )
        yield from list(inside)[:1]  # `re` stops at the first; this tries all

    def looks(self, argument: Any, at: int, flags: int) -> bool:
        direction, body = argument
        start = at if direction > 0 else at - body.getwidth()[0]
        return start >= 0 and bool(list(self.read(list(body), start, flags)))

    def character(self, op: str, argument: Any, at: int, flags: int) -> Iterator[int]:
        self.tried += 1
        if at < len(self.value) and single(op, argument, flags).match(self.value[at]):
            yield at + 1
