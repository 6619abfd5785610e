"""The seven steps of a decision in words, each found by asking the pipeline's own functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pdp.model import ANONYMOUS, Identity, Method, Outcome, Reason, Rejected, Verdict
from pdp.pipeline import Question
from pdp.policy.combine import Ground, first_refusal
from pdp.policy.explain import told_briefly
from pdp.policy.facts import Facts


@dataclass(frozen=True, slots=True)
class Step:
    """One of the seven steps in words; `verdict` is set where the question was decided."""

    number: int
    name: str
    found: str
    verdict: Outcome | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """A question and its verdict; `refusal` is what guards say against it."""

    question: Question
    identity: Identity | Rejected
    verdict: Verdict
    asker: Identity
    facts: Facts
    refusal: Ground | None


def established(identity: Identity | Rejected, verdict: Verdict) -> Identity | None:
    """The identity, unless it was refused: by its credential, or for its name."""
    if isinstance(identity, Rejected):
        return None
    refused = verdict.outcome is Outcome.UNAUTHENTICATED and verdict.identity is None
    return None if refused else identity


Found = tuple[str, Outcome | None]


def told_steps(
    question: Question, identity: Identity | Rejected, verdict: Verdict
) -> tuple[Step, ...]:
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
    if established(identity, told.verdict) is None:
        disabled = Reason.ACCOUNT_DISABLED in (told.verdict.reason, told.verdict.detail)
        why = "its account is disabled" if disabled else "it is the name of a role"
        return f"`{identity.id}` is refused: {why}", told.verdict.outcome
    if identity.refused is not None:
        return f"nobody: the cookie is refused: {identity.refused.detail}", None
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
    said += f": {ground.reason.replace('_', ' ')}"
    step_ups = told.question.snapshot.step_ups
    if ground.allows and first_refusal(step_ups, told.facts):
        return f"{said}; of whom that allows: {told_briefly(step_ups, told.facts)}", None
    return said, Outcome.ALLOW if ground.allows else None


def _refused(told: _Told) -> Found:
    verdict = told.verdict
    if verdict.reason is Reason.STEP_UP_REQUIRED:
        return "a stronger or more recent login could help", verdict.outcome
    if verdict.outcome is Outcome.UNAUTHENTICATED:
        return "nobody is logged in, and logging in could help", verdict.outcome
    query, snapshot = told.question.query, told.question.snapshot
    covered = snapshot.covered(told.facts)
    said = "some grant rule covers it" if covered else "no grant rule covers it"
    return f"{_hidden(told)}; {said}" if snapshot.concealed(query) else said, verdict.outcome


def _hidden(told: _Told) -> str:
    """Whether a concealed resource is revealed, as the pipeline finds it."""
    reveal = told.question.snapshot.concealment.reveal_action
    if told.question.revealed(told.asker):
        return f"concealed, but revealed by {reveal}, which is granted"
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
