"""What is kept of a decision, and the lines of the decision log that are made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from pdp.model import Method, Outcome, Query, Reason, Verdict
from pdp.policy.snapshot import Snapshot
from pdp.runtime.journal_asking import Asking


class Entry(msgspec.Struct, frozen=True):
    """What is kept of a decision until its line is made; no credential.

    `at` is when it was asked, in Unix seconds. `token` is a fingerprint.
    """

    id: str
    at: float
    seconds: float
    verdict: Verdict
    surface: str
    asking: Asking
    query: Query | None = None
    snapshot: Snapshot | None = None
    token: str | None = None


class Party(msgspec.Struct, frozen=True):
    """A subject, by its id and type."""

    id: str
    type: str


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of the decision log; what is not known, or empty, is left out."""

    decision_id: str
    timestamp: str
    surface: str
    verdict: Outcome
    status: int
    reason: Reason
    duration_us: int
    detail: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    caller: str | None = None
    subject: Party | None = None
    named: Party | None = None
    method: Method | None = None
    roles: tuple[str, ...] = ()
    asserted_roles: tuple[str, ...] = ()
    domain: str | None = None
    issuer: str | None = None
    kid: str | None = None
    key_id: str | None = None
    token: str | None = None
    action: str | None = None
    resource: str | None = None
    resource_type: str | None = None
    attributes: dict[str, Any] = {}
    context: dict[str, Any] = {}
    ip: str | None = None
    country: str | None = None
    layer: str | None = None
    rule: str | None = None
    policy_revision: str = ""
    sampled: float | None = None
    masked: list[str] = []
    shortened: list[str] = []


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A line that stands for records that are missing: how many, since when."""

    event: str = "dropped"
    timestamp: str
    count: int
    since: str


def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, with microseconds."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}{micro:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.}"
