"""Keeps an issuer's published keys fresh, in the background and never in a request's way."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing

log = logging.getLogger("pdp.jwks")

_OK: Final = 200
_CHUNK: Final = 65_536
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
_RANDOM: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBounds:
    """What a fetch may cost, in seconds and bytes."""

    timeout: float = 5.0
    size: int = 1_048_576
    retry_first: float = 1.0
    retry_most: float = 60.0
    refetch_interval: float = 30.0
    refetch_wait: float = 0.5  # below `authentication_seconds`: an unknown key is a 401


@dataclass(frozen=True, slots=True)
class SourceState:
    """For readiness: whether there are keys, how old they are, failures since they came."""

    loaded: bool
    age_seconds: float | None
    failures: int


class JwksSource:
    """A KeySource that fetches a JWKS; the last good set serves until another one arrives.

    A set without any usable key withdraws all keys: there is nothing left to decide with.
    """

    def __init__(
        self,
        issuer: str,
        url: str,
        refresh_seconds: float,
        *,
        bounds: FetchBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._url = url
        self._refresh_seconds = refresh_seconds
        self._bounds = bounds or FetchBounds()
        self._clock = clock
        self._ring: KeyRing | None = None
        self._loaded_at: float | None = None
        self._refetched_at: float | None = None
        self._failures = 0
        self._session: aiohttp.ClientSession | None = None
        self._runner: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[None] | None = None

    def current(self) -> KeyRing | None:
        """The last good keys, without waiting; None if there are none."""
        return self._ring

    def state(self) -> SourceState:
        """How the keys are, without waiting."""
        age = None if self._loaded_at is None else self._clock() - self._loaded_at
        return SourceState(self._ring is not None, age, self._failures)

    async def start(self) -> None:
        """Begin to fetch, at once and then regularly; does not wait for the first keys."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._bounds.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
        )
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
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds until the next fetch.

        Jitter only shortens, so that a withdrawn key is gone within the refresh time.
        """
        if not self._failures:
            return self._refresh_seconds * _RANDOM.uniform(0.8, 0.95)
        bounds = self._bounds
        backed_off = bounds.retry_first * 2.0 ** min(self._failures - 1, 16)
        return min(backed_off, bounds.retry_most, self._refresh_seconds)

    async def _fetch(self, session: aiohttp.ClientSession) -> None:
        try:
            ring = await asyncio.to_thread(ring_from_jwks, await self._download(session))
            self._take(ring)
        except _FAILURES as error:  # the last good keys go on serving
            self._failures += 1
            facts = {
                "issuer": self.issuer,
                "failures": self._failures,
                "problem": type(error).__name__,
                "detail": str(error) if type(error) is ValueError else "",
            }
            log.warning("jwks_fetch_failed", extra={"facts": facts})

    async def _download(self, session: aiohttp.ClientSession) -> bytes:
        data = bytearray()
        async with session.get(self._url, allow_redirects=False) as response:
            if response.status != _OK:
                raise ValueError(f"status {response.status}")
            async for chunk in response.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > self._bounds.size:
                    raise ValueError(f"more than {self._bounds.size} bytes")
        return bytes(data)

    def _take(self, ring: KeyRing) -> None:
        before, self._ring = self._ring, ring if ring.keys else None
        if not ring.keys:
            raise ValueError("no usable key in the set")
        self._loaded_at, self._failures = self._clock(), 0
        if before is None or before.version != ring.version:
            facts = {"issuer": self.issuer, "keys": len(ring.keys)}
            log.info("jwks_loaded", extra={"facts": facts})
