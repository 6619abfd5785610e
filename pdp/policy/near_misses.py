"""Near misses: rules that would have allowed, had one clause of theirs not failed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from pdp.policy.effect import Decision
from pdp.policy.explain import RuleText
from pdp.policy.facts import Facts, Instant, Source
from pdp.policy.layer import Layer
from pdp.policy.matcher.compile import Part
from pdp.policy.matcher.syntax import Expression
from pdp.policy.matcher.terms import EVALUATION_ERRORS, Frame, Row
from pdp.policy.matcher.values import Context, compile_value
from pdp.policy.rows import PolicyRow
from pdp.policy.text import Definition, Span

MOST: Final = 5  # that an explanation lists
_MOST_ROLES: Final = 20
_LONGEST: Final = 200
_MATCHES: Final = 1 << 20  # likeness of the same resource
_UNLIKE: Final = 1  # a slash is no likeness
_FIRST: Final = itemgetter(0)
_EXACT: Final = 2**53  # up to here every reader of JSON has the same integers

Shown = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a clause: its text and its value.

    `known` is false where there is no value. `roles` are those that the value, a member, holds,
    inherited ones included: None where nothing asks for its roles.
    """

    source: str
    value: Shown
    known: bool = True
    roles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that failed on `clause` alone; `unknown` tells that the clause is not even false.

    `public` tells that the rule was judged for `anonymous`, whose grants everybody has.
    """

    layer: str
    rule: RuleText
    clause: str
    unknown: bool
    operands: tuple[Operand, ...]
    public: bool


def near_misses(
    layers: Iterable[Layer], facts: Facts, public: Facts | None = None, most: int = MOST
) -> tuple[NearMiss, ...]:
    """The nearest misses of these layers, `most` at most.

    Those whose resource matches come first; then those whose resource begins most alike. Where
    there are such, others are left out. `public` are the facts for `anonymous`, if they count.
    """
    reader, found = _Reader(), dict[tuple[str, int], _Miss]()
    for layer in layers:
        for miss in _misses(layer, facts, reader):
            found[layer.name, miss.row.line] = miss
        for miss in _misses(layer, public, reader) if public else ():
            # That `anonymous` is not somebody else is no news.
            if Source.SUBJECT not in miss.part.depends:
                found.setdefault((layer.name, miss.row.line), miss)
    ranked = sorted(((miss.likeness(), miss) for miss in found.values()), key=_FIRST, reverse=True)
    near = [miss for likeness, miss in ranked if likeness > _UNLIKE] or [miss for _, miss in ranked]
    return tuple(miss.told(public=miss.frame.facts is public) for miss in near[:most])


@dataclass(frozen=True, slots=True)
class _Miss:
    layer: Layer
    row: PolicyRow
    part: Part
    frame: Frame
    reader: _Reader

    def operands(self) -> tuple[Operand, ...]:
        return self.reader.read(self.part, self.frame, self.row.values)

    def likeness(self) -> int:
        """How much of the resource's id the rule's has at its beginning, if that is what failed."""
        if Source.RESOURCE not in self.part.depends:
            return _MATCHES
        resource = _short(self.frame.facts.resource.id)
        texts = {o.value for o in self.operands() if isinstance(o.value, str)}
        if resource not in texts:
            return _MATCHES
        others = texts - {resource}
        return max((_common(resource, other) for other in others), default=0)

    def told(self, *, public: bool) -> NearMiss:
        row, part = self.row, self.part
        rule = RuleText(f"{self.layer.file}:{row.line}", ", ".join(row.values))
        unknown = part.truth(self.frame, row.values) is None
        return NearMiss(self.layer.name, rule, part.source, unknown, self.operands(), public)


def _common(one: str, other: str) -> int:
    """How many characters two texts share at their beginnings."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _misses(layer: Layer, facts: Facts, reader: _Reader) -> Iterator[_Miss]:
    frame = layer.frame(facts)
    for row in _that_could_allow(layer, facts):
        parts = _parts(layer.clause.parts, row.values)
        failed = (part for part in parts if part.truth(frame, row.values) is not True)
        few = list(islice(failed, 2))
        if len(few) == 1:
            yield _Miss(layer, row, few[0], frame, reader)


def _that_could_allow(layer: Layer, facts: Facts) -> Iterator[PolicyRow]:
    """The allow rows that did not match, and would have changed the layer's ruling."""
    ruling = layer.judge(facts)
    for row in () if ruling.decision is Decision.ALLOW or _is_choice(layer) else layer.rows:
        if ruling.rule is not None and (
            row.line == ruling.rule.line or Decision.ALLOW not in layer.effect.final
        ):
            return  # a deny row decides, and no allow row behind it matters
        if row.decision is Decision.ALLOW:
            yield row


def _is_choice(layer: Layer) -> bool:
    """Whether the whole matcher is an `||`: then every row fails on one clause, near or not."""
    first, *others = layer.clause.parts
    return not others and isinstance(_expression(first.python).tree, ast.BoolOp)


def _parts(parts: tuple[Part, ...], row: Row) -> Iterator[Part]:
    """The clauses of a conjunction, an `eval` replaced by those of the row's own rule."""
    for part in parts:
        yield from part.rule(row) if part.rule else (part,)


Read = Callable[[Frame, Row], Operand]


@dataclass(slots=True)
class _Reader:
    """Compiles a clause's operands by themselves, once each: decisions have no need of them."""

    compiled: dict[Part, list[Read]] = field(default_factory=dict)

    def read(self, part: Part, frame: Frame, row: Row) -> tuple[Operand, ...]:
        if part not in self.compiled:
            context = Context(_expression(part.python), part.scope)
            self.compiled[part] = list(_operands(context, context.expression.tree))
        read = (operand(frame, row) for operand in self.compiled[part])
        return tuple(dict.fromkeys(read))


def _expression(python: str) -> Expression:
    """Text that has been compiled before, and is therefore known to be good."""
    definition = Definition("", "", 0, Span(python, ((0, 0, 0, python),)))
    tree = ast.parse(python, mode="eval").body
    return Expression(tree, python, tuple(range(len(python) + 1)), definition, "")


def _operands(context: Context, node: ast.expr) -> Iterator[Read]:
    """What the truth of a clause hangs on: compared values, arguments, or the clause itself."""
    match node:
        case ast.Compare():
            yield from (_value(context, side) for side in (node.left, *node.comparators))
        case ast.Call(func=ast.Name(id=name)):
            yield from [_now] if name == "timeMatch" else ()
            role = name in context.scope.roles
            yield from [_member(context, name, node)] if role else ()
            yield from (_value(context, argument) for argument in node.args[role:])
        case ast.BoolOp() | ast.IfExp() | ast.UnaryOp(op=ast.Not()):
            children = ast.iter_child_nodes(node)
            for child in (child for child in children if isinstance(child, ast.expr)):
                yield from _operands(context, child)
        case _:
            yield _value(context, node)


def _now(frame: Frame, _row: Row) -> Operand:
    return Operand("now", str(Instant.at(frame.facts.now)))


def _value(context: Context, node: ast.expr) -> Read:
    source, (value, _) = context.expression.source(node), compile_value(context, node)

    def read(frame: Frame, row: Row) -> Operand:
        try:
            return Operand(source, _shown(value(frame, row)))
        except EVALUATION_ERRORS:
            return Operand(source, None, known=False)

    return read


def _member(context: Context, definition: str, node: ast.Call) -> Read:
    """The first argument of a role definition, with the roles that it holds there."""
    value = _value(context, node.args[0])
    compile_value(context, node)
    call = context.calls[-1]
    arguments = [compile_value(context, argument)[0] for argument in node.args]

    def read(frame: Frame, row: Row) -> Operand:
        shown = value(frame, row)
        try:
            member, _, *domains = (argument(frame, row) for argument in arguments)
            domain = str(domains[0]) if domains else ""
            reached = frame.reach(definition, member, domain, call.asserts)
        except EVALUATION_ERRORS:
            return shown
        held = sorted(role for role in reached if role != member)
        return Operand(shown.source, shown.value, roles=tuple(held[:_MOST_ROLES]))

    return read


def _shown(value: Any) -> Shown:
    """A value that every format can carry: numbers and truth as they are, all else as text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) <= _EXACT:
        return value
    return _short(str(value) if isinstance(value, str | int) else repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
