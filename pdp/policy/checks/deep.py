"""Checks that look at all rules together, for `pdp check` alone: a policy goes live without them.

Each is linear in the number of rows: rules are compared by hash, not with one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pdp.errors import Problem, Severity
from pdp.policy.checks.registry import on_all
from pdp.policy.order import by_priority
from pdp.policy.shape import LayerText
from pdp.policy.text import Row

_ORDERS = "priority"
_SIGNS = re.compile("[(\"']")  # without one, a value neither calls nor quotes
_QUOTED = re.compile(r"""["']([^"']*)["']""")


def _warning(text: LayerText, row: Row, code: str, message: str, help_: str) -> Problem:
    return Problem(text.policy.file, row.line, code, message, help_, Severity.WARNING)


@on_all
def unused_role(text: LayerText) -> Iterator[Problem]:
    """A role that gives nothing: no rule names it, nor any role that it inherits."""
    for definition in text.roles:
        # Patterns are not compared by their text.
        if definition not in text.settings.role_matching and _asks_for_rules(text, definition):
            links = text.policy.by_type.get(definition, ())
            first = {row.values[1]: row for row in reversed(links)}
            for role in first.keys() - _useful(text, links):
                yield _warning(
                    text,
                    first[role],
                    "unused-role",
                    f"no rule names the role `{role}`, nor a role that it inherits",
                    "write a rule for it, or remove the row; is the name misspelt?",
                )


def _expressions(text: LayerText) -> str:
    """The matcher, and whatever a row might hold for it to evaluate."""
    matcher = text.definition("m")
    values = {value for row in text.rules for value in row.values if _SIGNS.search(value)}
    return "\n".join([matcher.span.value if matcher else "", *values])


def _asks_for_rules(text: LayerText, definition: str) -> bool:
    """Whether these roles are compared with the policy's fields or with texts only."""
    found = re.findall(rf"\b{definition}\(([^()]*)\)", _expressions(text))
    roles = [call.split(",")[1].strip() for call in found if "," in call]
    return bool(roles) and all(r.startswith((f"{text.ptype}.", '"', "'")) for r in roles)


def _useful(text: LayerText, links: Sequence[Row]) -> set[str]:
    """All names that a rule holds or an expression quotes, and whoever has one as a role."""
    todo = [v for row in text.policy.rows if row.ptype.startswith("p") for v in row.values]
    todo += _QUOTED.findall(_expressions(text))
    members: dict[str, list[str]] = {}
    for row in links:
        members.setdefault(row.values[1], []).append(row.values[0])
    found = set[str]()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(members.get(name, ()))
    return found


def _twins(text: LayerText) -> Iterator[tuple[Row, Row]]:
    """Every rule with the one judged before it that has the same values but for its decision.

    One with the same decision is preferred, and in any case the first.
    """
    beside = [i for i, name in enumerate(text.columns) if name not in ("eft", _ORDERS)]
    rows = by_priority(text, text.rules) if _ORDERS in text.columns else text.rules
    first: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        seen = first.setdefault(tuple(row.values[i] for i in beside), {})
        decision = _decision(text, row)
        if seen:
            yield seen.get(decision) or next(iter(seen.values())), row
        seen.setdefault(decision, row)


def _decision(text: LayerText, row: Row) -> str:
    return text.column(row, "eft") or "allow"


def _in_order(text: LayerText) -> bool:
    """Whether the first rule that matches decides, so that no later one is reached."""
    return text.effect is not None and len(text.effect.final) > 1


@on_all
def shadowed_rule(text: LayerText) -> Iterator[Problem]:
    """A rule that changes nothing, because one before it has the same values."""
    ordered = _in_order(text)
    for earlier, row in _twins(text):
        if ordered or _decision(text, earlier) == _decision(text, row):
            why = "is never reached" if ordered else "changes nothing"
            yield _warning(
                text,
                row,
                "shadowed-rule",
                f"this rule {why}: line {earlier.line} has the same values",
                "remove one of them",
            )


@on_all
def contradictory_rules(text: LayerText) -> Iterator[Problem]:
    """Two rules with the same values and opposite decisions, where no order chooses."""
    if _in_order(text):
        return
    for earlier, row in _twins(text):
        if _decision(text, earlier) != _decision(text, row):
            yield _warning(
                text,
                row,
                "contradictory-rules",
                f"line {earlier.line} has the same values and the opposite decision",
                "keep the `deny`, which wins, or the `allow`, which does nothing beside it",
            )
