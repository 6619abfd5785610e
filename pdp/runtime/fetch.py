"""Keeps an issuer's published keys fresh, in the background and never in a request's way."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing
from pdp.runtime.discovery import Discovery
from pdp.runtime.http_client import Failed, FetchBounds, Received, get, http_session

log = logging.getLogger("pdp.jwks")

REFRESH_LEAST: Final = 30.0  # seconds, whatever an answer's `max-age` says
REFRESH_MOST: Final = 300.0  # so is a withdrawn key refused within five minutes
_KEEPS_FAILING: Final = 2
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,10})(?![0-9])", re.IGNORECASE)
_RANDOM: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class SourceState:
    """How fetched keys are: what serves, since when, and what went wrong since."""

    loaded: bool
    keys: int
    age_seconds: float | None  # of the last good set, which may serve no longer
    failures: int  # since that came
    problem: str | None  # the kind of the last one; quotes nothing
    stale: bool  # serves, though older than it should get


class JwksSource:
    """A KeySource that fetches a JWKS; the last good set serves until another one arrives.

    `url` None: where it is, is discovered. `refresh_seconds` None: the answers say how often.
    A set without any usable key withdraws all keys: there is nothing left to decide with. One
    that is older than `stale_max_seconds` counts as if it had never been loaded.
    """

    def __init__(
        self,
        issuer: str,
        url: str | None,
        refresh_seconds: float | None = None,
        *,
        stale_max_seconds: float = 86_400.0,
        bounds: FetchBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.results: Counter[str] = Counter(ok=0)  # how fetches ended, for metrics
        self._url = url
        self._refresh_seconds = refresh_seconds
        self._stale_max = stale_max_seconds
        self._bounds = bounds or FetchBounds()
        self._clock = clock
        self._discovery = Discovery(issuer, self._bounds.size, clock)
        self._interval = self._interval_after(None)
        self._ring: KeyRing | None = None
        self._loaded_at: float | None = None
        self._good_until = -math.inf
        self._refetched_at: float | None = None
        self._failures = 0
        self._problem: str | None = None
        self._failed = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._runner: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[None] | None = None

    def current(self) -> KeyRing | None:
        """The last good keys, without waiting; None if there are none, or only ones too old."""
        return self._ring if self._clock() < self._good_until else None

    def state(self) -> SourceState:
        """How the keys are, without waiting."""
        ring, at = self.current(), self._loaded_at
        age = None if at is None else self._clock() - at
        return SourceState(
            loaded=ring is not None,
            keys=0 if ring is None else len(ring.keys),
            age_seconds=age,
            failures=self._failures,
            problem=self._problem,
            stale=ring is not None and age is not None and age > self._interval,
        )

    async def start(self) -> None:
        """Begin to fetch, at once and then regularly; does not wait for the first keys."""
        self._session = http_session(self._bounds.timeout)
        self._runner = asyncio.create_task(self._run(self._session))

    async def stop(self) -> None:
        """End all fetching; the keys stay. Harmless if never started, or stopped before."""
        session, self._session = self._session, None
        tasks = [task for task in (self._runner, self._flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    async def after_unknown_kid(self) -> KeyRing | None:
        """The keys after at most one fetch per interval, shared by all who ask, and a short wait.

        Failed fetches count, too: unknown `kid`s never make more traffic than that.
        """
        session = self._session
        if session is not None and (self._in_flight() or self._may_refetch()):
            await asyncio.wait({self._fetch_once(session)}, timeout=self._bounds.refetch_wait)
        return self.current()

    def _in_flight(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _may_refetch(self) -> bool:
        """Whether the interval is over; if so, the next one begins."""
        now, last = self._clock(), self._refetched_at
        if last is not None and now - last < self._bounds.refetch_interval:
            return False
        self._refetched_at = now
        return True

    def _fetch_once(self, session: aiohttp.ClientSession) -> asyncio.Task[None]:
        """The fetch under way, or a new one."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._fetch(session))
        return self._flight

    async def _run(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.wait({self._fetch_once(session)})
            await self._rest()

    async def _rest(self) -> None:
        """Wait until the next fetch is due, which is sooner if one in between fails."""
        self._failed.clear()
        try:
            async with asyncio.timeout(self._pause()):
                await self._failed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds until the next fetch.

        Jitter only shortens, so that a withdrawn key is gone within the refresh time.
        """
        if not self._failures:
            return self._interval * _RANDOM.uniform(0.8, 0.95)
        bounds = self._bounds
        backed_off = bounds.retry_first * 2.0 ** min(self._failures - 1, 16)
        return min(backed_off, bounds.retry_most, self._interval)

    def _interval_after(self, received: Received | None) -> float:
        """How old keys may get; always fetched twice, at least, before they count no more."""
        wanted = self._refresh_seconds
        if wanted is None:
            stated = max_age(received.cache_control) if received else None
            wanted = REFRESH_MOST if stated is None else stated
            wanted = min(max(wanted, REFRESH_LEAST), REFRESH_MOST)
        return min(wanted, self._stale_max / 2)

    async def _fetch(self, session: aiohttp.ClientSession) -> None:
        try:
            received = await get(session, await self._locate(session), self._bounds.size)
            ring = await asyncio.to_thread(_ring, received.body)
            self._take(ring, received)
        except Failed as failure:
            self._fail(failure)
        except Exception as error:  # noqa: BLE001 - a bug keeps the last good keys, and is told
            self._fail(Failed("internal_error", type(error).__name__))

    async def _locate(self, session: aiohttp.ClientSession) -> str:
        if self._url is not None:
            return self._url
        doubted = self._failures >= _KEEPS_FAILING
        return await self._discovery.jwks_url(session, doubted=doubted)

    def _fail(self, failure: Failed) -> None:
        """Remember a failure; the last good keys go on serving."""
        self._failures += 1
        self._problem = failure.kind
        self.results[failure.kind] += 1
        self._failed.set()
        facts = {
            "issuer": self.issuer,
            "failures": self._failures,
            "problem": failure.kind,
            "detail": failure.detail,
            "serving": self.current() is not None,
        }
        log.warning("jwks_fetch_failed", extra={"facts": facts})

    def _take(self, ring: KeyRing, received: Received) -> None:
        before, self._ring = self.current(), ring if ring.keys else None
        if not ring.keys:
            raise Failed("no_usable_key")
        self._loaded_at = self._clock()
        self._good_until = self._loaded_at + self._stale_max
        self._failures = 0
        self._interval = self._interval_after(received)
        found = self._discovery.problem  # where the keys are could not be confirmed
        self._problem = None if found is None else found.kind
        self.results.update(["ok", *([] if found is None else [found.kind])])
        if before is None or before.version != ring.version:
            facts = {"issuer": self.issuer, "keys": len(ring.keys)}
            log.info("jwks_loaded", extra={"facts": facts})


def _ring(body: bytes) -> KeyRing:
    try:
        return ring_from_jwks(body)
    except ValueError as error:
        raise Failed("garbage", str(error)) from None


def max_age(cache_control: str) -> float | None:
    """The least `max-age` of a `Cache-Control`, in seconds; None if it states none."""
    return min(map(float, _MAX_AGE.findall(cache_control)), default=None)
