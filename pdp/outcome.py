"""What can become of a question, and why, as names that stay."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


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
