"""A compiled layer: it judges facts, says which row decided, and which resources it covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pdp.model import Rule
from pdp.policy.effect import Decision, Effect
from pdp.policy.facts import Facts, Source
from pdp.policy.matcher.compile import Clause
from pdp.policy.matcher.terms import Cover, Frame
from pdp.policy.roles import RoleGraph
from pdp.policy.template import UNFILLED, Template


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One rule: its values, what it decides, and the line it stands in."""

    values: tuple[str, ...]
    decision: Decision
    line: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a layer says and the rule that determined it, if one did."""

    decision: Decision
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class SubjectRoles:
    """A role definition that is asked about the subject, and by which request tokens.

    `member` and `domain` are indexes of tokens, None where the matcher asks with something else.
    """

    definition: str
    member: int | None
    domain: int | None


SILENCE: Final = Ruling(Decision.NONE)


@dataclass(frozen=True, slots=True)
class Layer:
    """One model with its rules, immutable. `rows` are in the order that the effect wants."""

    name: str
    kind: Literal["guard", "grant"]
    file: str
    effect: Effect
    clause: Clause
    templates: tuple[Template, ...]
    rows: tuple[PolicyRow, ...]
    graphs: Mapping[str, RoleGraph]
    subject_roles: tuple[SubjectRoles, ...]

    @property
    def depends(self) -> frozenset[Source]:
        """Which parts of a question can change what this layer says."""
        return self.clause.depends

    def frame(self, facts: Facts) -> Frame:
        """`facts` as this layer sees them."""
        return Frame(facts, [template.render(facts) for template in self.templates], self.graphs)

    def judge(self, facts: Facts) -> Ruling:
        """The decision of the effect over the rows that match.

        INVARIANT: a row whose match is unknown denies if it is a deny row, and is passed over
        if it is an allow row.
        """
        frame, truth, final = self.frame(facts), self.clause.truth, self.effect.final
        allowed: PolicyRow | None = None
        for row in self.rows:
            matched = truth(frame, row.values)
            if matched is False or (matched is None and row.decision is not Decision.DENY):
                continue
            if row.decision in final:
                return Ruling(row.decision, Rule(self.file, row.line))
            if allowed is None and row.decision is Decision.ALLOW:
                allowed = row
        return self._at_end(allowed)

    def _at_end(self, allowed: PolicyRow | None) -> Ruling:
        if not self.effect.needs_allow:
            return Ruling(self.effect.otherwise)
        return Ruling(self.effect.otherwise, Rule(self.file, allowed.line)) if allowed else SILENCE

    def covers(self, facts: Facts) -> bool:
        """Whether some row speaks of this resource, for whatever subject and action."""
        frame, covers = self.frame(facts), self.clause.covers
        return any(covers(frame, row.values) is Cover.YES for row in self.rows)

    def roles(self, facts: Facts) -> set[str]:
        """Every role that the subject holds here, inherited ones included."""
        frame, held = self.frame(facts), set[str]()
        for place in self.subject_roles:
            member, domain = _token(frame, place.member), _token(frame, place.domain)
            if not self.graphs[place.definition].has_domain:
                domain = ""
            if member is not UNFILLED and domain is not UNFILLED:
                held |= frame.reach(place.definition, member, str(domain), asserted=True).keys()
                held.discard(member)
        return held

    def role_names(self) -> frozenset[str]:
        """Every role that a subject could hold here by a row."""
        names = (self.graphs[place.definition].names() for place in self.subject_roles)
        return frozenset[str]().union(*names)

    def subject_names(self, facts: Facts) -> set[object]:
        """What the subject is called where this layer looks for its roles."""
        frame = self.frame(facts)
        return {_token(frame, place.member) for place in self.subject_roles}


def _token(frame: Frame, index: int | None) -> Any:
    """The token's value; a list or an object, which no role can belong to, is UNFILLED."""
    value = UNFILLED if index is None else frame.tokens[index]
    return value if isinstance(value, str | int | float) else UNFILLED
