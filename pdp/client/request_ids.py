"""The id under which everybody's logs have one request, handed on to the PDP."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

FIELD: Final = "X-Request-ID"
# Set by the application, or for the time of a request by the middleware.
request_id: Final[ContextVar[str | None]] = ContextVar("pdp_request_id", default=None)

_SOUND: Final = re.compile(r"[\x21-\x7e]{1,200}")


def sound(value: str) -> bool:
    """Whether it is visible ASCII and short: nothing that could begin another header field."""
    return _SOUND.fullmatch(value) is not None


def request_id_field() -> dict[str, str]:
    """The header field with the id that is set, if one is; ValueError if it is not sound."""
    value = request_id.get()
    if value is None:
        return {}
    if not sound(value):
        raise ValueError("request_id: must be 1 to 200 visible ASCII characters")
    return {FIELD: value}
