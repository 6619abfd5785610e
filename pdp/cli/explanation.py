"""An explanation as people read it: the verdict first, then its grounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pdp.cli.terminal import Part, say
from pdp.model import Method, Outcome, Reason
from pdp.policy.effect import Decision
from pdp.policy.explain import LayerRuling, RolePath, RuleText
from pdp.policy.near_misses import NearMiss, Operand
from pdp.runtime.explain import Explanation
from pdp.runtime.steps import Step

_WIDTH: Final = 12
_STYLES: Final = {Decision.ALLOW: "green", Decision.DENY: "red", Decision.NONE: "dim"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A logged decision beside its explanation of today; `note` says what the log cannot tell."""

    decision_id: str
    time: str
    status: int
    reason: Reason
    policy_revision: str
    policy_changed: bool
    verdict_changed: bool
    subject_known: bool
    note: str


def show_recorded(recorded: Recorded) -> None:
    """Print what was decided then, and what keeps it from being compared."""
    say((f"{recorded.status} {recorded.reason}", "bold"), f"  as decided at {recorded.time}")
    _field("decision", recorded.decision_id)
    _field("verdict", "another one now" if recorded.verdict_changed else "the same now")
    then = f"changed since: it was {recorded.policy_revision or 'not recorded'}"
    _field("policy", then if recorded.policy_changed else "the same revision now")
    if not recorded.subject_known:
        _field("subject", "not recorded: taken for nobody")
    _field("note", recorded.note)
    say()


def show_explanation(told: Explanation) -> None:
    """Print it, a paragraph for each of its parts."""
    style = "bold green" if told.verdict is Outcome.ALLOW else "bold red"
    say((f"{told.status} {told.verdict}", style), f"  {told.reason}")
    _field("question", f"{told.action} {told.resource}")
    _show_subject(told)
    if told.layer:
        _field("decided by", _decided(told.layer, told.rule))
    for index, step in enumerate(told.steps):
        _field("" if index else "steps", *_step(step))
    for index, miss in enumerate(told.near_misses):
        _field("" if index else "near misses", _rule(miss.rule))
        _field("", "  ", *_missed(miss))
    for index, path in enumerate(told.role_paths):
        _field("" if index else "roles", _path(path))
    for index, ruling in enumerate(told.layers):
        _field("" if index else "layers", *_ruling(ruling))
    public = [ruling for ruling in told.anonymous if ruling.decision is Decision.ALLOW]
    for ruling in public:
        _field("anybody", *_ruling(ruling))
    _show_resource(told)
    _field("policy", told.policy_revision)


def _field(name: str, *parts: Part) -> None:
    say((f"  {name:<{_WIDTH}}", "bold"), *parts)


def _show_subject(told: Explanation) -> None:
    if told.subject is None:
        _field("subject", "nobody: the credential was refused")
        return
    roles = ", ".join(told.subject.roles) or "none"
    how = "not logged in" if told.subject.method is Method.NONE else told.subject.method
    _field("subject", f"{told.subject.id} ({how}), roles: {roles}")


def _decided(layer: str, rule: RuleText | None) -> str:
    return f"{layer}: {_rule(rule)}" if rule else f"{layer}, where no rule allows it"


def _rule(rule: RuleText) -> str:
    return f"{rule.rule}  {rule.text}"


def _step(step: Step) -> tuple[Part, ...]:
    said = f"{step.number} {step.name}: {step.found}"
    if step.verdict is None:
        return (said,)
    style = "green" if step.verdict is Outcome.ALLOW else "red"
    return said, " → ", (step.verdict, style)


def _missed(miss: NearMiss) -> tuple[Part, ...]:
    """`fails regexMatch(r.act, p.act): `DELETE` against `^GET$``."""
    how = "is not known" if miss.unknown else "fails"
    values = " against ".join(_operand(operand) for operand in miss.operands)
    public = ", for anybody" if miss.public else ""
    return (miss.clause, "yellow"), f" {how}{public}: {values}"


def _operand(operand: Operand) -> str:
    """A text in backticks, so that a number is told from its digits; and the roles of a member."""
    if not operand.known:
        return f"{operand.source} (no value)"
    value = f"`{operand.value}`" if isinstance(operand.value, str) else str(operand.value)
    if operand.roles is None:
        return value
    return f"{value} (roles: {', '.join(operand.roles) or 'none'})"


def _path(path: RolePath) -> str:
    """`alice → member (rbac.csv:23)`."""
    steps = "".join(f" → {step.role} ({step.rule or 'asserted'})" for step in path.steps)
    domain = f" in {path.domain}" if path.domain else ""
    return f"{path.layer}{domain}: {path.steps[0].member}{steps}"


def _ruling(ruling: LayerRuling) -> tuple[Part, ...]:
    rule = f"  {_rule(ruling.rule)}" if ruling.rule else ""
    said = (ruling.decision, _STYLES[ruling.decision])
    return f"{ruling.kind:<6} {ruling.layer:<{_WIDTH}} ", said, rule


def _show_resource(told: Explanation) -> None:
    hidden = "concealed: a refusal must not reveal it" if told.concealed else "not concealed"
    covered = "covered by grant rules:" if told.covered else "covered by no grant rule"
    _field("resource", f"{hidden}; {covered}")
    for rule in told.covered_by:
        _field("", f"  {_rule(rule)}")
