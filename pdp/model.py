"""The frozen values that every floor shares: the question, who asks, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

Properties = Mapping[str, Any]
NO_PROPERTIES: Final[Properties] = MappingProxyType({})


def _none() -> Properties:
    return NO_PROPERTIES


ANONYMOUS_ID: Final = "anonymous"
SUBJECT_TYPE: Final = "user"
RESOURCE_TYPE: Final = "resource"


class Outcome(StrEnum):
    """What became of a question; `STATUS` gives its HTTP status code."""

    ALLOW = "allow"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    THROTTLED = "throttled"
    BAD_REQUEST = "bad_request"
    FAULT = "fault"


STATUS: Final[Mapping[Outcome, int]] = MappingProxyType(
    {
        Outcome.ALLOW: 200,
        Outcome.BAD_REQUEST: 400,
        Outcome.UNAUTHENTICATED: 401,
        Outcome.FORBIDDEN: 403,
        Outcome.NOT_FOUND: 404,
        Outcome.THROTTLED: 429,
        Outcome.FAULT: 503,
    }
)


class Reason(StrEnum):
    """Why, as a stable name: for logs, metrics and trusted callers, never for end clients."""

    GRANTED = "granted"
    PUBLIC = "public"
    CREDENTIALS_MISSING = "credentials_missing"
    CREDENTIALS_MALFORMED = "credentials_malformed"
    SCHEME_UNSUPPORTED = "scheme_unsupported"
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    ISSUER_UNKNOWN = "issuer_unknown"
    AUDIENCE_MISMATCH = "audience_mismatch"
    TOKEN_REVOKED = "token_revoked"
    ACCOUNT_DISABLED = "account_disabled"
    API_KEY_INVALID = "api_key_invalid"
    PASSWORD_INVALID = "password_invalid"
    SESSION_INVALID = "session_invalid"
    STEP_UP_REQUIRED = "step_up_required"
    NOT_GRANTED = "not_granted"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    EXPLICITLY_DENIED = "explicitly_denied"
    GUARD_DENIED = "guard_denied"
    SUBJECT_MISMATCH = "subject_mismatch"
    CLIENT_BLOCKED = "client_blocked"
    CONCEALED = "concealed"
    RESOURCE_UNKNOWN = "resource_unknown"
    THROTTLED = "throttled"
    REQUEST_INVALID = "request_invalid"
    KEYS_UNAVAILABLE = "keys_unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Entity:
    """A subject or a resource, as in AuthZEN: a type, an id, and properties."""

    type: str
    id: str
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Action:
    """What the subject wants to do; for gateways the HTTP method, exactly as it came."""

    name: str
    properties: Properties = field(default_factory=_none)


class Query(msgspec.Struct, frozen=True):
    """One canonical question: may this subject do this action on this resource?

    `subject` is whom the asker names, if anybody. `vouched` says that the asker may speak for
    the subject: its properties and `context.time` are then believed.
    """

    action: Action
    resource: Entity
    context: Properties = NO_PROPERTIES
    subject: Entity | None = None
    vouched: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was presented to prove who asks; the values stay out of every repr.

    At most one of `token`, `authorization` (a whole header value) and `api_key` is set: surfaces
    refuse the rest as ambiguous. `cookie` is a whole Cookie header value, sent unasked.
    """

    token: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    cookie: str | None = field(default=None, repr=False)

    @property
    def presented(self) -> bool:
        """Whether there is anything that somebody chose to send."""
        return (self.token, self.authorization, self.api_key) != (None, None, None)


class Method(StrEnum):
    """How an identity came to be believed."""

    NONE = "none"
    VOUCHED = "vouched"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, as far as it was established.

    `claims` are the verified statements of the credential; `roles` are those it may assert,
    valid in `domain` where roles have one. `expires` is in Unix seconds, leeway included.
    """

    id: str
    type: str = SUBJECT_TYPE
    method: Method = Method.NONE
    claims: Properties = field(default_factory=_none, repr=False)
    roles: tuple[str, ...] = ()
    domain: str | None = None
    issuer: str | None = None
    kid: str | None = None
    expires: float | None = None

    @property
    def authenticated(self) -> bool:
        """Whether a credential (not merely a caller's word) stands behind this identity."""
        return self.method not in (Method.NONE, Method.VOUCHED)


ANONYMOUS: Final = Identity(ANONYMOUS_ID)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A credential that was presented and is not good: always a 401."""

    reason: Reason


class Rule(msgspec.Struct, frozen=True):
    """Where a policy row stands; its text form is `file:line`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Verdict(msgspec.Struct, frozen=True):
    """The structured answer: outcome and reason, and what they rest on.

    `roles` are all roles the subject holds, inherited ones included, sorted. `revision` names
    the policy that was judged, `sha256:…`. `detail` is for logs and trusted callers only.
    """

    outcome: Outcome
    reason: Reason
    identity: Identity | None = None
    roles: tuple[str, ...] = ()
    layer: str | None = None
    rule: Rule | None = None
    revision: str = ""
    detail: str = ""

    @property
    def status(self) -> int:
        """The HTTP status code of this verdict."""
        return STATUS[self.outcome]


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict rendered for one profile: status, header fields in order, and body bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
