"""The service: owns the live snapshot, asks the pipeline, and records every verdict once."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct

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
from pdp.runtime.journal import Journal
from pdp.runtime.journal_asking import asking
from pdp.runtime.journal_shapes import Entry
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.load import Loaded
from pdp.runtime.logs import facts_of
from pdp.runtime.means import start, stop
from pdp.runtime.metrics import Metrics
from pdp.runtime.patience import within

log = logging.getLogger("pdp.service")


Began = tuple[float, float]  # when a question was asked: in Unix seconds, and by the steady clock


class Decision(Struct, frozen=True):
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
        self.journal: Journal | None = None  # the decision log, where there is one
        self.page_key = os.urandom(32)  # seals where pages of searches begin; workers share one
        self.metrics = Metrics()
        self.metrics.policy_loaded(self.snapshot.revision, time.time())
        cache = self.authenticator.tokens.cache
        self.metrics.watch(ready=self._is_ready, remembered=lambda: len(cache))
        registry, access = self.metrics.registry, loaded.access
        self.watch = watch(loaded.directory, loaded.beside, registry, access.files)

    def activate(self, snapshot: Snapshot, now: float) -> None:
        """Make `snapshot` live: one assignment, which requests under way do not see."""
        self.snapshot = snapshot
        self.metrics.policy_loaded(snapshot.revision, now)

    def reloaded(self, result: str, problems: tuple[Problem, ...]) -> None:
        """Remember how the last reload ended; with problems the live policy is stale."""
        self.stale = problems if result == "rejected" else ()
        self.metrics.reloaded(result, stale=bool(self.stale))

    async def start(self) -> None:
        """Begin to fetch keys and to follow files in the background."""
        self.metrics.lag.start()
        if self.journal is not None:
            self.journal.start()
        self.watch.start()
        await start(self.loaded.beside.equipment)

    async def stop(self) -> None:
        """End what runs in the background; all that was decided is recorded before."""
        if self.journal is not None:
            await self.journal.stop(self.loaded.server.drain_seconds)
        await self.metrics.lag.stop()
        await self.watch.stop()
        await stop(self.loaded.beside.equipment)

    def _is_ready(self) -> bool:
        keys = self.loaded.sources.values()
        return not self.stopping and all(source.current() is not None for source in keys)

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
        began = at, _ = time.time(), time.perf_counter()
        try:
            admitted = self._admit(query, credentials, snapshot)
            if isinstance(admitted, Verdict):
                verdict = admitted
            else:
                address = query.context.get("ip")
                authenticate = partial(self.authenticate, address=address, seconds=seconds)
                verdict = await judge(query, admitted, authenticate, snapshot, at)
        except Exception as error:  # noqa: BLE001 - a bug must neither allow nor pass for a refusal
            verdict = _fault(error, snapshot)
        return self._record(verdict, query, snapshot, surface, began, credentials)

    def _admit(
        self, query: Query, credentials: Credentials, snapshot: Snapshot
    ) -> Credentials | Verdict:
        """The credentials that are to be judged, or what is settled before they are looked at."""
        throttled = throttle(query, self.loaded.beside.limits, snapshot)
        if throttled is not None:
            return throttled
        if self.loaded.server.require_https and in_the_clear(query):
            refusal = refuse_credential(credentials, snapshot)
            if refusal is not None:
                return refusal
            return without_cookie(credentials)
        return credentials

    def preflight(self, query: Query, snapshot: Snapshot, surface: str) -> Decision:
        """The verdict on a CORS preflight that is to be let through; never raises."""
        return self._conclude(partial(preflight, query, snapshot), query, snapshot, surface)

    def decide(
        self, query: Query, identity: Identity, snapshot: Snapshot, surface: str
    ) -> Decision:
        """The verdict for an identity that the asker vouches for; never raises."""
        return self._conclude(partial(decide, query, identity, snapshot), query, snapshot, surface)

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
        if self.journal is not None:
            self.journal.put(Entry(decision.id, time.time(), 0, verdict, surface, asking()))
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
        found = self.authenticator.known(credentials, now)
        if found is None:
            longest = self.loaded.server.authentication_seconds
            try:
                found = await within(
                    longest if seconds is None else min(longest, seconds),
                    self.authenticator.authenticate(credentials, now, address, refuses),
                )
            except TimeoutError:
                raise DeadlineExceeded from None
        limits = self.loaded.beside.limits
        # Whom the policy refuses is not counted: a 429 would tell that the guess was right.
        if isinstance(found, Rejected) or not limits.asks_who or refuses(found):
            return found
        wait = limits.identity_exceeded(found)
        return found if wait is None else Rejected(Reason.THROTTLED, wait)

    def _conclude(
        self, judged: Callable[[float], Verdict], query: Query, snapshot: Snapshot, surface: str
    ) -> Decision:
        """A verdict that waits for nothing."""
        began = at, _ = time.time(), time.perf_counter()
        try:
            verdict = judged(at)
        except Exception as error:  # noqa: BLE001 - as in `judge`
            verdict = _fault(error, snapshot)
        return self._record(verdict, query, snapshot, surface, began)

    def _record(
        self,
        verdict: Verdict,
        query: Query,
        snapshot: Snapshot,
        surface: str,
        began: Began,
        credentials: Credentials | None = None,
    ) -> Decision:
        (at, started), journal = began, self.journal
        seconds = time.perf_counter() - started
        if journal is not None and journal.refuses:
            verdict = Verdict(Outcome.FAULT, Reason.INTERNAL_ERROR, revision=snapshot.revision)
        decision = Decision(verdict, decision_id())
        self.metrics.decided(verdict, surface, seconds)
        if journal is not None:
            token = self._token(verdict.identity, credentials) if credentials else None
            by, number = asking(), decision.id
            journal.put(Entry(number, at, seconds, verdict, surface, by, query, snapshot, token))
        return decision

    def _token(self, identity: Identity | None, credentials: Credentials) -> str | None:
        session = self.loaded.authentication.session
        return fingerprint(identity, credentials, session.cookie if session else None)


def _fault(error: Exception, snapshot: Snapshot) -> Verdict:
    """What becomes of a question that something went wrong with: the asker sees a 503."""
    reason = error.reason if isinstance(error, Unavailable) else Reason.INTERNAL_ERROR
    if not isinstance(error, Unavailable):
        log.error("decision failed", extra={"facts": facts_of(error)})
    return Verdict(Outcome.FAULT, reason, revision=snapshot.revision)
