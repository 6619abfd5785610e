"""The usual record: of most decisions, all values can stand in it as they are."""

from __future__ import annotations

from typing import Any, Final

from pdp.model import ANONYMOUS, RESOURCE_TYPE, STATUS, Identity, Method, Outcome
from pdp.runtime.journal_asking import NOBODY, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, Record, timestamp
from pdp.runtime.journal_values import LONGEST, LONGEST_RESOURCE, MOST, resource_id, text_or_none

Read = tuple[dict[str, Any], dict[str, Any]]  # properties and facts that the policy reads
NOTHING: Final[Read] = ({}, {})
_ALLOW: Final = Outcome.ALLOW
_Text = str | None
_Roles = tuple[str, ...]
_Asker = tuple[  # from `subject` to `key_id`
    Party | None, None, Method | None, _Roles, _Roles, _Text, _Text, _Text, _Text
]
_NOBODY: Final[_Asker] = (None, None, None, (), (), None, None, None, None)
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
    asker: _Asker = _NOBODY if who is None else _asker(who, verdict.roles)
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
        None if by is NOBODY else request_id(by.request_ids),
        None if by is NOBODY else trace_id(by.traceparents),
        by.caller or None,
        *asker,
        entry.token or None,
        query.action.name or None,
        resource_id(what.id) or None,
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


def _asker(who: Identity, roles: _Roles) -> _Asker:
    return (
        Party(who.id, who.type),
        None,  # named
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
