"""How the rulings of several layers become one: guards must all allow, one grant is enough."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pdp.model import Identity, Outcome, Reason, Rule, Verdict
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts
from pdp.policy.layer import Layer


class Ground(msgspec.Struct, frozen=True):
    """What a verdict rests on: its reason, and the layer and rule that gave it, if one did.

    `demands` say what a better credential would have, for the challenge.
    """

    reason: Reason
    layer: Layer | None = None
    rule: Rule | None = None
    demands: tuple[tuple[str, str], ...] = ()
    detail: str = ""

    @property
    def allows(self) -> bool:
        """Whether this is a ground to allow."""
        return self.reason in (Reason.GRANTED, Reason.PUBLIC)

    def verdict(
        self, outcome: Outcome, who: Identity | None, roles: tuple[str, ...], revision: str
    ) -> Verdict:
        """The verdict that rests on this, about somebody as known by the policy `revision`."""
        return Verdict(
            outcome,
            self.reason,
            who,
            roles,
            layer=self.layer.name if self.layer else None,
            rule=self.rule,
            revision=revision,
            detail=self.detail,
            demands=self.demands,
        )


def first_refusal(guards: Iterable[Layer], facts: Facts) -> Ground | None:
    """The first guard that does not allow, or None if all do."""
    for guard in guards:
        ruling = guard.judge(facts)
        if ruling.decision is not Decision.ALLOW:
            demands = ((name, ruling.values[i]) for name, i in guard.demands if ruling.values)
            return Ground(guard.reason, guard, ruling.rule, tuple(demands))
    return None


def judge_grants(grants: Iterable[Layer], facts: Facts) -> Ground:
    """Granted, explicitly denied or not granted; an explicit deny of any layer wins."""
    granted: Ground | None = None
    for layer in grants:
        ruling = layer.judge(facts)
        if ruling.decision is Decision.DENY:
            return Ground(Reason.EXPLICITLY_DENIED, layer, ruling.rule)
        if ruling.decision is Decision.ALLOW and granted is None:
            granted = Ground(Reason.GRANTED, layer, ruling.rule)
    return granted or Ground(Reason.NOT_GRANTED)
