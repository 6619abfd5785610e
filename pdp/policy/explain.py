"""Why a policy says what it says: each layer's ruling, each role's path, each rule that speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from pdp.model import Rule
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts
from pdp.policy.layer import Layer, SubjectRoles, domain_of, member_of
from pdp.policy.matcher.terms import Cover, Frame
from pdp.policy.template import UNFILLED


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule's place, `file:line`, and its values as the policy has them."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class LayerRuling:
    """What one layer says, and the rule that determined it, if one did."""

    layer: str
    kind: Literal["guard", "grant"]
    decision: Decision
    rule: RuleText | None


@dataclass(frozen=True, slots=True)
class RoleStep:
    """`member` has `role`: by the row at `rule`, or by its credential where that is None."""

    member: str
    role: str
    rule: str | None


@dataclass(frozen=True, slots=True)
class RolePath:
    """The shortest way by which the subject comes to a role; `domain` is empty without one."""

    layer: str
    role: str
    domain: str
    steps: tuple[RoleStep, ...]


def rulings(layers: Iterable[Layer], facts: Facts) -> tuple[LayerRuling, ...]:
    """What each layer says of these facts, whatever the others say."""
    found = ((layer, layer.judge(facts)) for layer in layers)
    return tuple(
        LayerRuling(layer.name, layer.kind, ruling.decision, rule_text(layer, ruling.rule))
        for layer, ruling in found
    )


_SAYS: Final = {
    Decision.ALLOW: "allows",
    Decision.DENY: "denies",
    Decision.NONE: "does not allow",
}


def told_briefly(layers: Iterable[Layer], facts: Facts) -> str:
    """The rulings in a line: `network allows, office denies (office.csv:5)`."""
    said = (
        f"{found.layer} {_SAYS[found.decision]}" + (f" ({found.rule.rule})" if found.rule else "")
        for found in rulings(layers, facts)
    )
    return ", ".join(said) or "none"


def rule_text(layer: Layer, rule: Rule | None) -> RuleText | None:
    """A rule of this layer with its text, or None for none."""
    if rule is None:
        return None
    values = next((row.values for row in layer.rows if row.line == rule.line), ())
    return RuleText(str(rule), ", ".join(values))


def covering(layers: Iterable[Layer], facts: Facts) -> Iterator[RuleText]:
    """Every rule that speaks of the resource, for whatever subject and action."""
    for layer in layers:
        frame, covers = layer.frame(facts), layer.clause.covers
        for row in layer.rows:
            if covers(frame, row.values) is Cover.YES:
                yield RuleText(f"{layer.file}:{row.line}", ", ".join(row.values))


def role_paths(layers: Iterable[Layer], facts: Facts) -> tuple[RolePath, ...]:
    """How the subject comes to every role that it holds, layer by layer."""
    found: dict[RolePath, None] = {}
    for layer in layers:
        frame = layer.frame(facts)
        for place in layer.subject_roles:
            found |= dict.fromkeys(_paths(layer, frame, place))
    return tuple(found)


def _paths(layer: Layer, frame: Frame, place: SubjectRoles) -> Iterator[RolePath]:
    graph = layer.graphs[place.definition]
    member, domain = member_of(frame.facts, place), domain_of(frame.facts, place, graph)
    if not isinstance(member, str) or domain is UNFILLED:
        return
    domain = str(domain)  # as a matcher compares it
    asserted = frame.asserted_in(place.definition, domain) if place.asserts else ()
    for role in graph.reach(member, domain, asserted):
        if role == member:
            continue
        steps = (
            RoleStep(one, other, f"{layer.file}:{line}" if line else None)
            for one, other in pairwise(graph.path(member, role, domain, asserted))
            for line in (graph.line(domain, one, other),)
        )
        yield RolePath(layer.name, role, domain, tuple(steps))
