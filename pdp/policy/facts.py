"""What is known about one question: entities with their properties, and the context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pdp.model import NO_PROPERTIES, Identity, Method, Properties, Query


class Everywhere(Enum):
    """What stands for every domain, and is none."""

    DOMAIN = "every domain"


Domain = str | Everywhere | None
EVERY_DOMAIN: Final = Everywhere.DOMAIN
_NONE: Final = Method.NONE
Entities = Mapping[tuple[str, str], Properties]


class Unknown(Exception):
    """Raised where a clause asks for something that is not known."""


class Source(StrEnum):
    """The parts of a question that a clause can depend on."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"
    CONTEXT = "context"


class Known(msgspec.Struct, frozen=True):
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


class Facts(msgspec.Struct, frozen=True):
    """Everything that templates and matchers can reach.

    `context` lacks the time, of which `moment` is the one that the asker may state. `asserted`
    are roles that come with the request: (role, domain), of no domain where that is None.
    """

    subject: Known
    resource: Known
    action: Known
    context: Properties
    asserted: tuple[tuple[str, Domain], ...]
    now: float
    moment: Instant | None = None
    kept: dict[str, Any] = {}  # what each layer has worked out, by its name

    @property
    def time(self) -> Instant:
        """The fact `context.time`, made only where somebody asks."""
        return self.moment or Instant.at(self.now)


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
    action, what = query.action, query.resource
    own, moment = NO_PROPERTIES, None
    if query.vouched:
        given = query.context.get("time")
        moment = given if isinstance(given, Instant) else None
        if query.subject is not None and identity.method is not _NONE:
            own = query.subject.properties
    subject = Known(identity.type, identity.id, (identity.claims, own))
    resource = Known(what.type, what.id, (what.properties,))
    if entities:
        subject = _listed(subject, entities, vouched=query.vouched)
        resource = _listed(resource, entities, vouched=query.vouched)
    return Facts(
        subject,
        resource,
        Known("", action.name, (action.properties,)),
        query.context,
        _asserted(identity, authenticated_role) if identity.roles or authenticated_role else (),
        now,
        moment,
    )


NOBODY: Final = Facts(Known("", ""), Known("", ""), Known("", ""), {}, (), 0.0)


def _listed(known: Known, entities: Entities, *, vouched: bool) -> Known:
    """The same with what `entities` say of it, before the request or behind it."""
    stored = entities.get((known.type, known.id))
    if not stored:
        return known
    *claims, given = known.sources
    order = (given, stored) if vouched else (stored, given)
    return Known(known.type, known.id, (*claims, *order))


def _asserted(identity: Identity, authenticated_role: str | None) -> tuple[tuple[str, Domain], ...]:
    roles: list[tuple[str, Domain]] = [(r, identity.domain or None) for r in identity.roles]
    if authenticated_role and identity.method is not _NONE:
        roles.append((authenticated_role, EVERY_DOMAIN))
    return tuple(roles)
