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
from pdp.policy.matcher.terms import Frame
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
            tokens = [template.render(facts) for template in self.templates]
            kept = facts.kept[self.name] = tokens, self.graphs, {}, {}
        return Frame(facts, *kept)

    def judge(self, facts: Facts) -> Ruling:
        """The decision of the effect over the rows that match.

        INVARIANT: a row whose match is unknown denies if it is a deny row, and is passed over
        if it is an allow row.
        """
        frame, indexes, effect, rows = self.frame(facts), self.indexes, self.effect, self.rows
        denied = end = len(rows)
        if indexes.denies.branches:
            denied = indexes.denies.first(frame, end)
        if denied == end or effect.ordered:
            allowed = indexes.allows.first(frame, denied)
            if allowed < denied:
                return Ruling(Decision.ALLOW, Rule(self.file, rows[allowed].line))
        if denied < end:
            row = rows[denied]
            return Ruling(Decision.DENY, Rule(self.file, row.line), row.values)
        return SILENCE if effect.needs_allow else Ruling(effect.otherwise)

    def covers(self, facts: Facts) -> bool:
        """Whether some row speaks of this resource, for whatever subject and action."""
        end = len(self.rows)
        return self.indexes.covers.first(self.frame(facts), end) < end

    def roles(self, facts: Facts) -> set[str]:
        """Every role that the subject holds here, inherited ones included."""
        frame, held = self.frame(facts), set[str]()
        for place in self.subject_roles:
            member, domain = member_of(frame, place), domain_of(frame, place)
            if member is not UNFILLED and domain is not UNFILLED:
                reached = frame.reach(place.definition, member, str(domain), place.asserts)
                held |= reached.keys() - {member}
        return held

    def subject_names(self, facts: Facts) -> set[str]:
        """What the subject is called where this layer looks for its roles."""
        frame = self.frame(facts)
        names = (member_of(frame, place) for place in self.subject_roles)
        return {name for name in names if isinstance(name, str)}


def member_of(frame: Frame, place: SubjectRoles) -> Any:
    """What the subject is called there, or UNFILLED."""
    if place.member is None:
        return frame.facts.subject.id
    return _nameable(place.member.render(frame.facts))


def domain_of(frame: Frame, place: SubjectRoles) -> Any:
    """In which domain its roles are looked for there: "" without domains, or UNFILLED."""
    if not frame.graphs[place.definition].has_domain:
        return ""
    return UNFILLED if place.domain is None else _nameable(place.domain.render(frame.facts))


def _nameable(value: Any) -> Any:
    """A token's value; a list or an object, which no role can belong to, is UNFILLED."""
    return value if isinstance(value, str | int | float) else UNFILLED
