"""An explanation as people read it: the verdict first, then its grounds."""

from __future__ import annotations

from typing import Final

from pdp.cli.terminal import Part, say
from pdp.model import Method, Outcome
from pdp.policy.effect import Decision
from pdp.policy.explain import LayerRuling, RolePath, RuleText
from pdp.runtime.explain import Explanation

_WIDTH: Final = 12
_STYLES: Final = {Decision.ALLOW: "green", Decision.DENY: "red", Decision.NONE: "dim"}


def show_explanation(told: Explanation) -> None:
    """Print it, a paragraph for each of its parts."""
    style = "bold green" if told.verdict is Outcome.ALLOW else "bold red"
    say((f"{told.status} {told.verdict}", style), f"  {told.reason}")
    _field("question", f"{told.action} {told.resource}")
    _show_subject(told)
    if told.layer:
        _field("decided by", _decided(told.layer, told.rule))
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
