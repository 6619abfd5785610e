"""What is asked about, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class _Entity(Struct, frozen=True, omit_defaults=True):
    type: str
    id: str
    properties: dict[str, Any] = {}

    def __hash__(self) -> int:
        return hash((self.type, self.id))


class Subject(_Entity, frozen=True):
    """Who wants to do something; for this project's PDP a type `user`, mostly."""


class Resource(_Entity, frozen=True):
    """What it is done to; this project's PDP calls the type of paths `resource`."""


class Action(Struct, frozen=True, omit_defaults=True):
    """What is done."""

    name: str
    properties: dict[str, Any] = {}

    def __hash__(self) -> int:
        return hash(self.name)


class Evaluation(Struct, frozen=True, omit_defaults=True):
    """One question of many; what is None is taken from what they have in common."""

    subject: Subject | None = None
    action: Action | None = None
    resource: Resource | None = None
    context: dict[str, Any] | None = None

    def __repr__(self) -> str:  # without the context: a token can stand there
        return f"Evaluation({self.subject!r}, {self.action!r}, {self.resource!r}, …)"


class Decision(Struct, frozen=True):
    """The answer to an AuthZEN evaluation; it is true if and only if the PDP allows.

    `context` is what the PDP adds, whole; `status`, `reason` and `decision_id` stand in that of
    this project's PDP, and are None where another one says nothing.
    """

    allowed: bool
    status: int | None = None
    reason: str | None = None
    decision_id: str | None = None
    context: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return self.allowed


class Response(Struct, frozen=True):
    """What to send to the client that is refused, as it is."""

    status: int
    headers: Mapping[str, str]
    body: str


class Verdict(Struct, frozen=True):
    """The answer of this project's PDP; it is true if and only if the PDP allows.

    `subject` is the id of who asks, `anonymous` for nobody, None if that was not established;
    `roles` are all roles that it holds. `reason`, `layer` and `rule` are None unless the caller
    may see reasons.
    """

    verdict: str
    status: int
    subject: str | None
    roles: tuple[str, ...]
    response: Response
    decision_id: str
    policy_revision: str
    reason: str | None = None
    layer: str | None = None
    rule: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the PDP allows."""
        return self.verdict == "allow"

    def __bool__(self) -> bool:
        return self.allowed
