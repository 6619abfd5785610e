"""Prometheus metrics with bounded labels: never a subject, a path or a key."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from pdp import __version__
from pdp.runtime.decision_metrics import DecisionMetrics
from pdp.runtime.search_metrics import SearchMetrics

_LAG_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LAG_EVERY: Final = 0.25  # seconds between samples


class Metrics:
    """The metrics of one PDP, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decided = DecisionMetrics(self.registry).decided
        self.searches = SearchMetrics(self.registry)
        self._loaded = Gauge(
            "pdp_policy_last_reload_success_timestamp_seconds",
            "When the live policy was loaded.",
            registry=self.registry,
        )
        self._reloads = Counter(
            "pdp_policy_reloads",
            "Attempts to reload the policy, by how they ended.",
            ("result",),
            registry=self.registry,
        )
        self._stale = Gauge(
            "pdp_policy_stale",
            "1 while the directory holds a policy that was not let live.",
            registry=self.registry,
        )
        self._revision = Gauge(
            "pdp_policy_info",
            "1, and of which revision the live policy is.",
            ("revision",),
            registry=self.registry,
        )
        build = "1, and which version of the PDP this is."
        Gauge("pdp_build_info", build, ("version",), registry=self.registry).labels(
            __version__
        ).set(1)
        self.everywhere: Callable[[], Awaitable[bytes]] | None = None  # where there are workers
        self.lag = LoopLag(self.registry)
        ProcessCollector(registry=self.registry)  # memory, processor time and descriptors, on Linux

    def watch(self, *, ready: Callable[[], bool], remembered: Callable[[], int]) -> None:
        """Have two facts looked up whenever somebody asks: readiness, and tokens remembered."""
        help_ = "1 while gateways may ask: what /readyz says."
        Gauge("pdp_ready", help_, registry=self.registry).set_function(ready)
        help_ = "Verified tokens that are remembered."
        Gauge("pdp_token_cache_tokens", help_, registry=self.registry).set_function(remembered)

    def reloaded(self, result: str, *, stale: bool) -> None:
        """Count an attempt to reload, and whether it left a policy that is not the directory's."""
        self._reloads.labels(result).inc()
        self._stale.set(stale)

    def policy_loaded(self, revision: str, now: float) -> None:
        """Remember which policy is live, and when it was loaded, in Unix seconds."""
        self._loaded.set(now)
        self._revision.clear()  # one revision at a time, or every reload would leave a series
        self._revision.labels(revision).set(1)

    def exposition(self) -> bytes:
        """All metrics of this process in the Prometheus text format."""
        return generate_latest(self.registry)

    async def whole(self) -> bytes:
        """The same of all workers, where there are several."""
        return self.exposition() if self.everywhere is None else await self.everywhere()


class LoopLag:
    """How late the event loop gets to what is due: measured in the background, by sleeping."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "pdp_event_loop_lag_seconds",
            "How much later than asked for a sleeping task went on.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._task = asyncio.create_task(self._measure())

    async def stop(self) -> None:
        """Measure no more; nothing if it never began."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _measure(self) -> None:
        while True:
            due = time.monotonic() + _LAG_EVERY
            await asyncio.sleep(_LAG_EVERY)
            self._seconds.observe(max(0.0, time.monotonic() - due))
