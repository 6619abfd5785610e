"""How the rulings of several layers become one: guards must all allow, one grant is enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pdp.model import Identity, Outcome, Reason, Roles, Rule, Verdict
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts, Source
from pdp.policy.layer import Layer

_ALLOW, _DENY, _GRANTED = Decision.ALLOW, Decision.DENY, Reason.GRANTED
_ALLOWING: Final = (Reason.GRANTED, Reason.PUBLIC)


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
        return self.reason in _ALLOWING

    def asks_for(self, source: Source) -> bool:
        """Whether the layer that gave it reads that part of the question."""
        return self.layer is not None and source in self.layer.depends

    def verdict(
        self, outcome: Outcome, revision: str, who: Identity | None = None, roles: Roles = ()
    ) -> Verdict:
        """The verdict that rests on this, about somebody as known by the policy `revision`."""
        layer, demands = None if self.layer is None else self.layer.name, self.demands
        return Verdict(
            outcome, self.reason, who, roles, layer, self.rule, revision, self.detail, None, demands
        )


NOT_GRANTED: Final = Ground(Reason.NOT_GRANTED)


def first_refusal(guards: Iterable[Layer], facts: Facts) -> Ground | None:
    """The first guard that does not allow, or None if all do; the work is the same."""
    first: Ground | None = None
    for guard in guards:
        ruling = guard.judge(facts)
        if first is None and ruling.decision is not _ALLOW:
            demands = ((name, ruling.values[i]) for name, i in guard.demands if ruling.values)
            first = Ground(guard.reason, guard, ruling.rule, tuple(demands))
    return first


def judge_grants(grants: Iterable[Layer], facts: Facts) -> Ground:
    """Granted, explicitly denied or not granted; an explicit deny of any layer wins.

    The work is the same for all of them.
    """
    granted: Ground | None = None
    denied: Ground | None = None
    for layer in grants:
        ruling = layer.judge(facts)
        if granted is None and ruling.decision is _ALLOW:
            granted = Ground(_GRANTED, layer, ruling.rule)
        elif denied is None and ruling.decision is _DENY:
            denied = Ground(Reason.EXPLICITLY_DENIED, layer, ruling.rule)
    return denied or granted or NOT_GRANTED
