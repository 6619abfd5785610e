"""The usual record: of most decisions, all values can stand in it as they are."""

from __future__ import annotations

from typing import Any, Final

from pdp.model import ANONYMOUS, RESOURCE_TYPE, STATUS, Outcome
from pdp.runtime.journal_asking import NOBODY, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, Record, timestamp
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.journal_values import LONGEST, LONGEST_RESOURCE, MOST, resource_id, text_or_none

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
    who = verdict.identity
    if query is None or verdict.detail or not query.is_about(who or ANONYMOUS):
        return None
    roles, asserted = verdict.roles, () if who is None else who.roles
    if len(roles) > MOST or len(asserted) > MOST:
        return None
    outcome, what, context = verdict.outcome, query.resource, query.context
    kind, known, rule = what.type, who or ANONYMOUS, verdict.rule
    return Record(  # by position, which takes a quarter of the time
        entry.id,
        timestamp(entry.at),
        entry.surface,
        outcome,
        STATUS[outcome],
        verdict.reason,
        round(entry.seconds * 1e6),
        None,  # detail
        None if by is NOBODY else request_id(by.request_ids),
        None if by is NOBODY else trace_id(by.traceparents),
        by.caller or None,
        None if who is None else Party(who.id, who.type),
        None,  # named
        None if who is None else who.method,
        () if who is None else roles,
        asserted,
        known.domain or None,
        known.issuer or None,
        known.kid or None,
        known.key_id or None,
        fingerprint(who) or entry.presented or None,
        query.action.name or None,
        resource_id(what.id) or None,
        None if kind == RESOURCE_TYPE else kind or None,
        *read,
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
