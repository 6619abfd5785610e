r"""Finds regular expressions whose matching takes exponential or cubic time, by their automaton.

The automaton of positions (Glushkov's) has a state for every character class. Exponential: a loop
that reads some word in two ways. Cubic and worse: three loops of one class each, in a row, of which
each can read what lies between it and the next.

Only what is known to be bad is found. Look-arounds, `\b`, back references, atomic and possessive
parts are walls that no word passes (they are looked into), case is not folded, and a pattern of
more than MOST_STATES is let through, as is what shows only beyond MOST_PAIRS. Two loops in a row,
as in `/*/tree/*`, take quadratic time and are accepted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, product
from operator import itemgetter
from typing import Any, Final

from pdp.policy.checks.characters import characters

MOST_STATES: Final = 500
MOST_PAIRS: Final = 2_000
_LONG: Final = 10  # a bounded repeat of more than these is as good as unbounded, inside a loop
_LOOPS: Final = 3  # in a row: one for each power of the subject's length

# What is looked into, but is a wall to what stands around it: where its own items are.
_WALLS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "ASSERT": itemgetter(-1),
    "ASSERT_NOT": itemgetter(-1),
    "POSSESSIVE_REPEAT": itemgetter(-1),
    "ATOMIC_GROUP": lambda items: items,
}

_parser: Any = importlib.import_module("re._parser")  # no stubs; `sre_parse` is its old name


@lru_cache(maxsize=1 << 17)
def blow_up(expression: str) -> str | None:
    """`exponential` or `cubic` if matching `expression` can take so long, None if not known to.

    The expression must compile.
    """
    repeats = sum(map(expression.count, "*+{"))
    if not repeats or (repeats < _LOOPS and "(" not in expression):
        return None
    automaton = _Automaton()
    try:
        automaton.sequence(_parser.parse(expression))
    except (_TooLarge, RecursionError):
        return None
    if automaton.reads_in_two_ways():
        return "exponential"
    return "cubic" if automaton.loops_in_a_row() >= _LOOPS else None


class _TooLarge(Exception):
    """More states than are worth looking at."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part begins and ends with, and in how many ways it can be empty: 2 are many."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    empty: int = 1


@dataclass(slots=True)
class _Automaton:
    """States are numbers; `follow` holds a state as often as there are ways to it."""

    sets: list[int] = field(default_factory=list)
    follow: list[list[int]] = field(default_factory=list)
    bounded: set[int] = field(default_factory=set)
    steps: int = 0

    def sequence(self, items: Iterable[Any]) -> _Part:
        """The parts that stand one behind the other."""
        whole = _Part()
        for op, argument in items:
            whole = self._then(whole, self._item(str(op), argument))
        return whole

    def _then(self, left: _Part, right: _Part) -> _Part:
        self._connect(left.last, right.first)
        first = left.first + _times(right.first, left.empty)
        last = _times(left.last, right.empty) + right.last
        return _Part(first, last, min(2, left.empty * right.empty))

    def _connect(self, sources: Iterable[int], targets: tuple[int, ...]) -> None:
        for source in sources:
            self.follow[source].extend(targets)

    def _item(self, op: str, argument: Any) -> _Part:
        self.steps += 1
        if self.steps > MOST_STATES:
            raise _TooLarge
        if op == "SUBPATTERN":
            return self.sequence(argument[-1])
        if op == "BRANCH":
            return self._branch(argument[1])
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeat(*argument)
        if op in _WALLS:
            self.sequence(_WALLS[op](argument))
        return self._state(characters(op, argument))

    def _state(self, characters: int) -> _Part:
        self.sets.append(characters)
        self.follow.append([])
        state = (len(self.sets) - 1,)
        return _Part(state, state, empty=0)

    def _branch(self, choices: Iterable[Any]) -> _Part:
        parts = [self.sequence(choice) for choice in choices]
        return _Part(
            tuple(state for part in parts for state in part.first),
            tuple(state for part in parts for state in part.last),
            min(2, sum(part.empty for part in parts)),
        )

    def _repeat(self, least: int, most: int, body: Any) -> _Part:
        """Copies one behind the other; the last is a loop, or those after `least` may be left out.

        A fixed number of copies is cut to `_LONG`.
        """
        before, endless = len(self.sets), most > _LONG and most != least
        count = min(max(least, 1) if endless else most, _LONG)
        copies = [self.sequence(body) for _ in range(count)]
        for left, right in pairwise(copies):
            self._connect(left.last, right.first)
        if endless and most is not _parser.MAXREPEAT:
            self.bounded.update(range(before, len(self.sets)))
        if not copies:
            return _Part()
        if endless:
            self._connect(copies[-1].last, copies[-1].first)
        ends = copies[max(0, min(least, count) - 1) :]
        last = tuple(state for part in ends for state in part.last)
        return _Part(copies[0].first, last, 1 if least == 0 else copies[0].empty)

    def reads_in_two_ways(self) -> bool:
        """Whether a loop can read a word in two ways, so that every turn doubles the work."""
        inside = self._inside_loops()
        if any(len(nexts) > len(set(nexts)) for nexts in inside):
            return True
        before: dict[tuple[int, int], list[tuple[int, int]]] = {}  # not all: true, if not complete
        twins = [(state, state) for state, nexts in enumerate(inside) if nexts]
        todo, seen = list(twins), set(twins)
        while todo and len(before) < MOST_PAIRS:
            pair = todo.pop()
            for both in product(inside[pair[0]], inside[pair[1]]):
                if self.sets[both[0]] & self.sets[both[1]]:
                    before.setdefault(both, []).append(pair)
                    if both not in seen:
                        seen.add(both)
                        todo.append(both)
        apart = _closure(twins, lambda pair: before.get(pair, ()))
        return any(left != right for left, right in apart)

    def _inside_loops(self) -> list[list[int]]:
        """`follow`, but only where the way leads back."""
        ways = self._ways()
        return [
            [n for n in nexts if self.sets[n] and state in ways[n]]
            for state, nexts in enumerate(self.follow)
        ]

    def _ways(self) -> list[set[int]]:
        """Where each state leads, itself included."""
        follow = [set(nexts) for nexts in self.follow]
        return [_closure([state], follow.__getitem__) for state in range(len(follow))]

    def loops_in_a_row(self) -> int:
        """The most loops of one class, each sharing with the next a word that leads there."""
        ways, length = self._ways(), dict[int, int]()
        for state, nexts in enumerate(self.follow):
            if state in nexts and state not in self.bounded:
                before = (length[e] + self._shares(e, state) for e in length if state in ways[e])
                length[state] = max(before, default=1)
        return max(length.values(), default=0)

    def _shares(self, left: int, right: int) -> bool:
        """Whether both loops can read what lies between them."""
        common = self.sets[left] & self.sets[right]

        def passable(state: int) -> Iterator[int]:
            return (n for n in self.follow[state] if self.sets[n] & common)

        return right in _closure(passable(left), passable) if common else False


def _times(states: tuple[int, ...], ways: int) -> tuple[int, ...]:
    """The states, as often as there are ways to them."""
    return states if ways == 1 else tuple(dict.fromkeys(states)) * ways


def _closure(starts: Iterable[Any], nexts: Any) -> set[Any]:
    """Everything that can be reached, the starts included."""
    todo = list(starts)
    seen = set(todo)
    while todo:
        fresh = set(nexts(todo.pop())) - seen
        seen |= fresh
        todo.extend(fresh)
    return seen
