"""Reads a decision from the decision log, and what of its question was recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from pdp import strict_json
from pdp.cli.terminal import give_up
from pdp.cli.times import parse_time
from pdp.model import (
    ANONYMOUS,
    ANONYMOUS_ID,
    RESOURCE_TYPE,
    STATUS,
    SUBJECT_TYPE,
    Identity,
    Method,
    Outcome,
    Reason,
    Rejected,
)

_NOTE: Final = "the log holds what the policy of that time read; what else one reads is not known"


class Party(msgspec.Struct, frozen=True):
    """A subject, by its id and type."""

    id: str | None = None
    type: str = SUBJECT_TYPE


class Record(msgspec.Struct, frozen=True):
    """A line of the decision log; a question that was a 400 has no action and no resource."""

    decision_id: str
    timestamp: str
    status: int
    reason: Reason
    action: str | None = None
    resource: str | None = None
    resource_type: str = RESOURCE_TYPE
    subject: Party | None = None
    named: Party | None = None
    method: Method = Method.VOUCHED
    asserted_roles: tuple[str, ...] = ()
    domain: str | None = None
    attributes: dict[str, dict[str, Any]] = {}
    context: dict[str, Any] = {}
    ip: str | None = None
    country: str | None = None
    policy_revision: str = ""
    masked: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()

    @property
    def subject_known(self) -> bool:
        """Whether there is a subject to judge again, or a credential that was refused."""
        return self.refused or (self.subject is not None and "subject" not in self.masked)

    @property
    def refused(self) -> bool:
        """Whether the credential was no good."""
        return self.subject is None and self.status == STATUS[Outcome.UNAUTHENTICATED]

    def note(self) -> str:
        """What cannot be told from the record."""
        parts = [_NOTE]
        parts += [f"masked: {', '.join(self.masked)}"] if self.masked else []
        parts += [f"shortened: {', '.join(self.shortened)}"] if self.shortened else []
        return "; ".join(parts)

    def question(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The body of `POST /v1/decision` that asks the same, as a caller that may vouch."""
        known = _without(msgspec.to_builtins(self), self.masked)
        properties, own = known["attributes"], ("ip", "country")
        context = known["context"] | {name: known[name] for name in own if known[name] is not None}
        asked = {
            "action": {"name": self.action, "properties": properties.get("action", {})},
            "resource": {
                "type": self.resource_type,
                "id": self.resource,
                "properties": properties.get("resource", {}),
            },
            "context": context | facts,
        }
        subject = known["named"] or known["subject"]
        if subject is not None and subject["id"] is not None:
            mine = {} if known["named"] else properties.get("subject", {})
            asked["subject"] = {**subject, "properties": mine}
        return asked

    def identity(self) -> Identity | Rejected:
        """Who asked, with the roles that the credential asserted."""
        if self.refused:
            return Rejected(self.reason)
        known = self.subject is not None and self.subject_known
        if self.subject is None or not known or self.subject.id in (None, ANONYMOUS_ID):
            return ANONYMOUS
        roles = () if "roles" in self.masked else self.asserted_roles
        return Identity(
            self.subject.id or "",
            self.subject.type,
            self.method,
            roles=roles,
            domain=self.domain,
        )


def _without(record: dict[str, Any], masked: tuple[str, ...]) -> dict[str, Any]:
    """The record without what is masked there, whose markers are no values."""
    for name in masked:
        if name in record:
            record[name] = {} if isinstance(record[name], dict) and name != "subject" else None
            continue
        inside: Any = record
        *above, last = name.split(".")
        for step in above:
            inside = inside.get(step, {}) if isinstance(inside, dict) else {}
        if isinstance(inside, dict):
            inside.pop(last, None)
    if "subject" in masked:
        record["named"] = None
    return record


def find_record(decision: str | None, log: str | None, *, alone: bool) -> Record:
    """The record of the decision of this id, or the command's end."""
    if decision is None or log is None:
        raise typer.BadParameter("--decision and --log belong together")
    if not alone:
        raise typer.BadParameter("--decision takes the question from the log: do not ask another")
    try:
        with sys.stdin.buffer if log == "-" else Path(log).open("rb") as lines:
            record = next(filter(None, (_read_record(line, decision) for line in lines)), None)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise typer.BadParameter(f"--log: cannot read `{log}`: {why}") from None
    where = "standard input" if log == "-" else f"`{log}`"
    if record is None:
        give_up(f"no decision `{decision}` in {where}", 1, "is it in an older, rotated log?")
    if record.action is None or record.resource is None:
        give_up(f"decision `{decision}` was a 400: its question could not be understood", 1)
    if "resource" in record.masked:
        give_up(f"decision `{decision}` does not tell its resource, which is masked", 1)
    return record


def _read_record(line: bytes, decision: str) -> Record | None:
    """The decision that a line records, if it is this one; what is no such record is passed by.

    What a container's runtime puts before the JSON is passed over.
    """
    if decision.encode("utf-8", "surrogateescape") not in line:
        return None
    try:
        record = msgspec.convert(strict_json.loads(line[line.find(b"{") :]), Record)
        parse_time(record.timestamp)
    except (ValueError, msgspec.ValidationError):
        return None
    return record if record.decision_id == decision else None
