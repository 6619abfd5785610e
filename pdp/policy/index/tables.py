"""Tables of patterns: from a value to the patterns that match it, in a few look-ups.

A pattern has a shape (how long its prefix is, which of its segments are names, how many bits of an
address count) and a key (the prefix, the literal segments, those bits). A value has one key for
each shape that occurs, and what stands under it matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from pdp.gently import gently, growing, settled
from pdp.policy.index.buckets import Buckets, largest, put, take
from pdp.policy.index.paths import Paths
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, key_prefix
from pdp.policy.matcher.networks import address, network
from pdp.policy.matcher.paths import PathPattern, parse_path
from pdp.policy.matcher.regex import literal_prefix


class Table(Protocol):
    """The distinct patterns of one column."""

    @property
    def keys(self) -> int:
        """By how many keys they are told apart."""
        ...

    @property
    def tried(self) -> int:
        """How many keys or patterns are tried one by one, at worst."""
        ...

    @property
    def most(self) -> int:
        """How many patterns one value can match, at worst."""
        ...

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`; ValueError if it is no value of the function."""
        ...


class Prefixes:
    """Patterns by the text that a matching value must begin with; `matches` makes sure."""

    def __init__(
        self, patterns: Iterable[tuple[str, str]], matches: Callable[[str, str], bool] | None
    ) -> None:
        found: dict[int, Buckets[str]] = {}
        self._matches = matches
        for prefix, pattern in gently(patterns):
            put(found.setdefault(len(prefix), growing()), prefix, pattern)
        self._by_length = {length: settled(found[length]) for length in sorted(found)}
        self.keys = sum(map(len, self._by_length.values()))
        self.most = sum(map(largest, self._by_length.values()))
        self.tried = len(self._by_length) + (self.most if matches else 0)

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`."""
        found: list[str] = []
        length, matches = len(value), self._matches
        for size, table in self._by_length.items():
            if size > length:
                break
            bucket = table.get(value[:size])
            if bucket is not None:
                take(found, bucket)
        return found if matches is None else [p for p in found if matches(p, value)]


class KeyMatch:
    """keyMatch: a text, or a prefix before a star."""

    def __init__(self, patterns: Iterable[str]) -> None:
        known = list(patterns)
        whole = growing()
        for pattern in gently(known):
            if "*" not in pattern:
                whole[pattern] = pattern
        self._whole = settled(whole)
        stars = ((p.partition("*")[0], p) for p in known if "*" in p)
        self._prefixes = Prefixes(stars, None)
        self.keys = len(self._whole) + self._prefixes.keys
        self.tried, self.most = self._prefixes.tried, self._prefixes.most + 1

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`."""
        found = self._prefixes.matching(value)
        take(found, self._whole.get(value))
        return found


@dataclass(frozen=True, slots=True)
class Both:
    """keyMatch2 to keyMatch5: paths where they are that, and regular expressions else.

    `cut` tells that values end at their first question mark.
    """

    paths: Paths
    others: Prefixes
    cut: bool

    @property
    def keys(self) -> int:
        """By how many keys they are told apart."""
        return self.paths.keys + self.others.keys

    @property
    def tried(self) -> int:
        """How many keys or patterns are tried one by one, at worst."""
        return self.paths.tried + self.others.tried

    @property
    def most(self) -> int:
        """How many patterns one value can match, at worst."""
        return self.paths.most + self.others.most

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`."""
        if self.cut:
            value = value.split("?", 1)[0]
        return self.paths.matching(value) + self.others.matching(value)


def _path_patterns(function: str, patterns: Iterable[str]) -> Table:
    others: list[str] = []
    paths, cut = Paths(_paths(function, patterns, others)), function == "keyMatch5"
    return Both(paths, _verified(function, others), cut) if others or cut else paths


def _paths(
    function: str, patterns: Iterable[str], others: list[str]
) -> Iterator[tuple[PathPattern, str]]:
    """The patterns that are paths, one at a time; the rest goes to `others`."""
    for pattern in patterns:
        path = parse_path(function, pattern)
        if path is None:
            others.append(pattern)
        else:
            yield path, pattern


def _verified(function: str, patterns: Iterable[str]) -> Prefixes:
    """Regular expressions by the text that they begin with; each is asked, and only then."""
    compiled = PATTERN_FUNCTIONS[function]
    prefix = literal_prefix if function == "regexMatch" else partial(key_prefix, function)
    return Prefixes(
        ((prefix(pattern), pattern) for pattern in patterns),
        lambda pattern, value: compiled(pattern)(value),
    )


class Networks:
    """ipMatch: one table for each length of a prefix."""

    def __init__(self, patterns: Iterable[str]) -> None:
        found: dict[int, dict[int, Buckets[int]]] = {4: {}, 6: {}}
        for pattern in gently(patterns):
            version, length, bits = network(pattern)
            shift = _BITS[version] - length
            put(found[version].setdefault(shift, growing()), bits >> shift, pattern)
        self._tables = {v: {n: settled(table) for n, table in found[v].items()} for v in found}
        tables = [table for by in self._tables.values() for table in by.values()]
        self.keys = sum(map(len, tables))
        self.tried, self.most = len(tables), sum(map(largest, tables))

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`."""
        found: list[str] = []
        version, bits = address(value)
        for shift, table in self._tables[version].items():
            bucket = table.get(bits >> shift)
            if bucket is not None:
                take(found, bucket)
        return found


_BITS: Final = {4: 32, 6: 128}
_TABLES: Final[Mapping[str, Callable[[Iterable[str]], Table]]] = MappingProxyType(
    {
        "keyMatch": KeyMatch,
        "keyMatch2": partial(_path_patterns, "keyMatch2"),
        "keyMatch3": partial(_path_patterns, "keyMatch3"),
        "keyMatch4": partial(_path_patterns, "keyMatch4"),
        "keyMatch5": partial(_path_patterns, "keyMatch5"),
        "regexMatch": partial(_verified, "regexMatch"),
        "ipMatch": Networks,
    }
)


def table_of(function: str, patterns: Iterable[str]) -> Table | None:
    """The table of distinct `patterns` of a function; None for those that have none."""
    build = _TABLES.get(function)
    return build(patterns) if build else None
