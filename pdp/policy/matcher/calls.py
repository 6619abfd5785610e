"""Calls in a matcher: pattern functions, role definitions, and `timeMatch`."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, Final

from pdp.config import suggest
from pdp.policy.facts import Source, Unknown
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, read_time, time_window
from pdp.policy.matcher.regex import CatastrophicPattern
from pdp.policy.matcher.scope import NameProblem, Scope
from pdp.policy.matcher.terms import Frame, Row, Value

Argument = tuple[Value, frozenset[Source]]
_TIME: Final = "timeMatch"
TIME_HELP: Final = "write a local time such as `2026-01-31 23:59:59`, or `_` for an open side"
_CLOCK: Final = frozenset({Source.CONTEXT})


@dataclass(frozen=True, slots=True)
class Call:
    """A call as checks see it: `column` is the policy field that is the last argument.

    `of_subject` tells that the first argument depends on the subject: an authenticated id must
    not equal a role of such a definition. `asserts` tells that it *is* the subject, so that roles
    that a credential asserts count.
    """

    name: str
    node: ast.Call
    column: str | None
    of_subject: bool
    asserts: bool
    member: str | None  # the request token that is the first argument, if it is one
    domain: str | None  # and the one that is the last


def compile_call(
    node: ast.Call, arguments: list[Argument], scope: Scope
) -> tuple[Call, Value, frozenset[Source]]:
    """The call as a value, with what it depends on, or NameProblem."""
    if not isinstance(node.func, ast.Name):
        help_ = "a value's own methods are never called; use one of Casbin's functions"
        raise NameProblem("this cannot be called", help_, "not-compilable")
    name = node.func.id
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise NameProblem(f"`{name}` takes plain arguments only", "", "not-compilable")
    _check_arity(name, len(arguments), scope)
    depends = frozenset().union(*(d for _, d in arguments))
    call = Call(
        name,
        node,
        column=_name(node.args[-1], scope.policy),
        of_subject=Source.SUBJECT in arguments[0][1],
        asserts=is_subject(scope, node.args[0], arguments[0][1]),
        member=_name(node.args[0], scope.request),
        domain=_name(node.args[-1], scope.request),
    )
    values = [value for value, _ in arguments]
    if name in scope.roles:
        return call, _role(name, values, asserted=call.asserts), depends
    if name == _TIME:
        return call, _time(node, values), depends | _CLOCK
    if arguments[1][1]:
        raise NameProblem(
            f"the pattern of `{name}` would come from the request",
            "the value comes first, the pattern second, and the pattern from the policy",
            "pattern-from-request",
        )
    return call, _pattern(name, node.args[1], values), depends


def is_subject(scope: Scope, node: ast.expr, depends: frozenset[Source]) -> bool:
    """Whether a role definition is asked about the subject itself, by a token or as its id."""
    token = scope.tokens.get(_name(node, scope.request) or "")
    named = token is not None and token[1].identifies
    return depends == {Source.SUBJECT} and (
        named or ast.unparse(node) == f"{scope.request}.subject.id"
    )


def _check_arity(name: str, given: int, scope: Scope) -> None:
    wanted = scope.roles.get(name, 2 if name in PATTERN_FUNCTIONS or name == _TIME else None)
    if wanted is None and name == "eval":
        help_ = "write `eval(p.FIELD)` as a condition by itself, with a field of the policy"
        raise NameProblem("`eval` cannot stand here", help_, "not-compilable")
    if wanted is None:
        known = [*PATTERN_FUNCTIONS, _TIME, *scope.roles]
        raise NameProblem(f"unknown function `{name}`", suggest(name, known), "unknown-function")
    if given == wanted:
        return
    if name in scope.roles:
        raise NameProblem(
            f"`{name}` is defined with {wanted} places and called with {given}",
            "call it with as many arguments as its definition has underscores",
            "role-arity",
        )
    raise NameProblem(f"`{name}` takes {wanted} arguments, not {given}", "", "function-arity")


def _name(node: ast.expr, root: str) -> str | None:
    """`x` of a plain `root.x`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == root else None
    return None


def _role(definition: str, values: list[Value], *, asserted: bool) -> Value:
    """`g(member, role)` or `g(member, role, domain)`."""
    member, role, *domains = values
    held = held_roles(definition, [member, *domains], asserted=asserted)
    return lambda frame, row: role(frame, row) in held(frame, row)


def held_roles(definition: str, values: list[Value], *, asserted: bool) -> Value:
    """The roles of a member, in a domain if there is one, which is compared as text."""
    member, *domains = values
    if not domains:
        return lambda frame, row: frame.reach(definition, member(frame, row), "", asserted)
    (domain,) = domains

    def value(frame: Frame, row: Row) -> Any:
        of = domain(frame, row)
        if not isinstance(of, str | int | float):
            raise Unknown  # no domain's name, and it could be long to write down
        return frame.reach(definition, member(frame, row), str(of), asserted)

    return value


def _time(node: ast.Call, values: list[Value]) -> Value:
    start, end = values
    for side in node.args:
        if isinstance(side, ast.Constant):
            _read_literal_time(side.value)
    return lambda frame, row: time_window(start(frame, row), end(frame, row)).holds(frame.facts.now)


def _read_literal_time(text: Any) -> None:
    try:
        read_time(text)
    except (ValueError, TypeError):
        raise NameProblem(f"`{text}` is no time", TIME_HELP, "bad-time") from None


def _pattern(name: str, node: ast.expr, values: list[Value]) -> Value:
    subject, pattern = values
    compile_pattern = PATTERN_FUNCTIONS[name]
    if isinstance(node, ast.Constant):
        match = _literal(name, node.value)
        return lambda frame, row: match(subject(frame, row))
    return lambda frame, row: compile_pattern(pattern(frame, row))(subject(frame, row))


def _refused(_value: Any) -> bool:
    raise ValueError


def _literal(name: str, pattern: Any) -> Any:
    """The match of a pattern that stands in the matcher itself, refused there if it is bad."""
    try:
        return PATTERN_FUNCTIONS[name](pattern)
    except CatastrophicPattern:
        return _refused  # checks tell why, with its place
    except (ValueError, TypeError, AttributeError) as error:
        raise NameProblem(f"the pattern of `{name}` {error}", "", "bad-pattern") from None
