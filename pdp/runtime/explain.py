"""One decision with everything that it rests on, for trusted eyes only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from pdp.model import (
    ANONYMOUS,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rejected,
    Verdict,
    nobody,
)
from pdp.pipeline import Question, decide
from pdp.policy.explain import (
    LayerRuling,
    RolePath,
    RuleText,
    covering,
    role_paths,
    rule_text,
    rulings,
)
from pdp.policy.facts import Facts
from pdp.policy.near_misses import NearMiss, near_misses
from pdp.policy.snapshot import Snapshot
from pdp.runtime.steps import Step, established, told_steps

MOST_RULES: Final = 20  # that an explanation lists as covering the resource


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as far as it was established; all roles, inherited ones included."""

    id: str
    type: str
    method: Method
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict and its grounds.

    `near_misses` are rules that would have allowed what was refused, had one clause held.
    `layers` hold each layer's own ruling: the guards that come before authentication only, if
    there is no subject. `anonymous` is what the grants give everybody. `covered_by` lists the
    rules, MOST_RULES at most, that speak of the resource for some subject and action.
    `time` is in Unix seconds.
    """

    verdict: Outcome
    status: int
    reason: Reason
    layer: str | None
    rule: RuleText | None
    subject: Asker | None
    action: str
    resource: str
    steps: tuple[Step, ...]
    near_misses: tuple[NearMiss, ...]
    layers: tuple[LayerRuling, ...]
    anonymous: tuple[LayerRuling, ...]
    role_paths: tuple[RolePath, ...]
    concealed: bool
    covered: bool
    covered_by: tuple[RuleText, ...]
    time: float
    policy_revision: str


def explain(
    query: Query, identity: Identity | Rejected, snapshot: Snapshot, now: float
) -> Explanation:
    """The decision of `pipeline.decide` for the same arguments, explained; pure."""
    identity = _seated(query, identity, snapshot, now)
    verdict = decide(query, identity, snapshot, now)
    public = snapshot.facts(query, ANONYMOUS, now)
    asker = established(identity, verdict)
    facts = public if asker is None else snapshot.facts(query, asker, now)
    layers = snapshot.early_guards if asker is None else snapshot.layers
    known = asker is not None and asker.method is not Method.NONE
    return Explanation(
        verdict=verdict.outcome,
        status=verdict.status,
        reason=verdict.reason,
        layer=verdict.layer,
        rule=_deciding(verdict, snapshot),
        subject=_shown(asker, snapshot.roles(facts)),
        action=query.action.name,
        resource=query.resource.id,
        steps=told_steps(Question(query, snapshot, now), identity, verdict),
        near_misses=_nearest(verdict, snapshot, facts, public if known else None),
        layers=rulings(layers, facts),
        anonymous=rulings(snapshot.grants, public) if known else (),
        role_paths=role_paths(layers, facts) if known else (),
        concealed=snapshot.concealed(query),
        covered=snapshot.covered(facts),
        covered_by=tuple(islice(covering(snapshot.grants, facts), MOST_RULES)),
        time=now,
        policy_revision=snapshot.revision,
    )


def _seated(
    query: Query, identity: Identity | Rejected, snapshot: Snapshot, now: float
) -> Identity | Rejected:
    """Who asks: nobody, where a session's cookie is refused for whose it is."""
    if isinstance(identity, Rejected) or identity.method is not Method.SESSION:
        return identity
    refused = snapshot.refuses(query, identity, snapshot.facts(query, identity, now))
    return nobody(refused) if refused else identity


def _deciding(verdict: Verdict, snapshot: Snapshot) -> RuleText | None:
    found = (
        rule_text(layer, verdict.rule) for layer in snapshot.layers if layer.name == verdict.layer
    )
    return next(found, None)


def _shown(identity: Identity | None, roles: tuple[str, ...]) -> Asker | None:
    return Asker(identity.id, identity.type, identity.method, roles) if identity else None


def _nearest(
    verdict: Verdict, snapshot: Snapshot, facts: Facts, public: Facts | None
) -> tuple[NearMiss, ...]:
    """What came nearest to allowing, where more rules or roles would have changed the verdict."""
    refused = verdict.outcome in (Outcome.FORBIDDEN, Outcome.NOT_FOUND)
    if not refused or verdict.reason is Reason.SUBJECT_MISMATCH:
        return ()
    if verdict.layer is None:
        return near_misses(snapshot.grants, facts, public)
    # A grant layer that refuses does so by a deny row, which no allow row makes up for.
    guards = (*snapshot.early_guards, *snapshot.late_guards, *snapshot.step_ups)
    return near_misses((guard for guard in guards if guard.name == verdict.layer), facts)
