"""Asks issuers about tokens that only they can read (RFC 7662), within bounds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus, urlencode

import aiohttp
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from pdp.identity.claims import Claims
from pdp.identity.introspection import IntrospectionUnavailable, may_be_token, read_answer
from pdp.runtime.http_client import Failed, exchange, http_session
from pdp.runtime.introspection_bounds import (
    Answer,
    Answers,
    Circuit,
    IntrospectionBounds,
    answer,
)

log = logging.getLogger("pdp.introspection")

_OK: Final = 200
_OUR_FAULT: Final = frozenset({401, 403})
_LOG_PAUSE: Final = 1.0  # seconds between two lines about failures
# A connection that was kept may be closed while a question is on its way: it is asked again.
_STALE: Final = frozenset(
    {"ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError"}
)

RESULTS: Final = ("active", "inactive", "failed", "refused_by_budget", "cached")


@dataclass(frozen=True, slots=True)
class Client:
    """Where to ask, and as whom."""

    issuer: str
    url: str
    id: str
    secret: str = field(repr=False)

    def authorization(self) -> str:
        """HTTP Basic of the form-encoded id and secret (RFC 6749 §2.3.1)."""
        pair = f"{quote_plus(self.id)}:{quote_plus(self.secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


class Introspector:
    """A TokenInspector that asks one endpoint, about each token once for all who wonder.

    Answers are remembered for `cache_seconds` from when they were asked for; those that are
    remembered are all that is left while the endpoint gives none.
    """

    def __init__(
        self,
        client: Client,
        cache_seconds: float,
        *,
        bounds: IntrospectionBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = client.issuer
        self.results = dict.fromkeys(RESULTS, 0)  # for metrics; a shared request counts once
        self._client = client
        self._cache_seconds = cache_seconds
        self._bounds = bounds or IntrospectionBounds()
        self._clock = clock
        given = self._bounds
        self._circuit = Circuit(given.failures, given.pause, clock, 0.75 * given.timeout)
        self._slots = asyncio.Semaphore(self._bounds.requests)
        self._answers = Answers(self._bounds.answers)
        self._flights: dict[bytes, asyncio.Task[Answer | None]] = {}
        self._under_way: set[asyncio.Task[Answer | None]] = set()
        self._logged_at = -math.inf
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to ask; nothing is asked yet."""
        self._session = http_session(self._bounds.timeout, self._bounds.requests)

    async def stop(self) -> None:
        """Ask no more. Harmless if never started, or stopped before."""
        session, self._session = self._session, None
        flights = tuple(self._under_way)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        if session is not None:
            await session.close()

    async def inspect(self, token: str, now: float) -> Claims | None:
        """What the endpoint says of the token, or said lately (see `TokenInspector`).

        Whoever is cancelled leaves the request to the others who wait for it.
        """
        if not may_be_token(token):
            return None
        digest = hashlib.sha256(token.encode()).digest()
        known = self._answers.get(digest, now, self._clock())
        if known is not None:
            self.results["cached"] += 1
            return known.claims
        flight = self._flights.get(digest) or self._take_off(token, digest, now)
        await asyncio.wait({flight})
        found = None if flight.cancelled() else flight.result()
        if found is None:
            raise self._unavailable("gave no answer")
        return found.claims

    def _take_off(self, token: str, digest: bytes, now: float) -> asyncio.Task[Answer | None]:
        """A new request, if there is room for one."""
        if self._session is None:
            raise self._unavailable("is not asked: not started")
        if self._circuit.is_open:
            self.results["failed"] += 1
            raise self._unavailable("is not asked: it fails")
        if len(self._under_way) >= self._bounds.requests + self._bounds.waiting:
            self.results["refused_by_budget"] += 1
            raise self._unavailable("is not asked: too many questions wait")
        flight = asyncio.create_task(self._fly(self._session, token, digest, now))
        self._flights[digest] = flight
        self._under_way.add(flight)
        flight.add_done_callback(self._under_way.discard)
        flight.add_done_callback(lambda _: self._flights.pop(digest))
        return flight

    def _unavailable(self, why: str) -> IntrospectionUnavailable:
        return IntrospectionUnavailable(f"the introspection endpoint of `{self.issuer}` {why}")

    async def _fly(
        self, session: aiohttp.ClientSession, token: str, digest: bytes, now: float
    ) -> Answer | None:
        """The answer, remembered from now on; None if there is none."""
        tick = self._clock()
        try:
            async with asyncio.timeout(self._bounds.timeout), self._slots:
                claims = _read(await self._ask(session, token))
        except (Failed, TimeoutError) as error:  # everybody who waits is told 503
            self.results["failed"] += 1
            self._log(error if isinstance(error, Failed) else Failed("timeout"))
            return None
        self.results["inactive" if claims is None else "active"] += 1
        seconds = self._cache_seconds
        if claims is None:
            seconds = min(seconds, self._bounds.inactive_seconds)
        found = answer(claims, seconds, now, tick)
        if found.is_good(now, tick):
            self._answers.put(digest, found)
        return found

    async def _ask(self, session: aiohttp.ClientSession, token: str) -> bytes:
        with self._circuit.asking():
            try:
                return await self._post(session, token)
            except Failed as error:
                if error.detail not in _STALE:
                    raise
                return await self._post(session, token)

    async def _post(self, session: aiohttp.ClientSession, token: str) -> bytes:
        form = urlencode({"token": token, "token_type_hint": "access_token"})
        headers = {
            "Authorization": self._client.authorization(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        received = await exchange(
            session, "POST", self._client.url, self._bounds.size, data=form, headers=headers
        )
        if received.status != _OK:
            raise Failed("status", f"status {received.status}", received.status)
        return received.body

    def _log(self, failed: Failed) -> None:
        """One line about a failure, unless there was one a moment ago."""
        tick = self._clock()
        if tick - self._logged_at < _LOG_PAUSE:
            return
        self._logged_at = tick
        facts = {
            "issuer": self.issuer,
            "failures": self._circuit.failures,
            "problem": failed.kind,
            "detail": failed.detail,
        }
        if failed.status in _OUR_FAULT:
            log.error("introspection_client_refused", extra={"facts": facts})
        else:
            log.warning("introspection_failed", extra={"facts": facts})


def _read(body: bytes) -> Claims | None:
    try:
        return read_answer(body)
    except ValueError as error:
        raise Failed("not_understood", str(error)) from None


class _Introspections(Collector):
    def __init__(self, introspectors: Iterable[Introspector]) -> None:
        self._introspectors = tuple(introspectors)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "pdp_introspections",
            "Tokens asked about, by how it ended.",
            labels=("issuer", "result"),
        )
        for introspector in self._introspectors:
            for result, number in introspector.results.items():
                family.add_metric((introspector.issuer, result), number)
        yield family


def register(introspectors: Iterable[Introspector], registry: CollectorRegistry) -> None:
    """Let `registry` show `pdp_introspections_total` of all of them; once a registry."""
    registry.register(_Introspections(introspectors))
