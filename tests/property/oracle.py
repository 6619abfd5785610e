"""What a policy must answer, without our engine: pycasbin's atoms, folded by Kleene's logic.

pycasbin evaluates every atom and sorts the rows; connectives, effects and coverage are worked out
here, a row at a time. An unknown allow row is passed over, an unknown deny row denies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from judge import (
    ALLOW_AND_DENY,
    ALLOW_OVERRIDE,
    DENY_OVERRIDE,
    Ask,
    Evaluator,
    Policy,
    fresh_enforcer,
    values_of,
)
from trees import Tree, read_tree

from pdp.policy.effect import Decision

Kleene = bool | None
Found = tuple[Decision, int | None]  # the decision and the line that determined it
_ERROR = object()
_RESOURCE, _NOTHING = frozenset({"obj"}), frozenset[str]()
_TOKEN = re.compile(r"\br\d*\.(\w+)")
_COLUMN = re.compile(r"\bp(\d*)\.(\w+)")


@dataclass(frozen=True)
class Row:
    """One rule, as pycasbin has it: values by name, and the line that it stands in."""

    values: Mapping[str, str]
    allows: bool
    line: int


class Literal(NamedTuple):
    """One side of a conjunction of the disjunctive normal form, and what it depends on."""

    tree: Tree
    negated: bool
    truthy: bool
    falsy: bool
    depends: frozenset[str]


@dataclass
class Question:
    """One ask's tokens, with the values of atoms as they are found."""

    tokens: dict[str, Any]
    known: dict[tuple[str, ...], Any] = field(default_factory=dict)


def definition(model: str, key: str) -> str:
    """The value of a line `key = value` of a model."""
    found = re.search(rf"(?m)^{key} = (.*)$", model)
    assert found, key
    return found[1]


class Oracle:
    """One policy; `enforcer` is pycasbin's own, freshly built."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.section = policy, policy.section
        self.enforcer = fresh_enforcer(policy)
        self.evaluator = Evaluator(self.enforcer)
        self.matcher = read_tree(definition(policy.model, "m" + self.section))
        self.effect = definition(policy.model, "e")
        self.rows = self._rows()
        self.columns: dict[str, tuple[str, ...]] = {}  # of each atom
        self.normal: dict[tuple[str, ...], list[list[Literal]]] = {}  # by the texts of rules

    def _rows(self) -> list[Row]:
        """The rules in pycasbin's order; of equal ones, the first comes first."""
        ptype = "p" + self.section
        assertion = self.enforcer.model["p"][ptype]
        lines: dict[str, list[int]] = {}
        for number, text in enumerate(self.policy.rows.split("\n"), 1):
            lines.setdefault(text.strip(), []).append(number)
        rows = []
        for values in assertion.policy:
            named = dict(zip(assertion.tokens, values, strict=True))
            line = lines[", ".join((ptype, *values)).strip()].pop(0)
            rows.append(Row(named, named.get(f"{ptype}_eft", "allow") == "allow", line))
        return rows

    def question(self, ask: Ask) -> Question:
        tokens = self.enforcer.model["r"]["r" + self.section].tokens
        values = values_of(self.enforcer, ask, self.section)
        return Question(dict(zip(tokens, values, strict=True)))

    def judge(self, question: Question) -> Found:
        """The decision, and the line of the rule that determines it."""
        matches = [
            (row, self.truth(self.matcher, question, row, truthy=False, falsy=False))
            for row in self.rows
        ]
        return fold(self.effect, matches)

    def rule(self, row: Row, text: str) -> Tree:
        """The tree that `eval(p.column)` stands for in a row."""
        suffix, column = _COLUMN.findall(text)[0]
        return read_tree(row.values[f"p{suffix}_{column}"])

    def truth(
        self, tree: Tree, question: Question, row: Row, *, truthy: bool, falsy: bool
    ) -> Kleene:
        """Kleene's value; `truthy` and `falsy` say whether a value of any type may stand for it.

        In pycasbin a matcher's result must be a bool or a float, while `and`, `or` and `not` take
        anything: so only the operand that can become the result is held to that.
        """
        kind, parts = tree.kind, tree.parts
        if kind == "atom":
            return _kleene(self.value(tree.text, question, row), truthy, falsy)
        if kind == "eval":
            rule = self.rule(row, tree.text)
            return self.truth(rule, question, row, truthy=truthy, falsy=falsy)
        if kind == "not":
            inner = self.truth(parts[0], question, row, truthy=True, falsy=True)
            return None if inner is None else not inner
        if kind == "if":
            test = self.truth(parts[0], question, row, truthy=True, falsy=True)
            side = parts[1 if test else 2]
            if test is None:
                return None
            return self.truth(side, question, row, truthy=truthy, falsy=falsy)
        both, result = kind == "and", kind == "and"
        unknown = False
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            found = self.truth(
                part,
                question,
                row,
                truthy=truthy or (both and not last),
                falsy=falsy or not (both or last),
            )
            if found is (not both):
                return found
            unknown = unknown or found is None
        return None if unknown else result

    def value(self, text: str, question: Question, row: Row) -> Any:
        """What pycasbin's evaluator makes of an atom, or the mark of an error."""
        columns = self.columns.get(text)
        if columns is None:
            columns = tuple(f"p{suffix}_{name}" for suffix, name in _COLUMN.findall(text))
            self.columns[text] = columns
        key = (text, *[row.values[column] for column in columns])
        if key not in question.known:
            try:
                found = self.evaluator(text, {**question.tokens, **row.values})
            except Exception:  # noqa: BLE001 - whatever pycasbin raises, the value is not known
                found = _ERROR
            question.known[key] = found
        return question.known[key]

    def covers(self, question: Question) -> bool:
        """Whether some row speaks of the resource, for whatever subject and action."""
        return any(self._row_covers(question, row) for row in self.rows)

    def _row_covers(self, question: Question, row: Row) -> bool:
        """A conjunction covers if what depends on the resource alone holds, and there is such."""
        rules = tuple(v for k, v in row.values.items() if "rule" in k)
        if rules not in self.normal:
            self.normal[rules] = self._normal(self.matcher, row, negated=False, modes=(False,) * 2)
        return any(self._speaks(question, row, side) for side in self.normal[rules])

    def _speaks(self, question: Question, row: Row, literals: Sequence[Literal]) -> bool:
        alone = [literal for literal in literals if literal.depends <= _RESOURCE]
        if not any(literal.depends for literal in alone):
            return False
        return all(
            self.truth(x.tree, question, row, truthy=x.truthy, falsy=x.falsy) is (not x.negated)
            for x in alone
        )

    def _normal(
        self, tree: Tree, row: Row, *, negated: bool, modes: tuple[bool, bool]
    ) -> list[list[Literal]]:
        """The disjunctive normal form; what depends on the resource alone is not taken apart."""
        depends, (truthy, falsy) = self.depends(tree), modes
        if tree.kind == "not":
            return self._normal(tree.parts[0], row, negated=not negated, modes=(True, True))
        if tree.kind == "eval":  # Casbin puts the rule's text in its place
            return self._normal(self.rule(row, tree.text), row, negated=negated, modes=modes)
        if tree.kind not in ("and", "or") or depends <= _RESOURCE:
            return [[Literal(tree, negated, truthy, falsy, depends)]]
        both = tree.kind == "and"
        inner = (truthy or both, falsy or not both)
        each = [inner] * (len(tree.parts) - 1) + [modes]
        sides = [
            self._normal(part, row, negated=negated, modes=m)
            for part, m in zip(tree.parts, each, strict=True)
        ]
        if both is negated:  # by De Morgan a disjunction
            return [conjunction for side in sides for conjunction in side]
        return [[x for part in chosen for x in part] for chosen in product(*sides)]

    def depends(self, tree: Tree) -> frozenset[str]:
        """The request tokens that an expression looks at, the clock taken for one."""
        if tree.kind == "eval":
            rules = {str(self.rule(row, tree.text)) for row in self.rows}
            return _NOTHING.union(*(self.depends(read_tree(rule)) for rule in rules))
        if tree.kind == "atom":
            clock = {"clock"} if "timeMatch(" in tree.text else set()
            return frozenset(_TOKEN.findall(tree.text)) | clock
        return _NOTHING.union(*map(self.depends, tree.parts))


def _kleene(value: Any, truthy: bool, falsy: bool) -> Kleene:
    if value is _ERROR:
        return None
    try:
        found = bool(value)
    except Exception:  # noqa: BLE001 - a token that nothing fills
        return None
    return found if isinstance(value, bool | float) or (truthy if found else falsy) else None


def fold(effect: str, rows: Sequence[tuple[Row, Kleene]]) -> Found:
    """One decision of all rows: what matched, in order, as the effect wants it."""
    allows = [row for row, found in rows if row.allows and found]
    denies = [row for row, found in rows if not row.allows and found is not False]
    first = allows[0].line if allows else None
    if effect == ALLOW_OVERRIDE:
        return (Decision.ALLOW if allows else Decision.NONE), first
    if effect in (DENY_OVERRIDE, ALLOW_AND_DENY) and denies:
        return Decision.DENY, denies[0].line
    if effect == DENY_OVERRIDE:
        return Decision.ALLOW, None
    if effect == ALLOW_AND_DENY:
        return (Decision.ALLOW if allows else Decision.NONE), first
    for row, found in rows:
        if found or (found is None and not row.allows):
            return (Decision.ALLOW if row.allows else Decision.DENY), row.line
    return Decision.NONE, None
