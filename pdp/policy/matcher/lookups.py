"""Literals that name the rows for which they hold: a policy column, and texts that a request gives.

lookup = value "==" column / column "==" value / column "in" value
       / function "(" value "," column ")" / definition "(" value "," column [ "," value ] ")"

A value reads no policy column, a column is `p.x` and nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from pdp.policy.matcher.calls import held_roles, is_subject
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, Match
from pdp.policy.matcher.scope import Read, Scope, filled
from pdp.policy.matcher.terms import EVALUATION_ERRORS, Frame, Row, Value
from pdp.policy.matcher.values import Context, compile_value


@dataclass(frozen=True, slots=True, eq=False)
class Equal:
    """`value == p.column`."""

    column: int
    read: Read


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """`p.column in value`."""

    column: int
    read: Read


@dataclass(frozen=True, slots=True, eq=False)
class HasRole:
    """`g(member, p.column)` and the like; `held` gives the roles of the member."""

    column: int
    definition: str
    held: Read  # a mapping from each role

    def truth(self, frame: Frame, row: Row) -> bool | None:
        """The literal over one row: its value or unknown, in fewer calls than of any value."""
        try:
            return row[self.column] in self.held(frame)
        except EVALUATION_ERRORS:
            return None


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """`keyMatch(value, p.column)` and the other pattern functions."""

    column: int
    read: Read
    function: str
    compiled: Callable[[str], Match]

    def truth(self, frame: Frame, row: Row) -> bool | None:
        """The same of this literal."""
        try:
            return self.compiled(row[self.column])(self.read(frame))
        except EVALUATION_ERRORS:
            return None


Lookup = Equal | OneOf | HasRole | Matches


def lookup_of(context: Context, node: ast.expr) -> Lookup | None:
    """The lookup that `node` is, which has been compiled before; None if it is none."""
    scope = context.scope
    match node:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            for field, other in ((left, right), (right, left)):
                if (column := _column(scope, field)) is not None and is_free(scope, other):
                    return Equal(column, _read(context, other))
        case ast.Compare(left=left, ops=[ast.In()], comparators=[right]):
            if (column := _column(scope, left)) is not None and is_free(scope, right):
                return OneOf(column, _read(context, right))
        case ast.Call(func=ast.Name(id=name), args=[value, field, *domains]):
            column = _column(scope, field)
            if column is not None and all(is_free(scope, n) for n in (value, *domains)):
                return _call(context, name, column, [value, *domains])
    return None


def _call(context: Context, name: str, column: int, nodes: list[ast.expr]) -> Lookup | None:
    if name in PATTERN_FUNCTIONS:
        return Matches(column, _read(context, nodes[0]), name, PATTERN_FUNCTIONS[name])
    if name not in context.scope.roles:
        return None
    asserted = is_subject(context.scope, nodes[0], compile_value(_anew(context), nodes[0])[1])
    if len(nodes) == 1:
        member = _read(context, nodes[0])
        return HasRole(column, name, lambda f: f.reach(name, member(f), "", asserted))
    held = held_roles(name, [_value(context, node) for node in nodes], asserted=asserted)
    return HasRole(column, name, lambda frame: held(frame, ()))


def columns_of(scope: Scope, node: ast.expr) -> frozenset[int]:
    """The policy columns that an expression reads, by index."""
    found = (_column(scope, part) for part in ast.walk(node))
    return frozenset(column for column in found if column is not None)


def reads_request(scope: Scope, node: ast.expr) -> bool:
    """Whether an expression names anything of the request."""
    return any(isinstance(n, ast.Name) and n.id == scope.request for n in ast.walk(node))


def is_free(scope: Scope, node: ast.expr) -> bool:
    """Whether an expression reads no policy column, so that a request alone gives its value."""
    return not columns_of(scope, node)


def _column(scope: Scope, node: ast.AST) -> int | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return scope.columns.get(node.attr) if node.value.id == scope.policy else None
    return None


def _read(context: Context, node: ast.expr) -> Read:
    """A value that no row has a part in; without a call of Python's where that can be had."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        scope, token = context.scope, node.attr
        if node.value.id == scope.request and token in scope.tokens:
            path = scope.path(token)
            return attrgetter(path) if path else filled(scope.tokens[token][0])
    value = _value(context, node)
    return lambda frame: value(frame, ())


def _value(context: Context, node: ast.expr) -> Value:
    return compile_value(_anew(context), node)[0]


def _anew(context: Context) -> Context:
    """What is compiled twice must not be told to the checks twice."""
    return Context(context.expression, context.scope)
