"""Candidates in ascending order, from wherever a page begins, without those that stand before."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from typing import Final, Protocol

from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, Match, key_prefix
from pdp.policy.matcher.regex import literal_prefix
from pdp.policy.search.opening import Naming

MOST_TRIED: Final = 32  # patterns; with more it is as cheap to judge the id as a whole
Step = tuple[str, bool]  # an id that was looked at, and whether it is a candidate


class Stream(Protocol):
    """Candidates of one origin. Every id that was looked at is told: work must be counted."""

    @property
    def weight(self) -> int:
        """How many names it holds."""
        ...

    def after(self, cursor: str | None) -> Iterator[Step]:
        """The ids behind `cursor`, ascending and distinct."""
        ...


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids that are all candidates, in order."""

    ids: Sequence[str]

    @property
    def weight(self) -> int:
        """How many names it holds."""
        return len(self.ids)

    def after(self, cursor: str | None) -> Iterator[Step]:
        """The ids behind `cursor`, found without going through those before."""
        ids = self.ids
        for place in range(0 if cursor is None else bisect_right(ids, cursor), len(ids)):
            yield ids[place], True


@dataclass(frozen=True, slots=True)
class Fitting:
    """Of `known` ids those that a pattern matches; what has no pattern's beginning is jumped over.

    `matches` maps the beginnings of ids to the patterns of which those are, `beginnings` are the
    same in order, and `lengths` how long they are.
    """

    known: Sequence[str]
    naming: Naming
    matches: dict[str, list[Match]]
    beginnings: Sequence[str]
    lengths: Sequence[int]

    @property
    def weight(self) -> int:
        """How many names it holds."""
        return 2 * len(self.matches)

    def after(self, cursor: str | None) -> Iterator[Step]:
        """The ids behind `cursor` that begin as some pattern does."""
        known, matches, lengths = self.known, self.matches, self.lengths
        place = 0 if cursor is None else bisect_right(known, cursor)
        while place < len(known):
            id_ = known[place]
            groups = [matches[id_[:n]] for n in lengths if n <= len(id_) and id_[:n] in matches]
            if groups:
                name = self.naming.name_of(id_)
                many = sum(map(len, groups)) > MOST_TRIED
                yield id_, many or any(_holds(m, name) for group in groups for m in group)
                place += 1
                continue
            following = bisect_left(self.beginnings, id_)
            if following == len(self.beginnings):
                return
            place = bisect_left(known, self.beginnings[following], place)


def _holds(match: Match, name: str) -> bool:
    try:
        return match(name)
    except ValueError:
        return False


def fitting(
    function: str, patterns: Iterable[str], known: Sequence[str], naming: Naming
) -> Fitting:
    """The ids of `known` that one of the patterns of a function matches under their names."""
    matches: dict[str, list[Match]] = {}
    compiled, prefix = PATTERN_FUNCTIONS[function], _PREFIXES.get(function, _no_prefix)
    for pattern in patterns:
        beginning = _within(prefix(pattern), naming)
        if beginning is not None:
            matches.setdefault(beginning, []).append(compiled(pattern))
    return Fitting(known, naming, matches, sorted(matches), sorted({len(b) for b in matches}))


def _within(prefix: str, naming: Naming) -> str | None:
    """What an id begins with where its name begins with `prefix`; None if no id has such a name."""
    before = naming.before
    if naming.behind or before.startswith(prefix):
        return ""
    return prefix[len(before) :] if prefix.startswith(before) else None


def _no_prefix(_pattern: str) -> str:
    return ""


_PREFIXES: dict[str, Callable[[str], str]] = {
    "keyMatch": lambda pattern: pattern.partition("*")[0],
    "regexMatch": literal_prefix,
    **{f"keyMatch{n}": partial(key_prefix, f"keyMatch{n}") for n in (2, 3, 4, 5)},
}


def merged(streams: Sequence[Stream], cursor: str | None) -> Iterator[Step]:
    """All streams as one, in order; an id is a candidate if it is one in any of them."""
    if len(streams) == 1:
        yield from streams[0].after(cursor)
        return
    last: str | None = None
    fits = False
    for id_, good in merge(*(stream.after(cursor) for stream in streams)):
        if id_ != last:
            if last is not None:
                yield last, fits
            last = id_
        fits = good  # what is none stands before what is one
    if last is not None:
        yield last, fits
