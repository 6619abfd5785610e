"""Probes: what a request selects among the texts of one policy column.

A probe belongs to one literal. It selects, from the children of a node, those under whose text the
literal is true; None tells that the literal is unknown, or false, for every text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pdp.gently import Wide
from pdp.policy.index.tables import Table
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.lookups import Equal, HasRole, Lookup, Matches, OneOf
from pdp.policy.matcher.scope import Read
from pdp.policy.matcher.terms import EVALUATION_ERRORS, Frame
from pdp.policy.roles import RoleGraph

Node = dict[str, Any] | Wide[str, Any]
_FEW: Final = 3  # texts are tried one by one rather than looked up in a table


class Probe(Protocol):
    """One literal over one column.

    `keys` tells by how many keys the texts of the column are told apart, `tried` how many keys or
    texts are tried one by one, and `most` how many texts one value can select, at worst.
    """

    @property
    def column(self) -> int:
        """The column's index."""
        ...

    @property
    def keys(self) -> int: ...  # noqa: D102

    @property
    def tried(self) -> int: ...  # noqa: D102

    @property
    def most(self) -> int: ...  # noqa: D102

    def select(self, frame: Frame, node: Node) -> Sequence[Any] | None:
        """The children of `node` whose text the request selects, or None."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Equal:
    column: int
    keys: int
    read: Read
    tried: int = 0
    most: int = 1

    def select(self, frame: Frame, node: Node) -> Sequence[Any] | None:
        try:
            value = self.read(frame)
        except EVALUATION_ERRORS:
            return None
        # A number, a list or an object equals no text.
        child = node.get(value) if isinstance(value, str) else None
        return () if child is None else (child,)


@dataclass(frozen=True, slots=True, eq=False)
class _OneOf:
    column: int
    keys: int
    read: Read
    lengths: tuple[int, ...]  # of the texts, ascending
    tried: int = 0
    most: int = 1  # for each text of the list

    def select(self, frame: Frame, node: Node) -> Sequence[Any] | None:
        try:
            value = self.read(frame)
            if isinstance(value, str):
                return self._within(node, value)
            return _common(node, frozenset([item for item in value if isinstance(item, str)]))
        except EVALUATION_ERRORS:
            return None

    def _within(self, node: Node, value: str) -> Sequence[Any]:
        """The children whose text is a part of `value`, by going through whichever is less."""
        if len(node) <= len(value) * len(self.lengths):
            return [child for text, child in node.items() if text in value]
        parts = {
            value[start : start + length]
            for length in self.lengths
            for start in range(len(value) - length + 1)
        }
        return _common(node, parts)


@dataclass(frozen=True, slots=True, eq=False)
class _HasRole:
    column: int
    keys: int
    held: Read
    listed: bool  # roles that are patterns cannot be listed, only asked for
    most: int = 1  # for each role that is held

    @property
    def tried(self) -> int:
        return 0 if self.listed else self.keys

    def select(self, frame: Frame, node: Node) -> Sequence[Any] | None:
        try:
            held: Collection[str] = self.held(frame)
        except EVALUATION_ERRORS:
            return None
        if self.listed:
            return _common(node, held)
        return [child for text, child in node.items() if text in held]


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    column: int
    keys: int
    read: Read
    function: str
    table: Table

    @property
    def tried(self) -> int:
        return self.table.tried

    @property
    def most(self) -> int:
        return self.table.most

    def select(self, frame: Frame, node: Node) -> Sequence[Any] | None:
        try:
            value = self.read(frame)
            if not isinstance(value, str):
                return None
            found: Collection[str] | None = frame.found.get(self)
            if found is None:
                if len(node) <= _FEW:
                    compiled = PATTERN_FUNCTIONS[self.function]
                    return [child for text, child in node.items() if compiled(text)(value)]
                texts = self.table.matching(value)  # once for each question
                found = frame.found[self] = frozenset(texts) if len(texts) > _FEW else texts
        except EVALUATION_ERRORS:
            return None
        if len(found) > 1:
            return _common(node, found)
        for text in found:
            return (node[text],) if text in node else ()
        return ()


def _common(node: Node, texts: Collection[str]) -> list[Any]:
    """The children under `texts`; whichever is fewer is gone through."""
    if len(texts) <= len(node):
        return [node[text] for text in texts if text in node]
    return [child for text, child in node.items() if text in texts]


def probe_of(
    lookup: Lookup,
    texts: Collection[str],
    graphs: Mapping[str, RoleGraph],
    tables: Callable[[str, int], Table | None],
) -> Probe | None:
    """The probe of a lookup over the distinct `texts` of its column, if there is one.

    `tables` gives the table of a pattern function over a column.
    """
    column = lookup.column
    match lookup:
        case Equal():
            return _Equal(column, len(texts), lookup.read)
        case OneOf():
            lengths = tuple(sorted({len(text) for text in texts}))
            return _OneOf(column, len(texts), lookup.read, lengths)
        case HasRole():
            listed = graphs[lookup.definition].listed
            return _HasRole(column, len(texts), lookup.held, listed)
        case Matches(function=function):
            table = tables(function, column)
            return _Matches(column, table.keys, lookup.read, function, table) if table else None
