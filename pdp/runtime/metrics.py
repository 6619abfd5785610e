"""Prometheus metrics with bounded labels: never a subject, a path or a key."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pdp.model import Verdict

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)


class Metrics:
    """The metrics of one PDP, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "pdp_decisions",
            "Decisions by verdict, reason, surface and deciding layer.",
            ("verdict", "reason", "surface", "layer"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "pdp_decision_duration_seconds",
            "Time from the canonical question to the verdict.",
            ("surface",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
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

    def reloaded(self, result: str, *, stale: bool) -> None:
        """Count an attempt to reload, and whether it left a policy that is not the directory's."""
        self._reloads.labels(result).inc()
        self._stale.set(stale)

    def decided(self, verdict: Verdict, surface: str, seconds: float) -> None:
        """Count a verdict and how long it took."""
        layer = verdict.layer or ""
        self._decisions.labels(verdict.outcome, verdict.reason, surface, layer).inc()
        self._latency.labels(surface).observe(seconds)

    def policy_loaded(self, now: float) -> None:
        """Remember when the live policy was loaded, in Unix seconds."""
        self._loaded.set(now)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
