"""`eval(p.rule)`: which columns hold rules, and all rules of a column as one form."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from pdp.policy.matcher.normal import Form, Literal, both, either, form_of, too_many
from pdp.policy.matcher.scope import Scope
from pdp.policy.matcher.syntax import Expression


def eval_column(expression: Expression, node: ast.AST, scope: Scope) -> str | None:
    """The policy column that `eval(p.column)` names, if `node` is such a call, to the letter.

    Casbin finds it by its text: with a blank inside it fails at every request.
    """
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id != "eval" or len(node.args) != 1 or node.keywords:
        return None
    argument = node.args[0]
    if not (isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name)):
        return None
    written = expression.source(node) == f"eval({scope.policy}.{argument.attr})"
    return argument.attr if written and argument.attr in scope.columns else None


def eval_columns(expression: Expression, scope: Scope, within: ast.expr | None = None) -> list[str]:
    """Every column that the expression, or a part of it, evaluates as a rule, once each."""
    nodes = ast.walk(within or expression.tree)
    found = (eval_column(expression, node, scope) for node in nodes)
    return sorted({column for column in found if column})


def any_rule(forms: Mapping[str, Form], index: int, column: str) -> Form:
    """The alternatives of every distinct rule, each for the rows that have it; () if too many."""
    if too_many(list(forms.values()), conjunction=False):
        return ()
    return either(
        both([form_of(_is_text(index, column, text)), form]) for text, form in forms.items()
    )


def _is_text(index: int, column: str, text: str) -> Literal:
    return Literal(
        lambda _frame, row: row[index] == text,
        frozenset(),
        asks=False,
        columns=frozenset({index}),
        source=f"{column} == {text!r}",
    )
