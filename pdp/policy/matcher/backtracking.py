"""Proves that `re` matches an expression in linear time, or does not prove it.

`re` tries the ways to read a value one after the other, and each at most once: their number bounds
its time. Counted are the ways that a value of SIZE characters can have at most, whether they lead
to a match or not, with those inside the look-arounds that they pass. The count is a polynomial of
SIZE without negative terms: if it is few times SIZE, it is no more times any larger size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import product
from operator import or_
from typing import Any, Final, NamedTuple

from pdp.policy.matcher.automaton import Automaton, Part, UnprovenError, Way
from pdp.policy.matcher.characters import BITS, parse

SIZE: Final = 1 << 10
MOST_TIMES: Final = 32  # two loops that share what they read have SIZE
MOST_WAYS: Final = MOST_TIMES * SIZE
_MOST_PAIRS: Final = 4_000
_BARS: Final = 15  # they are looked at one by one: 2**15 ways are too many, however short
_NAMES: Final = 9
# A name that a slash follows, or the end, is left in one way; a star at the end, too.
_PATH: Final = re.compile(
    r"\^?(?:[\w/~ -]|\[\^/\]\+(?=/|\$?\Z)|\.\*(?=\$?\Z)|\\?\.(?![*+?{]))*+\$?"
)


def is_safe(expression: str) -> bool:
    """Whether `re` is proven to match the expression, which must compile, soon enough."""
    repeats, bars = sum(map(expression.count, "*+?{")), expression.count("|")
    if repeats == 0 and bars < _BARS and len(expression) << bars <= MOST_WAYS:
        return True
    if repeats == 1 and "(" not in expression and len(expression) < MOST_TIMES:
        return True  # one loop, and what comes next is tried behind each of its turns
    if repeats <= _NAMES and len(expression) <= SIZE and _PATH.fullmatch(expression):
        return True
    try:
        return count_ways(expression) <= MOST_WAYS
    except (UnprovenError, RecursionError):
        return False


def count_ways(expression: str, size: int = SIZE) -> int:
    """How many characters `re` reads or tries at most, of a text of `size` or fewer.

    UnprovenError if that is not found out.
    """
    tree = parse(expression)
    automaton = Automaton(partial(_ways, size))
    return _ways(size, automaton, automaton.sequence(tree, tree.state.flags))


def _ways(size: int, automaton: Automaton, whole: Part) -> int:
    count = _Count(size, automaton, whole.last)
    ends = sum(1 + way.cost for way in whole.empty)
    return 1 + ends + _cost(whole.first) + count.sum(count.onward(whole.first))


class _Onward(NamedTuple):
    """The ways to go on before the next loop, and those into each next loop, by its first state."""

    near: int
    into: dict[int, int]


class _Count:
    """The ways behind each state, itself included, counted from the last to the first.

    `once` tells those behind a loop entered once; `often` those behind one that is entered at any
    number of characters, but no character is then read by two of these turns.
    """

    def __init__(self, size: int, automaton: Automaton, last: Iterable[Way]) -> None:
        self.size, self.follow = size, automaton.follow
        self.costs, self.sets = automaton.costs, automaton.sets
        self.tries = [1 + _cost(ways) for ways in self.follow]
        for way in last:
            self.tries[way.state] += 1 + way.cost
        self.behind = [_Onward(0, {})] * len(self.follow)
        self.once, self.often, self.reads = dict[int, int](), dict[int, int](), dict[int, int]()
        loops = {high: low for low, high in automaton.loops}
        state = len(self.follow)
        while state:
            low = loops.get(state, state - 1)
            if state in loops:
                self._loop(low, state)
                self.behind[low:state] = [_Onward(0, {low: 1})] * (state - low)
            else:
                near, into = self.onward(self.follow[low])
                self.behind[low] = _Onward(self.costs[low] + self.tries[low] + near, into)
            state = low

    def sum(self, onward: _Onward) -> int:
        """All ways, through whatever loops."""
        return onward.near + sum(ways * self.once[loop] for loop, ways in onward.into.items())

    def onward(self, ways: Sequence[Way]) -> _Onward:
        """The ways to go on with any one of the characters that these read."""
        if len(ways) == 1:
            return self.behind[ways[0].state]
        loops = {loop for way in ways for loop in self.behind[way.state].into}
        apart = _apart(ways)
        return _Onward(
            _most([(way.characters, self.behind[way.state].near) for way in ways], apart),
            {
                loop: _most(
                    [(way.characters, self.behind[way.state].into.get(loop, 0)) for way in ways],
                    apart,
                )
                for loop in loops
            },
        )

    def _loop(self, low: int, high: int) -> None:
        """Counts a loop, whose states are these."""
        inside = {s: [way for way in self.follow[s] if way.state < high] for s in range(low, high)}
        outside = [[way for way in self.follow[s] if way.state >= high] for s in inside]
        sure = all(map(_apart, inside.values()))
        if not sure and _reads_in_two_ways(inside):
            raise UnprovenError
        pairs = (product(*both) for both in zip(inside.values(), outside, strict=True))
        left_once = all(not i.characters & o.characters for both in pairs for i, o in both)
        leave = _worst([self.onward(ways) for ways in outside])
        # INVARIANT: no two ways lead to one state, so that there is one to each.
        turns, tries = self.size * (1 if sure else high - low), max(self.tries[low:high])
        self.reads[low] = reduce(or_, self.sets[low:high])
        self.often[low] = turns * (tries + self.sum(leave))
        if sure and left_once:
            self.once[low] = turns * tries + self.sum(leave)
        else:
            self.once[low] = turns * (tries + leave.near) + sum(
                ways * self._through(low, high, turns, loop) for loop, ways in leave.into.items()
            )

    def _through(self, low: int, high: int, turns: int, other: int) -> int:
        """The ways of a loop into another and behind it, in all turns.

        If they share no character, only those turns meet there that end within the states between.
        """
        if self.reads[low] & self.reads[other] or any(self.costs[high:other]):
            return turns * self.once[other]
        return turns // self.size * (other - high + 1) * self.often[other]


def _cost(ways: Iterable[Way]) -> int:
    """What it costs to try all ways, whether they can be gone or not."""
    return sum(way.cost for way in ways)


def _most(read: Sequence[tuple[int, int]], apart: bool) -> int:
    """The most ways that one character has, of those of these characters."""
    if apart:
        return max((ways for _, ways in read), default=0)
    return max(sum(ways for s, ways in read if s >> bit & 1) for bit in range(BITS))


def _worst(choices: Sequence[_Onward]) -> _Onward:
    """No fewer ways than any of these has."""
    loops = {loop for choice in choices for loop in choice.into}
    into = {loop: max(choice.into.get(loop, 0) for choice in choices) for loop in loops}
    return _Onward(max(choice.near for choice in choices), into)


def _reads_in_two_ways(inside: dict[int, list[Way]]) -> bool:
    """Whether two ways of a loop lead from one state to another with the same characters."""
    if any(len(ways) > len({way.state for way in ways}) for ways in inside.values()):
        return True
    before: dict[tuple[int, int], list[tuple[int, int]]] = {}
    twins = [(state, state) for state in inside]

    def steps(pair: tuple[int, int]) -> Iterator[tuple[int, int]]:
        for one, other in product(inside[pair[0]], inside[pair[1]]):
            if one.characters & other.characters:
                before.setdefault((one.state, other.state), []).append(pair)
                yield one.state, other.state

    _reached(twins, steps)
    return any(left != right for left, right in _reached(twins, lambda pair: before.get(pair, ())))


def _reached(starts: Iterable[Any], steps: Callable[[Any], Iterable[Any]]) -> set[Any]:
    """Everything that can be reached, the starts included."""
    todo, seen = list(starts), set(starts)
    while todo:
        fresh = set(steps(todo.pop())) - seen
        seen |= fresh
        todo.extend(fresh)
        if len(seen) > _MOST_PAIRS:
            raise UnprovenError
    return seen


def _apart(ways: Iterable[Way]) -> bool:
    """Whether no two of them share a character."""
    seen = 0
    for way in ways:
        if way.characters & seen:
            return False
        seen |= way.characters
    return True
