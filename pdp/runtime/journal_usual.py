"""The usual record, put together from parts: of most, all values can stand there as they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from pdp.model import (
    ANONYMOUS,
    RESOURCE_TYPE,
    STATUS,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rule,
)
from pdp.runtime.journal_asking import NOBODY, Asking, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, timestamp
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.journal_values import LONGEST, MOST, is_odd, resource_id

Read = tuple[dict[str, Any], dict[str, Any]]  # properties and facts that the policy reads

_REMEMBERED: Final = 2_048  # parts of each kind
_ENCODER: Final = msgspec.json.Encoder()
_END: Final = b"}\n"


class _Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some fields of a `Record`, in its order."""

    def encoded(self) -> bytes | None:
        """As they stand within it, behind others; None where one is not to stand there as it is."""
        fields = _ENCODER.encode(self)[1:-1]
        if len(fields) > LONGEST or is_odd(fields):
            return None
        return b"," + fields if fields else b""


class _Settled(_Part, frozen=True, omit_defaults=True):
    surface: str
    verdict: Outcome
    status: int
    reason: Reason


class _Ids(_Part, frozen=True, omit_defaults=True):
    request_id: str | None = None
    trace_id: str | None = None
    caller: str | None = None


class _Token(_Part, frozen=True, omit_defaults=True):
    token: str | None = None


class _Asker(_Part, frozen=True, omit_defaults=True):
    subject: Party
    method: Method
    roles: tuple[str, ...] = ()
    asserted_roles: tuple[str, ...] = ()
    domain: str | None = None
    issuer: str | None = None
    kid: str | None = None
    key_id: str | None = None
    token: str | None = None


class _Asked(_Part, frozen=True, omit_defaults=True):
    action: str | None = None
    resource: str | None = None
    resource_type: str | None = None
    attributes: dict[str, Any] = {}
    context: dict[str, Any] = {}
    ip: str | None = None
    country: str | None = None


class _Ground(_Part, frozen=True, omit_defaults=True):
    layer: str | None = None
    rule: str | None = None
    policy_revision: str = ""


class Usual:
    """Makes the lines of entries of which all values can stand in a record as they are.

    `sampled` is the share of allows that is recorded, if not all are.
    """

    def __init__(self, sampled: float | None) -> None:
        self._end = _END if sampled is None else b',"sampled":' + _ENCODER.encode(sampled) + _END
        self._askers: dict[int, _Remembered] = {}  # by the identity of the object

    def line(self, entry: Entry, read: Read) -> bytes | None:
        """The line that the entry's `Record` is; None for one with something to look at closely.

        `read` is what the policy reads of it. UnicodeEncodeError for text that is none.
        """
        verdict, query = entry.verdict, entry.query
        if query is None or verdict.detail or _names_another(query, verdict.identity):
            return None
        settled = _settled(entry.surface, verdict.outcome, verdict.reason)
        ids = b"" if entry.asking is NOBODY else _ids(entry.asking)
        asker, asked = self._asker(entry, verdict.identity), _asked(query, read)
        ground = _ground(verdict.layer, verdict.rule, verdict.revision)
        if settled is None or ids is None or asker is None or asked is None or ground is None:
            return None
        head = f'{{"decision_id":"{entry.id}","timestamp":"{timestamp(entry.at)}"'.encode()
        duration = b',"duration_us":%d' % round(entry.seconds * 1e6)
        end = self._end if verdict.outcome is Outcome.ALLOW else _END
        return b"".join((head, settled, ids, asker, asked, ground, duration, end))

    def _asker(self, entry: Entry, who: Identity | None) -> bytes | None:
        if who is None or who.expires is None:
            return _asker(entry, who)
        # A token that is remembered has one identity, which never changes, as long as it is.
        found = self._askers.get(id(who))
        if found is not None and found.is_of(entry):
            return found.part
        made = _asker(entry, who)
        if made is not None:
            if len(self._askers) >= _REMEMBERED:
                self._askers.clear()
            self._askers[id(who)] = _Remembered(who, entry.verdict.roles, entry.presented, made)
        return made


class _Remembered(msgspec.Struct, frozen=True):
    """The part of a record that tells who asks, and what it was made of."""

    who: Identity
    roles: tuple[str, ...]
    presented: str | None
    part: bytes

    def is_of(self, entry: Entry) -> bool:
        """Whether the entry's would be the same."""
        verdict = entry.verdict
        same = self.who is verdict.identity and self.roles == verdict.roles
        return same and self.presented == entry.presented


@lru_cache(maxsize=_REMEMBERED)
def _settled(surface: str, outcome: Outcome, reason: Reason) -> bytes | None:
    return _Settled(surface, outcome, STATUS[outcome], reason).encoded()


def _ids(asking: Asking) -> bytes | None:
    ids = request_id(asking.request_ids), trace_id(asking.traceparents)
    return _Ids(*ids, asking.caller or None).encoded()


def _names_another(query: Query, identity: Identity | None) -> bool:
    who, named = identity or ANONYMOUS, query.subject
    return named is not None and (named.type, named.id) != (who.type, who.id)


def _asker(entry: Entry, who: Identity | None) -> bytes | None:
    token = fingerprint(who) or entry.presented
    if who is None:
        return _Token(token).encoded()
    roles = entry.verdict.roles, who.roles
    if max(map(len, roles)) > MOST:
        return None
    texts = (text or None for text in (who.domain, who.issuer, who.kid, who.key_id, token))
    return _Asker(Party(who.id, who.type), who.method, *roles, *texts).encoded()


def _asked(query: Query, read: Read) -> bytes | None:
    what, context, (attributes, facts) = query.resource, query.context, read
    action, resource = query.action.name or None, resource_id(what.id) or None
    kind = None if what.type == RESOURCE_TYPE else what.type or None
    ip, country = _text(context.get("ip")), _text(context.get("country"))
    return _Asked(action, resource, kind, attributes, facts, ip, country).encoded()


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None


@lru_cache(maxsize=_REMEMBERED)
def _ground(layer: str | None, rule: Rule | None, revision: str) -> bytes | None:
    return _Ground(layer, None if rule is None else str(rule), revision).encoded()
