"""Metrics of the decision log: what was written, dropped, left out, and what waits."""

from __future__ import annotations

from collections.abc import Sized

from prometheus_client import CollectorRegistry, Counter, Gauge


class JournalMetrics:
    """What becomes of records of decisions; counted in the writer's thread, too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(
            "pdp_decision_log_records",
            "Records of decisions: written, dropped or sampled_out.",
            ("result",),
            registry=registry,
        )
        for result in ("written", "dropped", "sampled_out"):
            self._records.labels(result)
        self._failures = Counter(
            "pdp_decision_log_failures",
            "Attempts to write records that failed; they are repeated.",
            registry=registry,
        )
        self._waiting = Gauge(
            "pdp_decision_log_queue", "Records that wait to be written.", registry=registry
        )

    def follow(self, queue: Sized) -> None:
        """Tell how long this queue is, whenever somebody asks."""
        self._waiting.set_function(lambda: len(queue))

    def written(self, count: int) -> None:
        """Count lines that were written."""
        self._records.labels("written").inc(count)

    def dropped(self) -> None:
        """Count a record for which there was no room."""
        self._records.labels("dropped").inc()

    def left_out(self) -> None:
        """Count an allow that is not of the share to record."""
        self._records.labels("sampled_out").inc()

    def failed(self) -> None:
        """Count an attempt to write that failed."""
        self._failures.inc()
