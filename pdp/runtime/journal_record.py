"""The record of one decision, in the writer's thread, from what was kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from pdp.identity.session import session_of
from pdp.model import (
    ANONYMOUS,
    RESOURCE_TYPE,
    Credentials,
    Entity,
    Identity,
    Method,
    Outcome,
    Query,
    Verdict,
)
from pdp.policy.snapshot import Snapshot
from pdp.runtime.journal_asking import NOBODY, request_id, trace_id
from pdp.runtime.journal_names import Names, names_of
from pdp.runtime.journal_shapes import Entry, Party, Record
from pdp.runtime.journal_values import LONGEST_RESOURCE, Values, encode, resource_id

_SHOWN: Final = 32  # hex digits of a fingerprint
_SHORTEST_TOKEN: Final = 32  # what is shorter could be guessed from its digest
_TOKENS: Final = frozenset({Method.BEARER, Method.SESSION})
_MOST_SNAPSHOTS: Final = 4


class Recorder:
    """Turns entries into lines; remembers what each policy reads."""

    def __init__(self, mask: Iterable[str], sample_allows: float) -> None:
        self._masks = frozenset(mask)
        self._sampled = sample_allows if sample_allows < 1 else None
        self._names: dict[str, Names] = {}

    def line(self, entry: Entry) -> bytes:
        """The record of a decision, ended by a line feed."""
        return encode(self._record(entry))

    def least(self, entry: Entry) -> bytes:
        """What can be said of a decision whose record could not be made."""
        return encode(Record(**_settled(entry), shortened=["record"]))

    def _record(self, entry: Entry) -> Record:
        verdict, values, asked = entry.verdict, Values(self._masks), entry.asking
        identity, query = verdict.identity, entry.query
        fields = _settled(entry)
        texts: list[tuple[str, str | None]] = [
            ("detail", verdict.detail),
            ("token", _fingerprint(identity) or entry.presented),
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
        if named is not None and (named.type, named.id) != (identity.type, identity.id):
            told["named"] = _party(named, values)
        if entry.snapshot is None:
            return told
        names = self._names_of(entry.snapshot)
        if names.subject or names.resource or names.action:
            facts = entry.snapshot.facts(query, identity, entry.at)
            told["attributes"] = values.attributes(facts, names)
        if names.context or names.whole:
            told["context"] = values.context(query.context, names)
        return told

    def _names_of(self, snapshot: Snapshot) -> Names:
        names = self._names.get(snapshot.revision)
        if names is None:
            while len(self._names) >= _MOST_SNAPSHOTS:
                del self._names[next(iter(self._names))]
            names = self._names[snapshot.revision] = names_of(snapshot.layers)
        return names


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
        ("ip", _if_text(context.get("ip"))),
        ("country", _if_text(context.get("country"))),
    )


def _party(who: Identity | Entity, values: Values) -> Party:
    return Party(values.text("subject", who.id) or "", values.text("type", who.type) or "")


def _if_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _fingerprint(identity: Identity | None) -> str | None:
    """That of a good token with an id: however it is spelt, it is the same."""
    jti = _token_id(identity)
    return None if jti is None else _digest(jti)


def _token_id(identity: Identity | None) -> str | None:
    if identity is None or identity.method not in _TOKENS:
        return None
    jti = identity.claims.get("jti")
    return jti if isinstance(jti, str) and jti else None


def presented_token(
    identity: Identity | None, credentials: Credentials, cookie: str | None
) -> str | None:
    """The fingerprint of the token among these credentials, where it has no id of its own.

    None for what is no token, and for what is so short that its digest would give it away.
    """
    if _token_id(identity) is not None:
        return None
    token = credentials.token
    if token is None and credentials.authorization is not None:
        scheme, _, value = credentials.authorization.partition(" ")
        token = value.strip() if scheme.lower() == "bearer" else None
    elif token is None and credentials.cookie is not None and cookie is not None:
        token = session_of(credentials.cookie, cookie)
    return _digest(token) if token and len(token) >= _SHORTEST_TOKEN else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]


def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, with microseconds."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}.{micro:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
