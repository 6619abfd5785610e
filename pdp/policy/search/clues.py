"""What a clause of a matcher tells of the open part: a clue, from which candidates follow.

clue = name "==" value / name "in" values / definition "(" name "," role [ "," domain ] ")"
     / function "(" name "," pattern ")" / property "==" value / value "in" property / property

A value reads nothing of the open part. Whatever else a clause says is no clue: any known entity may
fit, and is judged.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.lookups import is_free
from pdp.policy.matcher.normal import Literal
from pdp.policy.matcher.syntax import Expression
from pdp.policy.matcher.terms import EVALUATION_ERRORS, Frame, Row, Value
from pdp.policy.matcher.values import Context, compile_value
from pdp.policy.search.opening import PLAIN, Naming
from pdp.policy.search.reading import Reader, read


class Kind(IntEnum):
    """What a clue is about, the most telling first."""

    NAME = 0
    ROLE = 1
    EQUAL = 2  # a property
    CONTAINS = 3
    TRUE = 4
    PATTERN = 5
    NONE = 6


class Vague(Exception):
    """Raised where a clue does not tell for once: its value is of a kind that leaves much open."""


@dataclass(frozen=True, slots=True)
class Clue:
    """How candidates follow from rows: `value` of a row is a name, a role, a pattern or the like.

    `several` tells that the value holds many. `column` is set where it is that of the row and
    nothing else; `single` tells that no row has a part in it. `function` is a pattern function or
    a role definition. Where its roles have domains, `domain` gives one for all rows, or
    `domain_column` has each row's own; without either any will do.
    """

    kind: Kind
    value: Value | None = None
    naming: Naming = PLAIN
    several: bool = False
    column: int | None = None
    single: bool = False
    function: str = ""
    domain: Value | None = None
    domain_column: int | None = None
    path: tuple[str, ...] = ()

    @property
    def names(self) -> bool:
        """Whether it can name somebody of whom the policy does not know."""
        return self.kind is Kind.NAME and self.column is None

    @property
    def rank(self) -> tuple[int, bool]:
        """Clues with a smaller rank tell more."""
        return self.kind, not self.single

    def values(self, frame: Frame, row: Row) -> Iterable[Any]:
        """What a row gives; nothing where that is unknown, for then the clause is never true."""
        if self.value is None:
            return (True,)
        try:
            found = self.value(frame, row)
        except EVALUATION_ERRORS:
            return ()
        if not self.several:
            return (found,)
        if isinstance(found, list | tuple | set | dict):
            return found
        if isinstance(found, str):
            raise Vague  # whatever is a part of it
        return ()

    def of_domain(self, frame: Frame, row: Row) -> str | None:
        """The domain in which roles are asked for, None for any.

        LookupError where it is unknown, so that nobody has a role there.
        """
        if self.domain_column is not None:
            return row[self.domain_column]
        if self.domain is None:
            return None
        try:
            return str(self.domain(frame, ()))
        except EVALUATION_ERRORS:
            raise LookupError from None


NO_CLUE: Final = Clue(Kind.NONE)


def clue_of(literal: Literal, reader: Reader) -> Clue:
    """The clue that a literal is, or `NO_CLUE`."""
    expression = None if literal.opaque else read(literal.source)
    clue = _Finder(expression, reader).clue() if expression else NO_CLUE
    return replace(clue, single=not literal.columns)


@dataclass(frozen=True, slots=True)
class _Finder:
    expression: Expression
    reader: Reader

    def clue(self) -> Clue:
        match self.expression.tree:
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
                sides = self._equal(left, right), self._equal(right, left)
                return min(sides, key=lambda clue: clue.kind)
            case ast.Compare(left=left, ops=[ast.In()], comparators=[right]):
                return self._contained(left, right)
            case ast.Call(func=ast.Name(id=name), args=[first, second, *domains]):
                return self._call(name, first, second, domains)
            case ast.Attribute() as node:
                path = self.reader.property(node)
                return Clue(Kind.TRUE, path=path) if path else NO_CLUE
        return NO_CLUE

    def _equal(self, one: ast.expr, other: ast.expr) -> Clue:
        naming, path = self.reader.naming(one), self.reader.property(one)
        if naming:
            return self._about(Clue(Kind.NAME, naming=naming), other)
        return self._about(Clue(Kind.EQUAL, path=path), other) if path else NO_CLUE

    def _contained(self, item: ast.expr, container: ast.expr) -> Clue:
        naming, path = self.reader.naming(item), self.reader.property(item)
        if naming:
            return self._about(Clue(Kind.NAME, naming=naming, several=True), container)
        if path:
            return self._about(Clue(Kind.EQUAL, path=path, several=True), container)
        path = self.reader.property(container)
        return self._about(Clue(Kind.CONTAINS, path=path), item) if path else NO_CLUE

    def _call(self, name: str, first: ast.expr, second: ast.expr, domains: list[ast.expr]) -> Clue:
        naming = self.reader.naming(first)
        if naming and name in PATTERN_FUNCTIONS:
            return self._about(Clue(Kind.PATTERN, naming=naming, function=name), second)
        if not naming or name not in self.reader.scope.roles:
            return NO_CLUE
        clue = Clue(Kind.ROLE, naming=naming, function=name)
        for domain in domains:
            free = is_free(self.reader.scope, domain)
            clue = replace(
                clue,
                domain=self._known(domain) if free else None,
                domain_column=self.reader.column(domain),
            )
        return self._about(clue, second)

    def _about(self, clue: Clue, node: ast.expr) -> Clue:
        """The clue with `node` as its value, if that can be known."""
        value = self._known(node)
        if value is None:
            return NO_CLUE
        column = None if clue.several else self.reader.column(node)
        return replace(clue, value=value, column=column)

    def _known(self, node: ast.expr) -> Value | None:
        """The value of an expression, if it reads nothing of the open part."""
        value, depends = compile_value(Context(self.expression, self.reader.scope), node)
        return None if self.reader.source in depends else value
