r"""The automaton of positions (Glushkov's) of a regular expression, for counting its ways.

It has a state for each character class; the states stand in the order of the expression, and only
loops lead back. INVARIANT: no way to read a value is left out. `\b` and look-arounds only end ways,
so what is not known of them lets everything pass; an atomic part, outside of loops, is a state
that reads anything and is left in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from pdp.policy.matcher.characters import EVERY, may_not_read, may_read

_MOST_STATES: Final = 400
_MOST_EDGES: Final = 10_000
_MOST_COPIES: Final = 16  # of a bounded repeat; one of more is taken for an endless one


class UnprovenError(Exception):
    """Something that is not understood, or too large to be looked at."""


class Way(NamedTuple):
    """A way to a state, or out of a part: what may be read next, and what it costs to try."""

    state: int
    characters: int
    cost: int


@dataclass(frozen=True, slots=True)
class Part:
    """The ways into a part, those out of it, and those through it without reading."""

    first: tuple[Way, ...] = ()
    last: tuple[Way, ...] = ()
    empty: tuple[Way, ...] = (Way(-1, EVERY, 0),)


_NOTHING: Final = Part()


@dataclass(slots=True)
class Automaton:
    """States are numbers; `follow` holds the ways from each.

    `count` tells the ways of another automaton; `costs` are those inside an atomic part, 0 for any
    other state. `loops` tells where the outermost loops begin and end.
    """

    count: Callable[[Automaton, Part], int]
    sets: list[int] = field(default_factory=list)
    follow: list[list[Way]] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    loops: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0
    edges: int = 0

    def sequence(self, items: Iterable[Any], flags: int) -> Part:
        """The parts that stand one behind the other."""
        whole = _NOTHING
        for op, argument in items:
            whole = self._then(whole, self._item(str(op), argument, flags))
        return whole

    def _then(self, left: Part, right: Part) -> Part:
        if left is _NOTHING:
            return right
        self._connect(left.last, right.first)
        first, last = left.first, right.last
        if left.empty:
            first += self._joined(left.empty, right.first, to=True)
        if right.empty:
            last = self._joined(left.last, right.empty, to=False) + last
        return Part(first, last, self._joined(left.empty, right.empty, to=False))

    def _connect(self, sources: tuple[Way, ...], targets: tuple[Way, ...]) -> None:
        for source in sources:
            self.follow[source.state].extend(self._joined((source,), targets, to=True))

    def _joined(self, left: Sequence[Way], right: Sequence[Way], *, to: bool) -> tuple[Way, ...]:
        """Each of the left with each of the right behind it, to the right's state or the left's."""
        self.edges += len(left) * len(right)
        if self.edges > _MOST_EDGES:
            raise UnprovenError
        return tuple(
            Way((r if to else w).state, self._both(w, r), w.cost + r.cost)
            for w in left
            for r in right
        )

    def _both(self, left: Way, right: Way) -> int:
        """What may be read behind two ways; an atomic part may read nothing, whatever comes."""
        if right.state >= 0 and self.costs[right.state]:
            return EVERY
        return left.characters & right.characters

    def _item(self, op: str, argument: Any, flags: int) -> Part:
        if op == "SUBPATTERN":
            _, added, removed, body = argument
            return self.sequence(body, (flags | added) & ~removed)
        if op == "BRANCH":
            return _branch([self.sequence(choice, flags) for choice in argument[1]])
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeat(argument, flags)
        if op == "AT":
            return _NOTHING
        if op in ("ASSERT", "ASSERT_NOT"):
            return self._look(op, argument, flags)
        if op in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            return self._atomic(op, argument, flags)
        characters = may_read(op, argument, flags)
        if characters is None:
            raise UnprovenError  # a back reference, or news
        return self._state(characters)

    def _state(self, characters: int, cost: int = 0) -> Part:
        if len(self.sets) == _MOST_STATES:
            raise UnprovenError
        self.sets.append(characters)
        self.follow.append([])
        self.costs.append(cost)
        state = len(self.sets) - 1
        return Part((Way(state, characters, 1),), (Way(state, EVERY, 0),), ())

    def _look(self, op: str, argument: Any, flags: int) -> Part:
        """It reads nothing; one that looks at one character tells what can be read next."""
        direction, items = argument
        inside = Automaton(self.count)
        cost = self._inside(inside, inside.sequence(items, flags))
        characters = EVERY
        if direction > 0 and len(items) == 1:
            tell = may_read if op == "ASSERT" else may_not_read
            found = tell(str(items[0][0]), items[0][1], flags)
            characters = EVERY if found is None else found
        return Part(empty=(Way(-1, characters, cost),))

    def _inside(self, inside: Automaton, whole: Part) -> int:
        self.edges += inside.edges
        return self.count(inside, whole)

    def _repeat(self, argument: Any, flags: int) -> Part:
        """Copies one behind the other, those after `least` optional; or one that is a loop."""
        least, most, body = argument
        endless, before = most > _MOST_COPIES, len(self.sets)
        self.depth += endless
        copies = [self.sequence(body, flags) for _ in range(1 if endless else most)]
        self.depth -= endless
        if not copies:
            return _NOTHING
        if copies[0].empty and most > 1:
            raise UnprovenError  # `re` has rules of its own for a turn that reads nothing
        for left, right in [(copies[0], copies[0])] if endless else pairwise(copies):
            self._connect(left.last, right.first)
        if endless and not self.depth:
            self.loops.append((before, len(self.sets)))
        ends = copies[:1] if endless else copies[max(least, 1) - 1 :]
        last = tuple(way for part in ends for way in part.last)
        return Part(copies[0].first, last, copies[0].empty + (_NOTHING.empty if least == 0 else ()))

    def _atomic(self, op: str, argument: Any, flags: int) -> Part:
        """It is left in one way, after whatever it read."""
        if self.depth:
            raise UnprovenError
        inside = Automaton(self.count)
        repeats = op == "POSSESSIVE_REPEAT"
        whole = inside._repeat(argument, flags) if repeats else inside.sequence(argument, flags)
        return self._state(EVERY, self._inside(inside, whole))


def _branch(parts: Sequence[Part]) -> Part:
    return Part(
        tuple(way for part in parts for way in part.first),
        tuple(way for part in parts for way in part.last),
        tuple(way for part in parts for way in part.empty),
    )
