"""The policy compiler: clauses, three-valued, to closures that never raise.

clause = clause "and" clause / clause "or" clause / "not" clause
       / clause "if" clause "else" clause / "eval(" column ")" / value
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pdp.policy.facts import Source
from pdp.policy.matcher import normal, terms
from pdp.policy.matcher.lookups import HasRole, Matches, columns_of, lookup_of, reads_request
from pdp.policy.matcher.normal import Form, Literal
from pdp.policy.matcher.rules import any_rule, eval_column, eval_columns
from pdp.policy.matcher.scope import Scope
from pdp.policy.matcher.syntax import Expression
from pdp.policy.matcher.terms import Covers, Frame, Mode, Row, Truth
from pdp.policy.matcher.values import Context, Depends, compile_value


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One side of a conjunction, kept for explanations: decisions never look at it.

    `source` is as its author wrote it, `python` as it is compiled again to see its operands.
    `rule` gives the parts of a row's own text, where the side is `eval`.
    """

    source: str
    python: str
    scope: Scope
    truth: Truth
    depends: Depends
    rule: Callable[[Row], tuple[Part, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """A compiled expression: its truth, its coverage, and what of the question it reads.

    `form` is the same in disjunctive normal form, by which rows are indexed. `parts` are the
    sides of its outermost conjunction, or the whole if it is none.
    """

    truth: Truth
    covers: Covers
    depends: Depends
    form: Form
    parts: tuple[Part, ...] = ()


# The distinct texts of an `eval` column, compiled for the place that `eval` stands in; None in such
# a text, which evaluates no other.
Rules = Callable[[str, Mode, bool], Mapping[str, Clause]] | None


def compile_clause(
    context: Context, rules: Rules, mode: Mode = terms.RESULT, *, negated: bool = False
) -> Clause:
    """The whole expression, as the matcher of a layer or as one `eval` rule."""
    tree = context.expression.tree
    clause = _clause(context, rules, tree, mode, negated=negated)
    return replace(clause, parts=_parts(context, tree, clause))


def _parts(context: Context, node: ast.expr, clause: Clause) -> tuple[Part, ...]:
    """The parts of a conjunction or an `eval`; of anything else, itself."""
    if clause.parts:
        return clause.parts
    expression = context.expression
    source, python = _written(expression, node), expression.source(node)
    return (Part(source, python, context.scope, clause.truth, clause.depends),)


def _written(expression: Expression, node: ast.expr) -> str:
    """The text of `node` before Casbin's operators became Python's."""
    data = expression.python.encode()
    ends = (data[:byte] for byte in (node.col_offset, node.end_col_offset))
    begin, end = (expression.offsets[len(before.decode())] for before in ends)
    return expression.definition.span.value[begin:end]


def _clause(context: Context, rules: Rules, node: ast.expr, mode: Mode, *, negated: bool) -> Clause:
    if isinstance(node, ast.BoolOp):
        return _junction(context, rules, node, mode, negated=negated)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _clause(context, rules, node.operand, terms.OPERAND, negated=not negated)
    if isinstance(node, ast.IfExp):
        return _choice(context, rules, node, mode, negated=negated)
    column = eval_column(context.expression, node, context.scope)
    if rules is not None and column is not None:
        context.columns.add(column)
        return _rule(context, rules(column, mode, negated), node, column, negated=negated)
    return _leaf(context, node, mode, negated=negated)


def _leaf(context: Context, node: ast.expr, mode: Mode, *, negated: bool) -> Clause:
    value, depends = compile_value(context, node)
    lookup = None if negated or context.problems else lookup_of(context, node)
    truth = lookup.truth if isinstance(lookup, HasRole | Matches) else terms.guarded(value, mode)
    truth = terms.negation(truth) if negated else truth
    source = context.expression.source(node)
    return _single(
        Literal(
            truth,
            depends,
            asks=bool(depends) or reads_request(context.scope, node),
            columns=columns_of(context.scope, node),
            source=f"not {source}" if negated else source,
            lookup=lookup,
        )
    )


def _single(literal: Literal) -> Clause:
    """A literal as a clause by itself."""
    truth, depends = literal.truth, literal.depends
    return Clause(truth, terms.clause_covers(truth, depends), depends, normal.form_of(literal))


def _opaque(context: Context, node: ast.expr, clause: Clause, *, negated: bool) -> Form:
    """A clause that is not taken apart; a row's own rules may read any column."""
    source = context.expression.source(node)
    rules = bool(eval_columns(context.expression, context.scope, node))
    columns = range(len(context.scope.columns)) if rules else columns_of(context.scope, node)
    return normal.form_of(
        Literal(
            clause.truth,
            clause.depends,
            asks=True,
            columns=frozenset(columns),
            source=f"not ({source})" if negated else source,
            opaque=True,
        )
    )


def _junction(
    context: Context, rules: Rules, node: ast.BoolOp, mode: Mode, *, negated: bool
) -> Clause:
    """`and`/`or`, by De Morgan where negated: coverage wants negations at the leaves.

    What is not last is handed on only when it decides: when false by `and`, when true by `or`.
    """
    conjunction = isinstance(node.op, ast.And)
    inner = mode._replace(any_true=True) if conjunction else mode._replace(any_false=True)
    modes = [*[inner] * (len(node.values) - 1), mode]
    sides = [
        _clause(context, rules, side, m, negated=negated)
        for side, m in zip(node.values, modes, strict=True)
    ]
    parts: tuple[Part, ...] = ()
    if conjunction and not negated:
        pairs = zip(node.values, sides, strict=True)
        parts = tuple(part for n, side in pairs for part in _parts(context, n, side))
    clause = _joined(sides, conjunction=conjunction is not negated)
    if not clause.form:
        clause = replace(clause, form=_opaque(context, node, clause, negated=negated))
    return replace(clause, parts=parts)


def _joined(sides: list[Clause], *, conjunction: bool) -> Clause:
    """The sides as one clause; without a form if that would be too long."""
    truth = (terms.all_of if conjunction else terms.any_of)([side.truth for side in sides])
    depends = frozenset[Source]().union(*(side.depends for side in sides))
    forms, form = [side.form for side in sides], Form()
    if not normal.too_many(forms, conjunction=conjunction):
        form = (normal.both if conjunction else normal.either)(forms)
    if depends <= {Source.RESOURCE}:
        form = normal.speaking(form) if depends else form
        return Clause(truth, terms.clause_covers(truth, depends), depends, form)
    join = terms.both_cover if conjunction else terms.any_covers
    return Clause(truth, join([side.covers for side in sides]), depends, form)


def _choice(
    context: Context, rules: Rules, node: ast.IfExp, mode: Mode, *, negated: bool
) -> Clause:
    test = _clause(context, rules, node.test, terms.OPERAND, negated=False)
    then = _clause(context, rules, node.body, mode, negated=negated)
    otherwise = _clause(context, rules, node.orelse, mode, negated=negated)
    truth = terms.choice(test.truth, then.truth, otherwise.truth)
    depends = test.depends | then.depends | otherwise.depends
    clause = Clause(truth, terms.clause_covers(truth, depends), depends, Form())
    return replace(clause, form=_opaque(context, node, clause, negated=negated))


def _rule(
    context: Context, rules: Mapping[str, Clause], node: ast.expr, column: str, *, negated: bool
) -> Clause:
    """`eval(p.rule)`: what the row's own text says, compiled once for each distinct text.

    Where it stands negated, each text was compiled negated: what it covers is told by its leaves.
    """
    index = context.scope.columns[column]
    depends = frozenset[Source]().union(*(rule.depends for rule in rules.values()))

    def truth(frame: Frame, row: Row) -> bool | None:
        return rules[row[index]].truth(frame, row)

    def covers(frame: Frame, row: Row) -> terms.Cover:
        return rules[row[index]].covers(frame, row)

    forms = {text: rule.form for text, rule in rules.items()}
    clause = Clause(truth, covers, depends, any_rule(forms, index, column))
    if not clause.form:
        clause = replace(clause, form=_opaque(context, node, clause, negated=negated))
    (part,) = _parts(context, node, clause)
    own = replace(part, rule=lambda row: rules[row[index]].parts)
    return clause if negated else replace(clause, parts=(own,))
