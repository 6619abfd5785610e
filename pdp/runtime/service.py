"""The service: owns the live snapshot, asks the pipeline, and records every verdict once."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pdp.errors import DeadlineExceeded, Problem, RequestError, Unavailable
from pdp.identity.attempts import Refuses, refuses_nobody
from pdp.model import Credentials, Identity, Outcome, Query, Reason, Rejected, Verdict
from pdp.pipeline import decide, judge
from pdp.policy.snapshot import Snapshot
from pdp.runtime.admission import (
    in_the_clear,
    preflight,
    refuse_credential,
    throttle,
    without_cookie,
)
from pdp.runtime.beside import watch
from pdp.runtime.ids import decision_id
from pdp.runtime.load import Loaded
from pdp.runtime.means import start, stop
from pdp.runtime.metrics import Metrics

log = logging.getLogger("pdp.service")
decisions = logging.getLogger("pdp.decision")


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the id under which it was recorded."""

    verdict: Verdict
    id: str


class Service:
    """What lives between requests. `snapshot` is replaced as a whole, never changed."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.snapshot: Snapshot = loaded.snapshot
        self.authenticator = loaded.authenticator
        self.stopping = False  # no longer ready: let the gateway go elsewhere
        self.stale: tuple[Problem, ...] = ()  # why what stands in the directory is not live
        self.metrics = Metrics()
        self.metrics.policy_loaded(time.time())
        self.watch = watch(loaded.directory, loaded.beside, self.metrics.registry)

    def activate(self, snapshot: Snapshot, now: float) -> None:
        """Make `snapshot` live: one assignment, which requests under way do not see."""
        self.snapshot = snapshot
        self.metrics.policy_loaded(now)

    def reloaded(self, result: str, problems: tuple[Problem, ...]) -> None:
        """Remember how the last reload ended; with problems the live policy is stale."""
        self.stale = problems if result == "rejected" else ()
        self.metrics.reloaded(result, stale=bool(self.stale))

    async def start(self) -> None:
        """Begin to fetch keys and to follow files in the background."""
        self.watch.start()
        await start(self.loaded.beside.equipment)

    async def stop(self) -> None:
        """End what runs in the background."""
        await self.watch.stop()
        await stop(self.loaded.beside.equipment)

    async def judge(
        self,
        query: Query,
        credentials: Credentials,
        snapshot: Snapshot,
        surface: str,
        seconds: float | None = None,
    ) -> Decision:
        """The verdict for a credential that is still to be verified; never raises.

        `seconds` is how long the asker waits, where that is known.
        """
        asked = self._judge(query, credentials, snapshot, seconds)
        return await self._record(asked, query, snapshot, surface)

    async def _judge(
        self, query: Query, credentials: Credentials, snapshot: Snapshot, seconds: float | None
    ) -> Verdict:
        throttled = throttle(query, self.loaded.beside.limits, snapshot)
        if throttled is not None:
            return throttled
        if self.loaded.server.require_https and in_the_clear(query):
            refusal = refuse_credential(credentials, snapshot)
            if refusal is not None:
                return refusal
            credentials = without_cookie(credentials)
        address = query.context.get("ip")
        authenticate = partial(self.authenticate, address=address, seconds=seconds)
        return await judge(query, credentials, authenticate, snapshot, time.time())

    async def preflight(self, query: Query, snapshot: Snapshot, surface: str) -> Decision:
        """The verdict on a CORS preflight that is to be let through; never raises."""
        asked = _preflight(query, snapshot, time.time())
        return await self._record(asked, query, snapshot, surface)

    async def decide(
        self, query: Query, identity: Identity, snapshot: Snapshot, surface: str
    ) -> Decision:
        """The verdict for an identity that the asker vouches for; never raises."""
        asked = _decide(query, identity, snapshot, time.time())
        return await self._record(asked, query, snapshot, surface)

    def refuse(self, error: RequestError, surface: str) -> Decision:
        """The record of a question that could not be understood."""
        verdict = Verdict(
            Outcome.BAD_REQUEST,
            Reason.REQUEST_INVALID,
            revision=self.snapshot.revision,
            detail=str(error),
        )
        decision = Decision(verdict, decision_id())
        self.metrics.decided(verdict, surface, 0)
        facts = {
            "decision_id": decision.id,
            "surface": surface,
            "verdict": verdict.outcome,
            "status": verdict.status,
            "reason": verdict.reason,
            "detail": verdict.detail,
        }
        decisions.info("decision", extra={"facts": facts})
        return decision

    async def authenticate(
        self,
        credentials: Credentials,
        now: float,
        refuses: Refuses = refuses_nobody,
        *,
        address: str | None = None,
        seconds: float | None = None,
    ) -> Identity | Rejected:
        """Who presented these credentials, if not too often by now.

        Unavailable if that cannot be found out in time.
        """
        longest = self.loaded.server.authentication_seconds
        try:
            async with asyncio.timeout(longest if seconds is None else min(longest, seconds)):
                found = await self.authenticator.authenticate(credentials, now, address, refuses)
        except TimeoutError:
            raise DeadlineExceeded from None
        limits = self.loaded.beside.limits
        # Whom the policy refuses is not counted: a 429 would tell that the guess was right.
        if isinstance(found, Rejected) or not limits.asks_who or refuses(found):
            return found
        wait = limits.identity_exceeded(found)
        return found if wait is None else Rejected(Reason.THROTTLED, wait)

    async def _record(
        self, asked: Awaitable[Verdict], query: Query, snapshot: Snapshot, surface: str
    ) -> Decision:
        started = time.perf_counter()
        verdict = await _safely(asked, snapshot)
        seconds = time.perf_counter() - started
        decision = Decision(verdict, decision_id())
        self.metrics.decided(verdict, surface, seconds)
        if decisions.isEnabledFor(logging.INFO):
            decisions.info("decision", extra={"facts": _facts(decision, query, surface, seconds)})
        return decision


async def _preflight(query: Query, snapshot: Snapshot, now: float) -> Verdict:
    return preflight(query, snapshot, now)


async def _decide(query: Query, identity: Identity, snapshot: Snapshot, now: float) -> Verdict:
    return decide(query, identity, snapshot, now)


async def _safely(asked: Awaitable[Verdict], snapshot: Snapshot) -> Verdict:
    """The verdict, or a fault: the asker sees a 503, whatever went wrong."""
    try:
        return await asked
    except Unavailable as error:
        reason = error.reason
    except Exception as error:  # noqa: BLE001 - a bug must neither allow nor pass for a refusal
        reason = Reason.INTERNAL_ERROR
        # Places only: the message of an exception may quote a credential.
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        log.error("decision failed", extra={"facts": {"error": type(error).__name__, "at": where}})  # noqa: TRY400
    return Verdict(Outcome.FAULT, reason, revision=snapshot.revision)


def _facts(decision: Decision, query: Query, surface: str, seconds: float) -> dict[str, Any]:
    """What is logged of a decision: never a credential, never a query string."""
    verdict = decision.verdict
    identity = verdict.identity
    return {
        "decision_id": decision.id,
        "surface": surface,
        "verdict": verdict.outcome,
        "status": verdict.status,
        "reason": verdict.reason,
        "detail": verdict.detail or None,
        "subject": identity.id if identity else None,
        "key_id": identity.key_id if identity else None,
        "action": query.action.name,
        "resource": query.resource.id,
        "ip": query.context.get("ip"),
        "country": query.context.get("country"),
        "layer": verdict.layer,
        "rule": str(verdict.rule) if verdict.rule else None,
        "policy_revision": verdict.revision,
        "duration_us": round(seconds * 1e6),
    }
