"""Builds the index of a layer: which rows to look at, for each alternative of its matcher."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pdp.gently import gently, growing
from pdp.policy.effect import Decision, Effect
from pdp.policy.facts import NOBODY, Source
from pdp.policy.index.branch import Branch, Rows, branch_of
from pdp.policy.index.probes import Probe, probe_of
from pdp.policy.index.tables import Table, table_of
from pdp.policy.matcher.compile import Clause
from pdp.policy.matcher.normal import Conjunction, Literal
from pdp.policy.matcher.terms import Cover, Frame, Truth
from pdp.policy.roles import RoleGraph

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Rows of one decision, in one branch for each alternative of the matcher."""

    branches: tuple[Branch, ...] = ()

    def first(self, frame: Frame, end: int) -> int:
        """The first position before `end` whose row matches, or `end`."""
        for branch in self.branches:
            end = branch.first(frame, end)
        return end


@dataclass(frozen=True, slots=True, eq=False)
class Indexes:
    """The rows that allow and those that deny, as far as the effect heeds them, and coverage."""

    allows: Index
    denies: Index
    covers: Index
    even: bool = False  # the work does not tell whether a rule speaks of a resource


def build_indexes(
    clause: Clause,
    effect: Effect,
    rows: Rows,
    graphs: Mapping[str, RoleGraph],
    *,
    coverage: bool,
    even: bool = False,
) -> Indexes:
    """The indexes of a layer's rows, which are in the order that the effect wants.

    With `even` a resource of which one rule speaks takes the same calls as one of which none does.
    """
    builder = _Builder(clause, rows, Frame(NOBODY, (), graphs), even)
    return Indexes(
        allows=builder.index(Decision.ALLOW) if effect.heeds_allow else Index(),
        denies=builder.index(Decision.DENY) if effect.honours_deny else Index(),
        covers=builder.coverage() if coverage else Index(),
        even=even,
    )


@dataclass(slots=True)
class _Builder:
    clause: Clause
    rows: Rows
    frame: Frame  # has the roles of the layer, and no request
    even: bool
    texts: dict[int, tuple[list[str], list[int]]] = field(default_factory=dict)
    probes: dict[Literal, Probe | None] = field(default_factory=dict)
    tables: dict[tuple[str, int], Table | None] = field(default_factory=dict)

    def index(self, decision: Decision) -> Index:
        """The rows of one decision; of deny rows those that are unknown count, too."""
        deny = decision is Decision.DENY
        positions = [n for n, row in gently(enumerate(self.rows)) if row.decision is decision]
        found = (self._branch(c.literals, positions, lenient=deny) for c in self.clause.form)
        return Index(tuple(branch for branch in found if branch))

    def coverage(self) -> Index:
        """One row for each way of covering a resource, as far as that can depend on the row."""
        found = (self._covering(c) for c in self.clause.form if c.speaks)
        return Index(tuple(branch for branch in found if branch))

    def _covering(self, conjunction: Conjunction) -> Branch | None:
        """INVARIANT: literals only leave rows out; `covers` itself is asked of what is left."""
        literals = [o for o in conjunction.literals if o.may_speak or not o.depends]
        columns = sorted(frozenset[int]().union(*(literal.columns for literal in literals)))
        covers = self.clause.covers
        plain = [o for o in literals if o.depends <= {Source.RESOURCE}]
        return self._branch(
            plain,
            self._distinct(columns),
            lenient=False,
            verify=lambda frame, row: covers(frame, row) is Cover.YES,
        )

    def _branch(
        self,
        literals: Sequence[Literal],
        positions: Sequence[int],
        *,
        lenient: bool,
        verify: Truth | None = None,
    ) -> Branch | None:
        """The branch of a conjunction; None if none of these rows can match, whatever is asked."""
        for literal in literals:
            if not literal.asks:
                positions = self._settle(literal, positions, lenient=lenient)
        if not positions:
            return None
        asking, rows, even = [o for o in literals if o.asks], self.rows, self.even
        made = {"lenient": lenient, "even": even}
        return branch_of(asking, self._levels(asking), rows, positions, verify=verify, **made)

    def _settle(
        self, literal: Literal, positions: Sequence[int], *, lenient: bool
    ) -> Sequence[int]:
        """The rows for which a literal that asks nothing of a request holds, or is not false."""
        truths = (True, None) if lenient else (True,)
        rows, frame = self.rows, self.frame
        return [p for p in positions if literal.truth(frame, rows[p].values) in truths]

    def _levels(self, literals: Iterable[Literal]) -> list[tuple[Literal, Probe]]:
        """Literals that find their rows, one for each column, the most telling first."""
        found = [(literal, probe) for literal in literals if (probe := self._probe(literal))]
        found.sort(key=lambda pair: -pair[1].keys)
        best: dict[int, tuple[Literal, Probe]] = {}
        for literal, probe in found:
            best.setdefault(probe.column, (literal, probe))
        return list(best.values())

    def _probe(self, literal: Literal) -> Probe | None:
        if literal not in self.probes:
            lookup = literal.lookup
            self.probes[literal] = None
            if lookup:
                texts, _ = self._texts(lookup.column)
                self.probes[literal] = probe_of(lookup, texts, self.frame.graphs, self._table)
        return self.probes[literal]

    def _table(self, function: str, column: int) -> Table | None:
        """The table of a pattern function over a column, made once."""
        key = function, column
        if key not in self.tables:
            self.tables[key] = table_of(function, self._texts(column)[0])
        return self.tables[key]

    def _distinct(self, columns: Sequence[int]) -> list[int]:
        """The first row for each distinct combination of texts in some columns."""
        if len(columns) == 1:
            return self._texts(columns[0])[1]
        return _distinct(tuple([row.values[column] for column in columns]) for row in self.rows)[1]

    def _texts(self, column: int) -> tuple[list[str], list[int]]:
        """The distinct texts of a column, and for each the first row that has it."""
        if column not in self.texts:
            self.texts[column] = _distinct(row.values[column] for row in self.rows)
        return self.texts[column]


def _distinct(values: Iterable[K]) -> tuple[list[K], list[int]]:
    """The distinct ones among these, and for each where it stands first."""
    found, first, seen = list[K](), list[int](), growing()
    for position, value in gently(enumerate(values)):
        if value not in seen:
            seen[value] = None
            found.append(value)
            first.append(position)
    return found, first
