"""The usual record: of most decisions, all values can stand in it as they are."""

from __future__ import annotations

from typing import Any, Final

from pdp.model import ANONYMOUS, RESOURCE_TYPE, STATUS, Identity, Outcome
from pdp.runtime.journal_asking import NOBODY, Asking, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, Record, timestamp
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.journal_values import LONGEST, LONGEST_RESOURCE, MOST, resource_id, text_or_none

Read = tuple[dict[str, Any], dict[str, Any]]  # properties and facts that the policy reads
NOTHING: Final[Read] = ({}, {})
_ALLOW: Final = Outcome.ALLOW
_NO_IDS: Final = (None, None, None)
_NOBODY: Final = (None, None, None, (), (), None, None, None, None)
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
    if len(verdict.roles) > MOST or (who is not None and len(who.roles) > MOST):
        return None
    outcome, what, context, rule = verdict.outcome, query.resource, query.context, verdict.rule
    return Record(  # by position, which takes a quarter of the time
        entry.id,
        timestamp(entry.at),
        entry.surface,
        outcome,
        STATUS[outcome],
        verdict.reason,
        round(entry.seconds * 1e6),
        None,  # detail
        *(_NO_IDS if by is NOBODY else _ids(by)),
        *(_NOBODY if who is None else _asker(who, verdict.roles)),
        fingerprint(who) or entry.presented or None,
        query.action.name or None,
        resource_id(what.id) or None,
        None if what.type == RESOURCE_TYPE else what.type or None,
        *read,
        text_or_none(context.get("ip")),
        text_or_none(context.get("country")),
        verdict.layer,
        None if rule is None else f"{rule.file}:{rule.line}",
        verdict.revision,
        sampled if outcome is _ALLOW else None,
    )


def _ids(by: Asking) -> tuple[Any, ...]:
    """From `request_id` to `caller`."""
    return request_id(by.request_ids), trace_id(by.traceparents), by.caller or None


def _asker(who: Identity, roles: tuple[str, ...]) -> tuple[Any, ...]:
    """From `subject` to `key_id`; nobody else is named."""
    return (
        Party(who.id, who.type),
        None,
        who.method,
        roles,
        who.roles,
        who.domain or None,
        who.issuer or None,
        who.kid or None,
        who.key_id or None,
    )


def fits(record: Record) -> bool:
    """Whether no text of a usual record is too long for it."""
    who, texts = record.subject, [getattr(record, name) or "" for name in _TEXTS]
    texts += record.roles
    texts += record.asserted_roles
    texts += () if who is None else (who.id, who.type)
    return max(map(len, texts)) <= LONGEST and len(record.resource or "") <= LONGEST_RESOURCE
