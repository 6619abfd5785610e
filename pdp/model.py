"""The frozen values that every floor shares: the question, who asks, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

from msgspec import Struct

from pdp.outcome import STATUS as STATUS
from pdp.outcome import Outcome as Outcome
from pdp.outcome import Reason as Reason

Properties = Mapping[str, Any]
Roles = tuple[str, ...]
NO_PROPERTIES: Final[Properties] = MappingProxyType({})
ANONYMOUS_ID: Final = "anonymous"
SUBJECT_TYPE: Final = "user"
RESOURCE_TYPE: Final = "resource"


class Entity(Struct, frozen=True):
    """A subject or a resource, as in AuthZEN: a type, an id, and properties."""

    type: str
    id: str
    properties: Properties = NO_PROPERTIES


class Action(Struct, frozen=True):
    """What the subject wants to do; for gateways the HTTP method, exactly as it came."""

    name: str
    properties: Properties = NO_PROPERTIES


class Query(Struct, frozen=True):
    """One canonical question: may this subject do this action on this resource?

    `subject` is whom the asker names, if anybody. `vouched` says that the asker may speak for
    the subject: its properties and `context.time` are then believed.
    """

    action: Action
    resource: Entity
    context: Properties = NO_PROPERTIES
    subject: Entity | None = None
    vouched: bool = False

    def is_about(self, identity: Identity) -> bool:
        """Whether this is whom the asker names, if anybody."""
        named = self.subject
        return named is None or (named.type, named.id) == (identity.type, identity.id)

    def names_another(self, identity: Identity) -> bool:
        """Whether the asker names somebody else than the credential does."""
        return identity.authenticated and not self.is_about(identity)


class _Discreet(Struct, frozen=True):
    """A value of whose fields `_private` ones stay out of every repr."""

    _private: ClassVar[frozenset[str]]

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        names = (name for name in self.__struct_fields__ if name not in self._private)
        return [(name, getattr(self, name)) for name in names]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Credentials(_Discreet, frozen=True):
    """What was presented to prove who asks; the values stay out of every repr.

    At most one of `token`, `authorization` (a whole header value) and `api_key` is set: surfaces
    refuse the rest as ambiguous. `cookie` is a whole Cookie header value, sent unasked.
    """

    token: str | None = None
    authorization: str | None = None
    api_key: str | None = None
    cookie: str | None = None

    _private: ClassVar = frozenset({"token", "authorization", "api_key", "cookie"})

    @property
    def presented(self) -> bool:
        """Whether there is anything that somebody chose to send."""
        return (self.token, self.authorization, self.api_key) != (None, None, None)


class Method(StrEnum):
    """How an identity came to be believed."""

    NONE = "none"
    VOUCHED = "vouched"
    BEARER = "bearer"
    API_KEY = "api_key"
    BASIC = "basic"
    SESSION = "session"


_UNPROVEN: Final = (Method.NONE, Method.VOUCHED)


class Identity(_Discreet, frozen=True):
    """Who asks, as far as it was established.

    `claims` are the verified statements of the credential; `roles` are those it may assert,
    valid in `domain` where roles have one. `expires` is in Unix seconds, leeway included.
    `key_id` names an API key. `refused` is why a cookie, which nobody chose to send, counts as
    none: its identity is that of nobody.
    """

    id: str
    type: str = SUBJECT_TYPE
    method: Method = Method.NONE
    claims: Properties = NO_PROPERTIES
    roles: tuple[str, ...] = ()
    domain: str | None = None
    issuer: str | None = None
    kid: str | None = None
    expires: float | None = None
    key_id: str | None = None
    refused: Rejected | None = None

    _private: ClassVar = frozenset({"claims"})

    @property
    def authenticated(self) -> bool:
        """Whether a credential (not merely a caller's word) stands behind this identity."""
        return self.method not in _UNPROVEN


ANONYMOUS: Final = Identity(ANONYMOUS_ID)

# What a credential of each kind is called that is no good.
INVALID: Final[Mapping[Method, Reason]] = MappingProxyType(
    {
        Method.VOUCHED: Reason.TOKEN_INVALID,
        Method.BEARER: Reason.TOKEN_INVALID,
        Method.API_KEY: Reason.API_KEY_INVALID,
        Method.BASIC: Reason.PASSWORD_INVALID,
        Method.SESSION: Reason.SESSION_INVALID,
    }
)


def vouched_identity(query: Query) -> Identity:
    """Who asks, by the caller's word; nobody where it names nobody, or `anonymous`."""
    if query.subject is None or query.subject.id == ANONYMOUS_ID:
        return ANONYMOUS
    return Identity(query.subject.id, query.subject.type, Method.VOUCHED)


class Rejected(Struct, frozen=True):
    """Why a credential that was presented gets nobody any further; mostly a 401.

    `retry_after` is in seconds, where waiting helps. `detail` is for logs only.
    """

    reason: Reason
    retry_after: int | None = None
    detail: str = ""

    @property
    def outcome(self) -> Outcome:
        """What becomes of the question."""
        return _REJECTED.get(self.reason, Outcome.UNAUTHENTICATED)


def rejected(identity: Identity, reason: Reason) -> Rejected:
    """The refusal of an identity whose credential is good in itself.

    Only for tokens does it have a reason of its own: a right guess must look like a wrong one.
    """
    if identity.method in (Method.BEARER, Method.VOUCHED):
        return Rejected(reason)
    return Rejected(INVALID[identity.method], detail=reason)


def nobody(refused: Rejected) -> Identity:
    """Who presented nothing but a cookie that is no good."""
    return Identity(ANONYMOUS_ID, refused=refused)


# Logging in would fix none of these. Faults are a cookie's, which may turn out not to matter.
_REJECTED: Final[Mapping[Reason, Outcome]] = MappingProxyType(
    {
        Reason.REQUEST_INVALID: Outcome.BAD_REQUEST,
        Reason.CLIENT_BLOCKED: Outcome.FORBIDDEN,
        Reason.THROTTLED: Outcome.THROTTLED,
        Reason.KEYS_UNAVAILABLE: Outcome.FAULT,
        Reason.DEADLINE_EXCEEDED: Outcome.FAULT,
        Reason.INTERNAL_ERROR: Outcome.FAULT,
    }
)


class Rule(Struct, frozen=True):
    """Where a policy row stands; its text form is `file:line`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Verdict(Struct, frozen=True):
    """The structured answer: outcome and reason, and what they rest on.

    `roles` are all roles the subject holds, inherited ones included, sorted. `revision` names
    the policy that was judged, `sha256:…`. `detail` is for logs and trusted callers only.
    `retry_after` is in seconds. `demands` are parameters for the challenge: what a credential
    would have to have, by name (RFC 6750 §3, RFC 9470 §3); none where that must not be told.
    """

    outcome: Outcome
    reason: Reason
    identity: Identity | None = None
    roles: Roles = ()
    layer: str | None = None
    rule: Rule | None = None
    revision: str = ""
    detail: str = ""
    retry_after: int | None = None
    demands: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status code of this verdict."""
        return STATUS[self.outcome]


class Answer(Struct, frozen=True):
    """A verdict rendered for one profile: status, header fields in order, and body bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
