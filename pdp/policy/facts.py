"""What is known about one question: entities with their properties, and the context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pdp.model import ANONYMOUS, Entity, Identity, Method, Properties, Query

Entities = Mapping[tuple[str, str], Properties]


class Unknown(Exception):
    """Raised where a clause asks for something that is not known."""


class Source(StrEnum):
    """The parts of a question that a clause can depend on."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Known:
    """One entity as known: `sources` hold its properties, the most trusted first."""

    type: str
    id: str
    sources: tuple[Properties, ...] = ()

    def property(self, name: str) -> Any:
        """The value from the most trusted source that has it, or Unknown."""
        for source in self.sources:
            if name in source:
                return source[name]
        raise Unknown


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that templates and matchers can reach.

    `asserted` are roles that come with the request: (role, domain), None being every domain.
    """

    subject: Known
    resource: Known
    action: Known
    context: Properties
    asserted: tuple[tuple[str, str | None], ...]
    now: float
    frames: dict[str, Any] = field(default_factory=dict, compare=False)  # each layer's view, kept


class Instant(str):
    """A point in time: an RFC 3339 text in UTC, with numeric parts as attributes."""

    __slots__ = ("moment",)
    moment: datetime

    @classmethod
    def at(cls, seconds: float) -> Instant:
        """The instant `seconds` after the Unix epoch."""
        moment = datetime.fromtimestamp(seconds, UTC)
        instant = cls(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
        instant.moment = moment
        return instant


_PARTS: Final[Mapping[str, Callable[[datetime], int]]] = MappingProxyType(
    {
        "year": lambda m: m.year,
        "month": lambda m: m.month,
        "day": lambda m: m.day,
        "weekday": lambda m: m.isoweekday(),
        "hour": lambda m: m.hour,
        "minute": lambda m: m.minute,
        "unix": lambda m: int(m.timestamp()),
    }
)


def step_into(value: Any, name: str) -> Any:
    """`value.name`: a member of an object, or a part of an instant; Unknown for all else.

    INVARIANT: nothing of Python itself is reachable from a matcher (CVE-2026-32640).
    """
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, Instant) and name in _PARTS:
        return _PARTS[name](value.moment)
    raise Unknown


def gather(
    query: Query, identity: Identity, entities: Entities, now: float, authenticated_role: str | None
) -> Facts:
    """The facts of `query` when `identity` asks it.

    Precedence of properties: token claims, `entities`, the request; where the asker vouches,
    the request comes before `entities`, and only then has it properties of the subject.
    """
    named = query.subject.properties if query.subject and query.vouched else {}
    own = named if identity is not ANONYMOUS else {}
    subject = Entity(identity.type, identity.id, own)
    return Facts(
        subject=_known(subject, entities, query.vouched, identity.claims),
        resource=_known(query.resource, entities, query.vouched),
        action=Known("", query.action.name, (query.action.properties,)),
        context=_context(query, now),
        asserted=_asserted(identity, authenticated_role),
        now=now,
    )


def _known(
    entity: Entity, entities: Entities, vouched: bool, claims: Properties | None = None
) -> Known:
    stored = entities.get((entity.type, entity.id))
    order = (entity.properties, stored) if vouched else (stored, entity.properties)
    return Known(entity.type, entity.id, tuple(s for s in (claims, *order) if s))


def _context(query: Query, now: float) -> Properties:
    """The asker's facts with the PDP's own clock, unless the asker may say what time it is."""
    given = query.context.get("time") if query.vouched else None
    return {**query.context, "time": given if isinstance(given, Instant) else Instant.at(now)}


def _asserted(
    identity: Identity, authenticated_role: str | None
) -> tuple[tuple[str, str | None], ...]:
    roles: list[tuple[str, str | None]] = [(r, identity.domain or "") for r in identity.roles]
    if authenticated_role and identity.method is not Method.NONE:
        roles.append((authenticated_role, None))
    return tuple(roles)
