"""The usual record, put together from parts: of most, all values can stand there as they are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, cast

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
)
from pdp.runtime.journal_asking import NOBODY, Asking, request_id, trace_id
from pdp.runtime.journal_shapes import Entry, Party, timestamp
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.journal_values import (
    LONGEST,
    LONGEST_RESOURCE,
    MOST,
    is_odd,
    resource_id,
    text_or_none,
)

Read = tuple[dict[str, Any], dict[str, Any]]  # properties and facts that the policy reads
NOTHING: Final[Read] = ({}, {})

_REMEMBERED: Final = 2_048  # parts of each kind
_ENCODE: Final = msgspec.json.Encoder().encode
_END: Final = b"}\n"
_NO_MORE: Final = ((), None, None, None, None, None)


class _Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some fields of a `Record`, in its order."""

    def encoded(self) -> bytes | None:
        """As they stand within it, behind others; None where one could be too long for it."""
        fields = _ENCODE(self)[1:-1]
        if len(fields) > LONGEST:
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


class _Rare(_Part, frozen=True, omit_defaults=True):
    resource_type: str | None = None
    attributes: dict[str, Any] = {}
    context: dict[str, Any] = {}


class _Place(_Part, frozen=True, omit_defaults=True):
    ip: str | None = None
    country: str | None = None


class _Layer(_Part, frozen=True, omit_defaults=True):
    layer: str | None = None


class Usual:
    """Makes the lines of entries of which all values can stand in a record as they are.

    `sampled` is the share of allows that is recorded, if not all are.
    """

    def __init__(self, sampled: float | None) -> None:
        self._end = _END if sampled is None else b',"sampled":' + _ENCODE(sampled) + _END
        self._askers: dict[int, _Remembered] = {}  # by the identity of the object

    def line(self, entry: Entry, read: Read) -> bytes | None:
        """The line that the entry's `Record` is; None for one with something to look at closely.

        `read` is what the policy reads of it. UnicodeEncodeError for text that is none.
        """
        verdict, query = entry.verdict, entry.query
        if query is None or verdict.detail or not query.is_about(verdict.identity or ANONYMOUS):
            return None
        rule = verdict.rule
        parts = (
            f'{{"decision_id":"{entry.id}","timestamp":"{timestamp(entry.at)}"'.encode(),
            _settled(entry.surface, verdict.outcome, verdict.reason),
            b"" if entry.asking is NOBODY else _ids(entry.asking),
            self._asker(entry, verdict.identity),
            _asked(query, read),
            _layer(verdict.layer),
            b"" if rule is None else b',"rule":' + _ENCODE(str(rule)),
            _tail(verdict.revision) + b"%d" % round(entry.seconds * 1e6),
            self._end if verdict.outcome is Outcome.ALLOW else _END,
        )
        if None in parts:
            return None
        line = b"".join(cast(Iterable[bytes], parts))
        return None if is_odd(line) else line

    def _asker(self, entry: Entry, who: Identity | None) -> bytes | None:
        if who is not None and who.method is Method.VOUCHED:
            more = who.roles, who.domain, who.issuer, who.kid, who.key_id, entry.presented
            return _named(who.id, who.type, entry.verdict.roles) if more == _NO_MORE else None
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


def _asker(entry: Entry, who: Identity | None) -> bytes | None:
    token = fingerprint(who) or entry.presented
    if who is None:
        return _Token(token).encoded()
    roles = entry.verdict.roles, who.roles
    if max(map(len, roles)) > MOST:
        return None
    texts = (text or None for text in (who.domain, who.issuer, who.kid, who.key_id, token))
    return _Asker(Party(who.id, who.type), who.method, *roles, *texts).encoded()


@lru_cache(maxsize=_REMEMBERED)
def _named(name: str, kind: str, roles: tuple[str, ...]) -> bytes | None:
    """That of a subject whom a caller names: nothing else is known of it."""
    return None if len(roles) > MOST else _Asker(Party(name, kind), Method.VOUCHED, roles).encoded()


def _asked(query: Query, read: Read) -> bytes | None:
    action, what, context = query.action.name, query.resource, query.context
    resource, kind = resource_id(what.id), what.type
    place = _place(text_or_none(context.get("ip")), text_or_none(context.get("country")))
    if place is None or len(action) > LONGEST or len(resource) > LONGEST_RESOURCE:
        return None
    asked = b',"action":' + _ENCODE(action) if action else b""
    if resource:
        asked += b',"resource":' + _ENCODE(resource)
    if kind == RESOURCE_TYPE and read is NOTHING:
        return asked + place
    rare = _Rare(None if kind == RESOURCE_TYPE else kind or None, *read).encoded()
    return None if rare is None else asked + rare + place


@lru_cache(maxsize=_REMEMBERED)
def _place(ip: str | None, country: str | None) -> bytes | None:
    return _Place(ip, country).encoded()


@lru_cache
def _layer(name: str | None) -> bytes | None:
    return _Layer(name).encoded()


@lru_cache
def _tail(revision: str) -> bytes:
    return (b',"policy_revision":' + _ENCODE(revision) if revision else b"") + b',"duration_us":'
