"""Values: the expressions below clauses, to closures that raise where a value is unknown.

value    = comparison / arithmetic / call / path / literal / sequence / subscript
         / value "and" value / value "or" value / "not" value / value "if" value "else" value
path     = ( "r" / "p" ) 1*( "." name )
sequence = "(" values ")" / "[" values "]" / "{" values "}"
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import simpleeval

from pdp.errors import Problem
from pdp.policy.facts import Source, Unknown
from pdp.policy.matcher.calls import Call, compile_call
from pdp.policy.matcher.scope import NameProblem, Scope
from pdp.policy.matcher.syntax import Expression
from pdp.policy.matcher.terms import Frame, Row, Value

Depends = frozenset[Source]
Typed = tuple[Value, Depends]
Operation = Callable[..., Any]


def _bounded(compute: Operation) -> Operation:
    """`+` and `*` with simpleeval's bound on how long a text or list may become."""

    def checked(left: Any, right: Any) -> Any:
        if (
            compute is simpleeval.safe_mult
            and hasattr(left, "__len__")
            and hasattr(right, "__len__")
        ):
            raise TypeError  # before simpleeval measures the product by making it
        try:
            return compute(left, right)
        except simpleeval.InvalidExpression:
            raise Unknown from None

    return checked


def _remainder(left: Any, right: Any) -> Any:
    """`%` for numbers only: on text it formats, without a bound."""
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        raise TypeError
    return left % right


_OPERATIONS: Final[Mapping[type[ast.AST], Operation]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.In: lambda a, b: operator.contains(b, a),
        ast.NotIn: lambda a, b: not operator.contains(b, a),
        ast.Add: _bounded(simpleeval.safe_add),
        ast.Sub: operator.sub,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mult: _bounded(simpleeval.safe_mult),
        ast.Mod: _remainder,
        ast.USub: operator.neg,
        ast.UAdd: operator.pos,
        ast.Not: operator.not_,
    }
)
_SEQUENCES: Final[Mapping[type[ast.AST], Callable[[list[Any]], Any]]] = MappingProxyType(
    {ast.Tuple: tuple, ast.List: list, ast.Set: set}
)


@dataclass(slots=True)
class Context:
    """One expression under compilation; collects all problems, and what checks want to know."""

    expression: Expression
    scope: Scope
    problems: list[Problem] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # policy columns that are read

    def refuse(
        self, node: ast.expr, message: str, help_: str = "", code: str = "not-compilable"
    ) -> Typed:
        """Note a problem at `node` and go on, so that all problems are found at once."""
        self.problems.append(self.expression.problem(node, code, message, help_))
        return (lambda _frame, _row: None), frozenset()


def compile_value(context: Context, node: ast.expr) -> Typed:
    """The value of `node` and what it depends on; a placeholder where there is a problem."""
    compiler = _VALUES.get(type(node))
    if compiler is None:
        return context.refuse(node, f"`{context.expression.source(node)}` cannot be compiled")
    try:
        return compiler(context, node)
    except NameProblem as error:
        return context.refuse(node, error.message, error.help, error.code)


def union(parts: list[Typed]) -> Depends:
    """What several values depend on together."""
    return frozenset().union(*(depends for _, depends in parts))


def _path(context: Context, node: ast.expr) -> Typed:
    names: list[str] = []
    at = node
    while isinstance(at, ast.Attribute):
        names.insert(0, at.attr)
        at = at.value
    if not isinstance(at, ast.Name):
        return context.refuse(node, "attributes are reached from `r.` only")
    if any(
        n.startswith(tuple(simpleeval.DISALLOW_PREFIXES)) or n in simpleeval.DISALLOW_METHODS
        for n in names[1:]
    ):
        return context.refuse(node, f"Casbin refuses the attribute `{names[-1]}`")
    if at.id == context.scope.policy and names:
        context.columns.add(names[0])
    return context.scope.resolve([at.id, *names])


def _constant(context: Context, node: ast.Constant) -> Typed:
    value = node.value
    if not isinstance(value, str | int | float):
        return context.refuse(node, f"`{value!r}` is no text, number or truth value")
    return (lambda _frame, _row: value), frozenset()


def _sequence(context: Context, node: ast.Tuple | ast.List | ast.Set) -> Typed:
    items = [compile_value(context, item) for item in node.elts]
    values, build = [value for value, _ in items], _SEQUENCES[type(node)]
    return (lambda f, row: build([value(f, row) for value in values])), union(items)


def _comparison(context: Context, node: ast.Compare) -> Typed:
    operands = [compile_value(context, item) for item in (node.left, *node.comparators)]
    tests = [_operation(context, node, op) for op in node.ops]
    values = [value for value, _ in operands]
    if len(tests) == 1:
        (left, right), test = values, tests[0]
        return (lambda f, row: test(left(f, row), right(f, row))), union(operands)
    return _chain(values, tests), union(operands)


def _chain(values: list[Value], tests: list[Operation]) -> Value:
    """`a < b < c`, each operand evaluated at most once."""

    def value(frame: Frame, row: Row) -> Any:
        result, left = True, values[0](frame, row)
        for test, operand in zip(tests, values[1:], strict=True):
            right = operand(frame, row)
            result = test(left, right)
            if not result:
                break
            left = right
        return result

    return value


def _operation(context: Context, node: ast.expr, op: ast.AST) -> Operation:
    if type(op) not in _OPERATIONS:
        context.refuse(node, f"the operator `{type(op).__name__}` is not compiled")
    return _OPERATIONS.get(type(op), operator.eq)


def _binary(context: Context, node: ast.BinOp) -> Typed:
    sides = [compile_value(context, node.left), compile_value(context, node.right)]
    (left, _), (right, _) = sides
    compute = _operation(context, node, node.op)
    return (lambda f, row: compute(left(f, row), right(f, row))), union(sides)


def _unary(context: Context, node: ast.UnaryOp) -> Typed:
    operand, depends = compile_value(context, node.operand)
    compute = _operation(context, node, node.op)
    return (lambda f, row: compute(operand(f, row))), depends


def _junction(context: Context, node: ast.BoolOp) -> Typed:
    """`and`/`or` inside a value, where Python's order of evaluation is Casbin's."""
    sides = [compile_value(context, item) for item in node.values]
    stops_at = isinstance(node.op, ast.Or)

    def value(frame: Frame, row: Row) -> Any:
        result: Any = False
        for side, _ in sides:
            result = side(frame, row)
            if bool(result) is stops_at:
                break
        return result

    return value, union(sides)


def _choice(context: Context, node: ast.IfExp) -> Typed:
    parts = [compile_value(context, n) for n in (node.test, node.body, node.orelse)]
    test, then, otherwise = (value for value, _ in parts)
    return (lambda f, row: (then if test(f, row) else otherwise)(f, row)), union(parts)


def _subscript(context: Context, node: ast.Subscript) -> Typed:
    if isinstance(node.slice, ast.Slice):
        return context.refuse(node, "slices are not compiled")
    parts = [compile_value(context, node.value), compile_value(context, node.slice)]
    (container, _), (key, _) = parts
    return (lambda f, row: container(f, row)[key(f, row)]), union(parts)


def _call(context: Context, node: ast.Call) -> Typed:
    arguments = [compile_value(context, argument) for argument in node.args]
    call, value, depends = compile_call(node, arguments, context.scope)
    context.calls.append(call)
    return value, depends


_VALUES: Final[Mapping[type[ast.AST], Callable[[Context, Any], Typed]]] = MappingProxyType(
    {
        ast.Attribute: _path,
        ast.Name: _path,
        ast.Constant: _constant,
        ast.Tuple: _sequence,
        ast.List: _sequence,
        ast.Set: _sequence,
        ast.Compare: _comparison,
        ast.BinOp: _binary,
        ast.UnaryOp: _unary,
        ast.BoolOp: _junction,
        ast.IfExp: _choice,
        ast.Subscript: _subscript,
        ast.Call: _call,
    }
)
