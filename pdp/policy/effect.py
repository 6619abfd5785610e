"""Casbin's five policy effects, as data: what ends the search, and what stands at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Decision(StrEnum):
    """What a layer says. DENY is explicit: a deny row determined it; NONE is silence."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Effect:
    """How matched rows, in order, become one decision.

    The first matched row whose decision is in `final` determines. If none does, the decision is
    `otherwise`; with `needs_allow` that holds only if an allow row matched, else it is NONE.
    """

    name: str
    final: frozenset[Decision]
    otherwise: Decision
    needs_allow: bool = False

    @property
    def requires_allow(self) -> bool:
        """Whether nothing is allowed unless an allow row matches."""
        return self.otherwise is not Decision.ALLOW or self.needs_allow

    @property
    def ordered(self) -> bool:
        """Whether the first row that matches determines, whatever it decides."""
        return len(self.final) > 1

    @property
    def heeds_allow(self) -> bool:
        """Whether a matched allow row changes anything."""
        return Decision.ALLOW in self.final or self.needs_allow

    @property
    def honours_deny(self) -> bool:
        """Whether a matched deny row changes anything."""
        return Decision.DENY in self.final


_ALLOW, _DENY = frozenset({Decision.ALLOW}), frozenset({Decision.DENY})

EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        effect.name: effect
        for effect in (
            Effect("some(where (p.eft == allow))", _ALLOW, Decision.NONE),
            Effect("!some(where (p.eft == deny))", _DENY, Decision.ALLOW),
            Effect(
                "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
                _DENY,
                Decision.ALLOW,
                needs_allow=True,
            ),
            Effect("priority(p.eft) || deny", _ALLOW | _DENY, Decision.NONE),
            Effect("subjectPriority(p.eft) || deny", _ALLOW | _DENY, Decision.NONE),
        )
    }
)
SUBJECT_PRIORITY: Final = "subjectPriority(p.eft) || deny"
