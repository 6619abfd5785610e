"""Metrics of searches: how many pages were found, how long that took, and what was too much."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

# Seconds: a page ends after half a second of its own, and may have waited for others.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SEARCHES: Final = ("subject", "resource", "action")


class SearchMetrics:
    """What becomes of searches; a page is one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "pdp_search_duration_seconds",
            "Time that a page took, with its wait for the searches before it.",
            ("search",),
            buckets=_BUCKETS,
            registry=registry,
        )
        for search in _SEARCHES:
            self._seconds.labels(search)
        self._refused = Counter(
            "pdp_searches_refused",
            "Searches that were refused because too many were under way.",
            registry=registry,
        )

    def found(self, search: str, seconds: float) -> None:
        """Count a page and how long it took."""
        self._seconds.labels(search).observe(seconds)

    def refused(self) -> None:
        """Count a search for which there was no room."""
        self._refused.inc()
