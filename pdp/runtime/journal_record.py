"""The record of each decision: most are usual, of any other each value is looked at closely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pdp.model import ANONYMOUS, RESOURCE_TYPE, Entity, Identity, Outcome, Query, Verdict
from pdp.policy.reads import NOTHING as READS_NOTHING
from pdp.runtime.journal_asking import NOBODY, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, Record, timestamp
from pdp.runtime.journal_usual import NOTHING, Read, fits, usual
from pdp.runtime.journal_values import (
    LONGEST,
    LONGEST_RESOURCE,
    Values,
    encode,
    encode_plain,
    resource_id,
    text_or_none,
)


class Recorder:
    """Turns entries into lines."""

    def __init__(self, mask: Iterable[str], sample_allows: float) -> None:
        self._masks = frozenset(mask)
        self._sampled = sample_allows if sample_allows < 1 else None

    def lines(self, entries: Sequence[Entry]) -> list[bytes]:
        """The records of decisions, each ended by a line feed."""
        if self._masks:
            return [*map(self.line, entries)]
        records = [*map(self._usual, entries)]
        lines = encode_plain(records) if all(records) else None
        if lines is not None and max(map(len, lines), default=0) <= LONGEST:
            return lines
        return [
            encode(record) if record and fits(record) else self.line(entry)
            for entry, record in zip(entries, records, strict=True)
        ]

    def line(self, entry: Entry) -> bytes:
        """The record of one, of which each value is looked at."""
        return encode(self.record(entry))

    def least(self, entry: Entry) -> bytes:
        """What can be said of a decision whose record could not be made."""
        return encode(Record(**_settled(entry), shortened=["record"]))

    def record(self, entry: Entry) -> Record:
        """The same before it is encoded: each value is looked at closely."""
        verdict, values, asked = entry.verdict, Values(self._masks), entry.asking
        identity, query = verdict.identity, entry.query
        fields = _settled(entry)
        texts: list[tuple[str, str | None]] = [
            ("detail", verdict.detail),
            ("token", entry.token),
        ]
        if asked is not NOBODY:
            texts += (
                ("request_id", request_id(asked.request_ids)),
                ("trace_id", trace_id(asked.traceparents)),
                ("caller", asked.caller),
            )
        if identity is not None:
            fields |= _asker(identity, verdict, values)
            texts += (
                ("domain", identity.domain),
                ("issuer", identity.issuer),
                ("kid", identity.kid),
                ("key_id", identity.key_id),
            )
        if query is not None:
            texts += _asked(query)
            fields |= self._question(entry, query, values)
        for name, value in texts:
            if value:
                fields[name] = values.text(name, value)
        if self._sampled is not None and verdict.outcome is Outcome.ALLOW:
            fields["sampled"] = self._sampled
        return Record(**fields, masked=list(values.masked), shortened=list(values.shortened))

    def _question(self, entry: Entry, query: Query, values: Values) -> dict[str, Any]:
        identity, what = entry.verdict.identity or ANONYMOUS, query.resource
        resource = values.text("resource", resource_id(what.id), LONGEST_RESOURCE)
        told: dict[str, Any] = {"resource": resource}
        named = query.subject
        if named is not None and not query.is_about(identity):
            told["named"] = _party(named, values)
        told["attributes"], told["context"] = _read(entry, query, values)
        return told

    def _usual(self, entry: Entry) -> Record | None:
        """The record, if it seems that all of it can stand there as it is."""
        query, snapshot = entry.query, entry.snapshot
        if query is None:
            return None
        if snapshot is None or snapshot.reads is READS_NOTHING:
            return usual(entry, NOTHING, self._sampled)
        values = Values(frozenset())
        read = _read(entry, query, values)
        if values.masked or values.shortened:
            return None
        return usual(entry, read, self._sampled)


def _read(entry: Entry, query: Query, values: Values) -> Read:
    """The properties and the facts that the policy reads."""
    snapshot = entry.snapshot
    if snapshot is None or snapshot.reads is READS_NOTHING:
        return NOTHING
    reads, attributes = snapshot.reads, dict[str, Any]()
    if reads.subject or reads.resource or reads.action:
        identity = entry.verdict.identity or ANONYMOUS
        attributes = values.attributes(snapshot.facts(query, identity, entry.at), reads)
    return attributes, values.context(query.context, reads)


def _settled(entry: Entry) -> dict[str, Any]:
    """What every record has, and what needs no fitting."""
    verdict = entry.verdict
    fields = {
        "decision_id": entry.id,
        "timestamp": timestamp(entry.at),
        "surface": entry.surface,
        "verdict": verdict.outcome,
        "status": verdict.status,
        "reason": verdict.reason,
        "policy_revision": verdict.revision,
        "duration_us": round(entry.seconds * 1e6),
    }
    if verdict.layer is not None:
        fields["layer"] = verdict.layer
    if verdict.rule is not None:
        fields["rule"] = str(verdict.rule)
    return fields


def _asker(identity: Identity, verdict: Verdict, values: Values) -> Mapping[str, Any]:
    return {
        "subject": _party(identity, values),
        "method": identity.method,
        "roles": values.texts("roles", verdict.roles),
        "asserted_roles": values.texts("roles", identity.roles),
    }


def _asked(query: Query) -> tuple[tuple[str, str | None], ...]:
    kind, context = query.resource.type, query.context
    return (
        ("action", query.action.name),
        ("resource_type", None if kind == RESOURCE_TYPE else kind),
        ("ip", text_or_none(context.get("ip"))),
        ("country", text_or_none(context.get("country"))),
    )


def _party(who: Identity | Entity, values: Values) -> Party:
    return Party(values.text("subject", who.id) or "", values.text("type", who.type) or "")
