"""A compiled layer: it judges facts, says which row decided, and which resources it covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from pdp.model import Reason, Rule
from pdp.policy.effect import Decision, Effect
from pdp.policy.facts import Facts, Source
from pdp.policy.index.build import Indexes
from pdp.policy.matcher.compile import Clause
from pdp.policy.matcher.terms import Frame, asserted_in
from pdp.policy.roles import RoleGraph
from pdp.policy.rows import PolicyRow
from pdp.policy.template import UNFILLED, Template


class Ruling(msgspec.Struct, frozen=True):
    """What a layer says and the rule that determined it, if one did.

    `values` are that rule's, where it denies.
    """

    decision: Decision
    rule: Rule | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubjectRoles:
    """A role definition that is asked about the subject, and by which request tokens.

    A `member` of None is the subject's id, a `domain` of None is none. `asserts` tells that roles
    of the credential count.
    """

    definition: str
    member: Template | None
    domain: Template | None
    asserts: bool


SILENCE: Final = Ruling(Decision.NONE)
_ALLOW: Final = Decision.ALLOW
_DENY: Final = Decision.DENY


@dataclass(frozen=True, slots=True)
class Layer:
    """One model with its rules, immutable. `rows` are in the order that the effect wants."""

    name: str
    kind: Literal["guard", "grant"]
    file: str
    effect: Effect
    clause: Clause
    templates: tuple[Template, ...]  # of tokens that may be unknown, or take work to fill
    rows: tuple[PolicyRow, ...]
    indexes: Indexes
    graphs: Mapping[str, RoleGraph]
    subject_roles: tuple[SubjectRoles, ...]
    role_names: frozenset[str]  # that a subject could be taken for, by its name
    role_patterns: tuple[RoleGraph, ...] = ()  # and where roles are patterns, which no list has
    reason: Reason = Reason.GUARD_DENIED  # what a guard's refusal is called
    demands: tuple[tuple[str, int], ...] = ()  # parameters of a challenge, by column

    @property
    def depends(self) -> frozenset[Source]:
        """Which parts of a question can change what this layer says."""
        return self.clause.depends

    def frame(self, facts: Facts) -> Frame:
        """`facts` as this layer sees them, worked out once for each question.

        The frame itself is not kept: facts and frame would hold one another, and such cycles wait
        for the garbage collector.
        """
        kept = facts.kept.get(self.name)
        if kept is None:
            tokens = [t.render(facts) for t in self.templates] if self.templates else ()
            kept = facts.kept[self.name] = tokens, {}, {}
        tokens, closures, found = kept
        return Frame(facts, tokens, self.graphs, closures, found)

    def judge(self, facts: Facts) -> Ruling:
        """The decision of the effect over the rows that match.

        INVARIANT: a row whose match is unknown denies if it is a deny row, and is passed over
        if it is an allow row.
        """
        frame, indexes, rows = self.frame(facts), self.indexes, self.rows
        denied = end = len(rows)
        for branch in indexes.denies.branches:
            denied = branch.first(frame, denied)
        if indexes.even or denied == end or self.effect.ordered:
            allowed = denied
            for branch in indexes.allows.branches:
                allowed = branch.first(frame, allowed)
            if allowed < denied and (denied == end or self.effect.ordered):
                return Ruling(_ALLOW, Rule(self.file, rows[allowed].line))
        if denied < end:
            row = rows[denied]
            return Ruling(_DENY, Rule(self.file, row.line), row.values)
        return SILENCE if self.effect.needs_allow else Ruling(self.effect.otherwise)

    def covers(self, facts: Facts) -> bool:
        """Whether some row speaks of this resource, for whatever subject and action."""
        end = len(self.rows)
        return self.indexes.covers.first(self.frame(facts), end) < end

    def roles(self, facts: Facts) -> tuple[str, ...]:
        """Every role that the subject holds here, inherited ones included, sorted."""
        places = self.subject_roles
        if len(places) == 1:
            return self._held(facts, places[0])
        return tuple(sorted({role for place in places for role in self._held(facts, place)}))

    def _held(self, facts: Facts, place: SubjectRoles) -> tuple[str, ...]:
        graph = self.graphs[place.definition]
        member = facts.subject.id if place.member is None else member_of(facts, place)
        domain = domain_of(facts, place, graph) if graph.has_domain else ""
        if member is UNFILLED or domain is UNFILLED:
            return ()
        asserts, domain = place.asserts and facts.asserted, str(domain)
        return graph.roles(member, domain, asserted_in(facts, graph, domain) if asserts else ())

    @property
    def aliases(self) -> list[Template]:
        """By what else than its id the subject is called where this layer looks for its roles."""
        return [place.member for place in self.subject_roles if place.member is not None]

    def subject_names(self, facts: Facts) -> set[str]:
        """What it is called by them."""
        names = (_nameable(alias.render(facts)) for alias in self.aliases)
        return {name for name in names if isinstance(name, str)}


def member_of(facts: Facts, place: SubjectRoles) -> Any:
    """What the subject is called there, or UNFILLED."""
    if place.member is None:
        return facts.subject.id
    return _nameable(place.member.render(facts))


def domain_of(facts: Facts, place: SubjectRoles, graph: RoleGraph) -> Any:
    """In which domain its roles are looked for there: "" without domains, or UNFILLED."""
    if not graph.has_domain:
        return ""
    return UNFILLED if place.domain is None else _nameable(place.domain.render(facts))


def _nameable(value: Any) -> Any:
    """A token's value; a list or an object, which no role can belong to, is UNFILLED."""
    return value if isinstance(value, str | int | float) else UNFILLED
