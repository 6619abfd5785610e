"""Builds layers: text to closures, with every problem of every file reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pdp.errors import Problem, Severity
from pdp.gently import gently
from pdp.model import Reason
from pdp.policy.checks import check_calls, check_text
from pdp.policy.checks.matching import check_matching
from pdp.policy.checks.reasons import check_reason
from pdp.policy.checks.scans import check_scans
from pdp.policy.effect import EFFECTS, SUBJECT_PRIORITY, Decision, Effect
from pdp.policy.index.build import build_indexes
from pdp.policy.layer import Layer, SubjectRoles
from pdp.policy.matcher.calls import Call
from pdp.policy.matcher.compile import Clause, compile_clause
from pdp.policy.matcher.rules import eval_columns
from pdp.policy.matcher.scope import Scope
from pdp.policy.matcher.syntax import Expression, parse_expression
from pdp.policy.matcher.terms import Mode
from pdp.policy.matcher.values import Context
from pdp.policy.order import by_priority, by_subject_depth
from pdp.policy.role_patterns import build_roles
from pdp.policy.roles import WITH_DOMAIN, RoleGraph
from pdp.policy.rows import PolicyRow
from pdp.policy.shape import LayerText
from pdp.policy.template import Template
from pdp.policy.text import Definition, PolicyText, Row, Span
from pdp.policy.tokens import scope_of, templates_of, uncertain


def build_layer(text: LayerText, settings_file: str) -> tuple[Layer | None, list[Problem]]:
    """The layer that `text` describes; None if any problem is an error."""
    problems = check_text(text)
    templates, found = templates_of(text, settings_file)
    problems += found + check_matching(text, settings_file)
    # A bad row does not keep the matcher from being judged: all problems are told at once.
    if any(_is_error(p) and p.file != text.policy.file for p in gently(problems)):
        return None, problems
    text = _without_bad_rows(text, problems)
    scope = scope_of(text, templates)
    matcher, found = parse_expression(_defined(text, "m"), text.model.file)
    problems += found
    if matcher is None:
        return None, problems
    clause, context, found = _compile(text, scope, matcher)
    problems += found + check_calls(text, context.calls)
    if any(_is_error(p) for p in gently(problems)):
        return None, problems
    layer = _assemble(text, templates, clause, context)
    found = check_scans(layer, text.settings) + check_reason(layer, settings_file)
    return None if found else layer, problems + found


# Columns whose values a challenge tells: RFC 6750 §3, RFC 9470 §3.
_DEMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {"scope": "scope", "acr": "acr_values", "acr_values": "acr_values", "max_age": "max_age"}
)


def _demands(text: LayerText) -> tuple[tuple[str, int], ...]:
    if Reason(text.settings.reason) is Reason.GUARD_DENIED:
        return ()
    columns = enumerate(text.columns)
    return tuple((_DEMANDS[name], i) for i, name in columns if name in _DEMANDS)


def _without_bad_rows(text: LayerText, problems: Iterable[Problem]) -> LayerText:
    bad = {problem.line for problem in gently(problems) if problem.file == text.policy.file}
    if not bad:
        return text
    rows = tuple(row for row in gently(text.policy.rows) if row.line not in bad)
    return replace(text, policy=PolicyText(text.policy.file, rows))


def _is_error(problem: Problem) -> bool:
    return problem.severity is Severity.ERROR


def _assemble(
    text: LayerText, templates: Mapping[str, Template], clause: Clause, context: Context
) -> Layer:
    effect = text.effect or EFFECTS[SUBJECT_PRIORITY]
    rows, file, graphs = _rows(text, effect), text.policy.file, _graphs(text)
    grant = text.settings.kind == "grant"
    if not rows and not context.columns:
        # A matcher that names no field of the policy needs no rows: it is judged once.
        file = text.model.file
        rows = (PolicyRow((), Decision.ALLOW, _defined(text, "m").span.line),)
    return Layer(
        name=text.settings.name,
        kind=text.settings.kind,
        reason=Reason(text.settings.reason),
        demands=_demands(text),
        file=file,
        effect=effect,
        clause=clause,
        templates=tuple(uncertain(text, templates)),
        rows=rows,
        indexes=build_indexes(clause, effect, rows, graphs, coverage=grant, even=text.even),
        graphs=graphs,
        subject_roles=_subject_roles(text, templates, context.calls),
        role_names=_role_names(context.calls, graphs),
        role_patterns=_role_patterns(context.calls, graphs),
    )


def _defined(text: LayerText, letter: str) -> Definition:
    definition = text.definition(letter)
    if definition is None:  # pragma: no cover - check_text has refused such a model
        raise AssertionError(letter)
    return definition


def _compile(
    text: LayerText, scope: Scope, matcher: Expression
) -> tuple[Clause, Context, list[Problem]]:
    context = Context(matcher, scope)
    rules: dict[str, dict[str, Expression | None]] = {}
    problems: list[Problem] = []
    for column in eval_columns(matcher, scope):
        own = rules[column] = {}
        for row in text.rules:
            rule = text.column(row, column)
            if rule is not None and rule not in own:
                own[rule], found = _read_rule(text, row, scope.columns[column], context)
                problems += found

    def compiled(column: str, mode: Mode, negated: bool) -> dict[str, Clause]:
        return {
            rule: compile_clause(Context(expression, scope), None, mode, negated=negated)
            for rule, expression in rules[column].items()
            if expression
        }

    clause = compile_clause(context, compiled)
    return clause, context, context.problems + problems


def _read_rule(
    text: LayerText, row: Row, index: int, outer: Context
) -> tuple[Expression | None, list[Problem]]:
    """One row's rule, which must be one expression by itself: it is never spliced into text."""
    fields, rule = (row.ptype, *row.values), row.values[index]
    before = len("".join(f"{field}, " for field in fields[: index + 1]))
    span = Span(rule, ((0, row.line, before + 1, ", ".join(fields)),))
    definition = Definition("", row.ptype, row.line, span)
    expression, problems = parse_expression(definition, text.policy.file)
    if expression is None:
        return None, problems
    context = Context(expression, outer.scope)
    compile_clause(context, None)  # for its problems; the place of `eval` decides how it is used
    outer.calls.extend(context.calls)
    outer.columns |= context.columns
    return expression, context.problems


def _rows(text: LayerText, effect: Effect) -> tuple[PolicyRow, ...]:
    rows: Sequence[Row] = text.rules
    if effect.name == SUBJECT_PRIORITY:
        rows = by_subject_depth(text, rows)
    if "priority" in text.columns:
        rows = by_priority(text, rows)
    if "eft" not in text.columns:
        return tuple([PolicyRow(row.values, Decision.ALLOW, row.line) for row in gently(rows)])
    place, decisions = text.columns.index("eft"), {str(d): d for d in Decision}
    return tuple(
        [PolicyRow(row.values, decisions[row.values[place]], row.line) for row in gently(rows)]
    )


def _graphs(text: LayerText) -> dict[str, RoleGraph]:
    settings = text.settings
    return {
        definition: build_roles(
            _links(text, definition),
            has_domain=places in WITH_DOMAIN,
            match=settings.role_matching.get(definition),
            match_domain=settings.domain_matching.get(definition),
        )
        for definition, places in text.roles.items()
    }


def _links(text: LayerText, definition: str) -> Iterable[tuple[tuple[str, ...], int]]:
    return ((row.values, row.line) for row in text.policy.by_type.get(definition, ()))


def _subject_roles(
    text: LayerText, templates: Mapping[str, Template], calls: Iterable[Call]
) -> tuple[SubjectRoles, ...]:
    """Where the matcher asks for roles of the subject: which tokens name it and its domain."""
    found: dict[SubjectRoles, None] = {}
    for call in calls:
        named = call.member in templates or call.asserts  # by a token, or as r.subject.id
        if call.name in text.roles and call.of_subject and named:
            member, domain = templates.get(call.member or ""), templates.get(call.domain or "")
            itself = member is not None and member.path == "subject.id"
            place = SubjectRoles(call.name, None if itself else member, domain, call.asserts)
            found[place] = None
    return tuple(found)


def _role_names(calls: Iterable[Call], graphs: Mapping[str, RoleGraph]) -> frozenset[str]:
    return frozenset[str]().union(*(graph.names() for graph in _of_subject(calls, graphs)))


def _role_patterns(calls: Iterable[Call], graphs: Mapping[str, RoleGraph]) -> tuple[RoleGraph, ...]:
    return tuple(graph for graph in _of_subject(calls, graphs) if not graph.listed)


def _of_subject(calls: Iterable[Call], graphs: Mapping[str, RoleGraph]) -> Iterable[RoleGraph]:
    """The role definitions that the matcher asks about the subject."""
    asked = {call.name for call in calls if call.of_subject and call.name in graphs}
    return [graphs[name] for name in sorted(asked)]
