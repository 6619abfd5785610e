"""One decision with everything that it rests on, for trusted eyes only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from pdp.model import ANONYMOUS, Action, Identity, Method, Outcome, Query, Reason, Rejected, Verdict
from pdp.pipeline import Question, decide
from pdp.policy.combine import Ground, first_refusal
from pdp.policy.explain import (
    LayerRuling,
    RolePath,
    RuleText,
    covering,
    role_paths,
    rule_text,
    rulings,
    told_briefly,
)
from pdp.policy.facts import Facts
from pdp.policy.near_misses import NearMiss, near_misses
from pdp.policy.snapshot import Snapshot

MOST_RULES: Final = 20  # that an explanation lists as covering the resource


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as far as it was established; all roles, inherited ones included."""

    id: str
    type: str
    method: Method
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One of the seven steps in words; `verdict` is set where the question was decided."""

    number: int
    name: str
    found: str
    verdict: Outcome | None = None


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
    verdict = decide(query, identity, snapshot, now)
    public = snapshot.facts(query, ANONYMOUS, now)
    asker = _asker(identity, verdict)
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
        steps=_steps(Question(query, snapshot, now), identity, verdict),
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


def _asker(identity: Identity | Rejected, verdict: Verdict) -> Identity | None:
    """The identity, unless it was refused: by its credential, or for its name."""
    if isinstance(identity, Rejected):
        return None
    refused = verdict.outcome is Outcome.UNAUTHENTICATED and verdict.identity is None
    return None if refused else identity


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
    guards = (*snapshot.early_guards, *snapshot.late_guards)
    return near_misses((guard for guard in guards if guard.name == verdict.layer), facts)


@dataclass(frozen=True, slots=True)
class _Told:
    """A question and its verdict; `refusal` is what guards say against it."""

    question: Question
    identity: Identity | Rejected
    verdict: Verdict
    asker: Identity
    facts: Facts
    refusal: Ground | None


Found = tuple[str, Outcome | None]


def _steps(question: Question, identity: Identity | Rejected, verdict: Verdict) -> tuple[Step, ...]:
    """What the pipeline asks, asked again to be told; what decides is its verdict alone."""
    asker = ANONYMOUS if isinstance(identity, Rejected) else identity
    facts, entered = question.facts(asker), question.enter()
    waiting = entered if isinstance(entered, Ground) else None
    refusal = waiting or first_refusal(question.snapshot.late_guards, facts)
    told = _Told(question, identity, verdict, asker, facts, refusal)
    steps: list[Step] = []
    for number, (name, tell) in enumerate(_STEPS, 1):
        ended = any(step.verdict for step in steps)
        steps.append(Step(number, name, *(("not reached", None) if ended else tell(told))))
    return tuple(steps)


def _asked(told: _Told) -> Found:
    return f"{told.question.query.action.name} {told.question.query.resource.id}", None


def _entered(told: _Told) -> Found:
    said = told_briefly(told.question.snapshot.early_guards, told.question.facts(ANONYMOUS))
    entered = told.question.enter()
    if isinstance(entered, Verdict):
        return said, entered.outcome
    waits = "; waits for step 7, because the resource is concealed"
    return said + (waits if entered else ""), None


def _identified(told: _Told) -> Found:
    identity = told.identity
    if isinstance(identity, Rejected):
        return f"the credential is refused: {identity.reason}", told.verdict.outcome
    if _asker(identity, told.verdict) is None:
        return f"`{identity.id}` is refused: it is the name of a role", told.verdict.outcome
    nobody = identity.method is Method.NONE
    return "nobody: anonymous" if nobody else f"{identity.id} ({identity.method})", None


def _named(told: _Told) -> Found:
    named = told.question.query.subject
    if told.verdict.reason is Reason.SUBJECT_MISMATCH and named:
        return f"{named.id} is named, the credential is another's", told.verdict.outcome
    return "nobody else is named", None


def _guarded(told: _Told) -> Found:
    if told.question.enter():
        return "not asked: step 2 refuses", None
    return told_briefly(told.question.snapshot.late_guards, told.facts), None


def _granted(told: _Told) -> Found:
    if told.refusal:
        return "not asked: a guard refuses", None
    grants, ground = told.question.snapshot.grants, told.question.grant(told.asker, told.facts)
    said = told_briefly(grants, told.facts)
    if ground.reason is Reason.PUBLIC and told.asker.method is not Method.NONE:
        said += f"; for anybody: {told_briefly(grants, told.question.facts(ANONYMOUS))}"
    reason = ground.reason.replace("_", " ")
    return f"{said}: {reason}", Outcome.ALLOW if ground.allows else None


def _refused(told: _Told) -> Found:
    verdict = told.verdict
    if verdict.outcome is Outcome.UNAUTHENTICATED:
        return "nobody is logged in, and logging in could help", verdict.outcome
    query, snapshot = told.question.query, told.question.snapshot
    covered = snapshot.covered(told.facts)
    said = "some grant rule covers it" if covered else "no grant rule covers it"
    return f"{_hidden(told)}; {said}" if snapshot.concealed(query) else said, verdict.outcome


def _hidden(told: _Told) -> str:
    """Whether a concealed resource is revealed, by the pipeline's answer to that other question."""
    question, reveal = told.question, told.question.snapshot.concealment.reveal_action
    query = replace(question.query, action=Action(reveal))
    if decide(query, told.asker, question.snapshot, question.now).outcome is Outcome.ALLOW:
        return f"concealed, but revealed by {reveal}, which is allowed"
    return f"concealed, and not revealed: {reveal} is refused, too"


_STEPS: Final[tuple[tuple[str, Callable[[_Told], Found]], ...]] = (
    ("question", _asked),
    ("guards without the subject", _entered),
    ("identity", _identified),
    ("subject named", _named),
    ("guards with the subject", _guarded),
    ("grants", _granted),
    ("refusal", _refused),
)
