"""The usual record: of most decisions, all values can stand in it as they are."""

from __future__ import annotations

from typing import Any, Final

from pdp.model import ANONYMOUS, RESOURCE_TYPE, STATUS, Outcome
from pdp.runtime.journal_asking import NOBODY, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, Record, timestamp
from pdp.runtime.journal_values import LONGEST, LONGEST_RESOURCE, MOST, text_or_none, without_query

Read = tuple[dict[str, Any], dict[str, Any]]  # properties and facts that the policy reads
NOTHING: Final[Read] = ({}, {})
_ALLOW: Final = Outcome.ALLOW
_TEXTS: Final = (
    *("caller", "domain", "issuer", "kid", "key_id", "token"),
    *("action", "resource_type", "ip", "country"),
)


def usual(entry: Entry, read: Read, sampled: float | None) -> Record | None:
    """The record of an entry, unless it shows at a glance that a value does not fit it.

    `read` is what the policy reads of it. Texts can be too long still: see `fits`.
    """
    verdict, query, by = entry.verdict, entry.query, entry.asking
    who, rule, roles = verdict.identity or ANONYMOUS, verdict.rule, verdict.roles
    if query is None or verdict.detail or not query.is_about(who):
        return None
    if len(roles) > MOST or len(who.roles) > MOST:
        return None
    outcome, what, context = verdict.outcome, query.resource, query.context
    known, noted = verdict.identity is not None, by is not NOBODY
    return Record(  # by position, which takes a quarter of the time
        entry.id,
        timestamp(entry.at),
        entry.surface,
        outcome,
        STATUS[outcome],
        verdict.reason,
        round(entry.seconds * 1e6),
        None,  # detail
        request_id(by.request_ids) if noted else None,
        trace_id(by.traceparents) if noted else None,
        by.caller or None,
        Party(who.id, who.type) if known else None,
        None,  # named
        who.method if known else None,
        roles,
        who.roles,
        who.domain or None,
        who.issuer or None,
        who.kid or None,
        who.key_id or None,
        entry.token or None,
        query.action.name or None,
        without_query(what.id) or None,
        None if what.type == RESOURCE_TYPE else what.type or None,
        read[0],
        read[1],
        text_or_none(context.get("ip")),
        text_or_none(context.get("country")),
        verdict.layer,
        None if rule is None else f"{rule.file}:{rule.line}",
        verdict.revision,
        sampled if outcome is _ALLOW else None,
    )


def fits(record: Record) -> bool:
    """Whether no text of a usual record is too long for it."""
    who, texts = record.subject, [getattr(record, name) or "" for name in _TEXTS]
    texts += record.roles
    texts += record.asserted_roles
    texts += () if who is None else (who.id, who.type)
    return max(map(len, texts)) <= LONGEST and len(record.resource or "") <= LONGEST_RESOURCE
