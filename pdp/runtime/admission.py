"""What is settled before a credential is looked at: how often, by what way, and preflights."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pdp.model import ANONYMOUS, Credentials, Outcome, Query, Reason, Verdict
from pdp.pipeline import Question, decide
from pdp.policy.snapshot import Snapshot
from pdp.runtime.limits import Limits

_IN_THE_CLEAR: Final = "a credential came over plain http"


def in_the_clear(query: Query) -> bool:
    """Whether the asker says that the question came by anything but https."""
    return bool(query.context.get("scheme", "https") != "https")


def throttle(query: Query, limits: Limits, snapshot: Snapshot) -> Verdict | None:
    """The refusal of one request too many from an address, for whatever resource; counts it."""
    address = query.context.get("ip")
    wait = limits.address_exceeded(address) if isinstance(address, str) else None
    if wait is None:
        return None
    revision = snapshot.revision
    return Verdict(Outcome.THROTTLED, Reason.THROTTLED, revision=revision, retry_after=wait)


def refuse_credential(credentials: Credentials, snapshot: Snapshot) -> Verdict | None:
    """The refusal of a credential that came in the clear; None if there is none.

    Logging in would not mend it, so it is a 403; the same for every resource and for good and bad
    credentials alike, because none is looked at.
    """
    if not credentials.presented:
        return None
    return Verdict(
        Outcome.FORBIDDEN, Reason.GUARD_DENIED, revision=snapshot.revision, detail=_IN_THE_CLEAR
    )


def without_cookie(credentials: Credentials) -> Credentials:
    """A cookie that came in the clear counts as none: nobody chose to send it."""
    return replace(credentials, cookie=None)


def preflight(query: Query, snapshot: Snapshot, now: float) -> Verdict:
    """The verdict on a CORS preflight that the operator lets through; pure.

    Guards that do not ask for the subject refuse it as they refuse everything else.
    """
    if Question(query, snapshot, now).enter() is not None:
        return decide(query, ANONYMOUS, snapshot, now)
    return Verdict(
        Outcome.ALLOW, Reason.PUBLIC, ANONYMOUS, revision=snapshot.revision, detail="preflight"
    )
