"""By whom and under which ids a decision is asked for, noted once for each request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACE: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?"
)


class Headers(Protocol):
    """Case-insensitive header fields."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Every value of a field, in order."""
        ...


class Asking(NamedTuple):
    """What came with a request, not looked at yet, and the name of its caller, if it has one."""

    request_ids: Sequence[str] = ()
    traceparents: Sequence[str] = ()
    caller: str | None = None


NOBODY: Final = Asking()
_ASKING: ContextVar[Asking] = ContextVar("asking", default=NOBODY)


def note_request(headers: Headers) -> None:
    """Remember the ids of the request that is answered from here on."""
    ids = headers.getall("X-Request-ID", ()), headers.getall("traceparent", ())
    _ASKING.set(Asking(*ids) if ids != ((), ()) else NOBODY)


def note_caller(name: str) -> None:
    """Remember which caller's key the request showed."""
    _ASKING.set(_ASKING.get()._replace(caller=name))


def go_on_asking(noted: Asking) -> None:
    """Remember what was noted before, in a task that goes on with the request."""
    _ASKING.set(noted)


def asking() -> Asking:
    """What is noted of the request under way."""
    return _ASKING.get()


def request_id(values: Sequence[str]) -> str | None:
    """The id that the asker gave the request, if it is one, and plain and short."""
    return values[0] if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]) else None


def trace_id(values: Sequence[str]) -> str | None:
    """The trace that the request belongs to, by a sound `traceparent` (W3C Trace Context §3.2)."""
    found = _TRACE.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == "00" and found[3] is not None):  # later versions may add more
        return None
    return found[2]
