"""The body of a native question, typed; every complaint names the field and quotes nothing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from pdp import strict_json
from pdp.errors import RequestError
from pdp.identity.chain import Authenticator
from pdp.model import (
    RESOURCE_TYPE,
    SUBJECT_TYPE,
    Action,
    Credentials,
    Entity,
    Query,
)
from pdp.policy.facts import Instant
from pdp.surfaces.client import parse_address
from pdp.surfaces.credentials import holds_two
from pdp.surfaces.target import Exempt, parse_target

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 8_192
_DEEPEST = 32
_LONGEST_CREDENTIAL = 65_536
_PRESENTED = ("token", "authorization", "cookie", "api_key")


class EntityBody(msgspec.Struct, frozen=True):
    """A subject or a resource as AuthZEN writes it."""

    type: str
    id: str
    properties: dict[str, Any] = {}


class ActionBody(msgspec.Struct, frozen=True):
    """An action as AuthZEN writes it."""

    name: str
    properties: dict[str, Any] = {}


class QuestionBody(msgspec.Struct, frozen=True):
    """`POST /v1/decision`; unknown members are ignored."""

    action: str | ActionBody
    resource: str | EntityBody
    subject: str | EntityBody | None = None
    context: dict[str, Any] = {}
    token: str | None = None
    authorization: str | None = None
    cookie: str | None = None
    api_key: str | None = None
    accept: str | None = None

    def __repr__(self) -> str:
        return f"QuestionBody(action={self.action!r}, resource={self.resource!r}, …)"


class BatchBody(msgspec.Struct, frozen=True):
    """`POST /v1/decisions`."""

    decisions: list[QuestionBody]


def parse_body(data: bytes, kind: type[T]) -> T:
    """The body as a value of `kind`, or RequestError naming the field that is wrong."""
    return typed(parse_object(data), kind)


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object that a body holds, or RequestError."""
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        raise RequestError("body", str(error)) from None
    if not isinstance(value, dict):
        raise RequestError("body", "must be a JSON object")
    # What opens no more often than that is no deeper.
    if data.count(b"{") + data.count(b"[") > _DEEPEST and _too_deep(value):
        raise RequestError("body", f"is nested deeper than {_DEEPEST} levels")
    return value


def typed(value: dict[str, Any], kind: type[T]) -> T:
    """An object as a value of `kind`, or RequestError naming the field that is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        members = (m.values() if isinstance(m, dict) else m for m in level)
        level = [child for inner in members for child in inner if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _named(message: str) -> RequestError:
    """Msgspec's complaint with the field first; it holds names of ours only, never a value."""
    what, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\\w+)`".replace("\\\\", "\\"), what)
    if missing:
        return RequestError(f"{field}.{missing[1]}".lstrip("."), "is required")
    return RequestError(field.replace("[...]", ".*") or "body", what[:1].lower() + what[1:])


def read_question(body: QuestionBody, *, vouched: bool, exempt: Exempt | None) -> Query:
    """The canonical question; `vouched` tells that the caller may speak for the subject."""
    subject = None if body.subject is None else _entity(body.subject, "subject", SUBJECT_TYPE)
    if subject is not None and subject.properties and not vouched:
        raise RequestError("subject.properties", "only a caller that may vouch can give them")
    action = body.action if isinstance(body.action, ActionBody) else ActionBody(body.action)
    resource = _entity(body.resource, "resource", RESOURCE_TYPE)
    if resource.id.startswith("/"):
        field = "resource" if isinstance(body.resource, str) else "resource.id"
        path = parse_target(resource.id, field=field, exempt=exempt)
        resource = Entity(resource.type, path, resource.properties)
    return Query(
        action=Action(
            _text(action.name, "action" if isinstance(body.action, str) else "action.name"),
            action.properties,
        ),
        resource=resource,
        context=_context(body.context, vouched=vouched),
        subject=subject,
        vouched=vouched,
    )


def _entity(value: str | EntityBody, field: str, default_type: str) -> Entity:
    if isinstance(value, str):
        return Entity(default_type, _text(value, field))
    kind, name = _text(value.type, f"{field}.type"), _text(value.id, f"{field}.id")
    return Entity(kind, name, value.properties)


def _text(value: str, field: str) -> str:
    if 0 < len(value) <= _LONGEST and (value.isprintable() or not _CONTROL.search(value)):
        return value
    if not value:
        raise RequestError(field, "is empty")
    if len(value) > _LONGEST:
        raise RequestError(field, f"is longer than {_LONGEST} characters")
    raise RequestError(field, "holds a control character")


def _context(given: dict[str, Any], *, vouched: bool) -> dict[str, Any]:
    context = dict(given)
    if "ip" in context:
        if not isinstance(context["ip"], str):
            raise RequestError("context.ip", "must be a string")
        context["ip"] = parse_address(context["ip"], field="context.ip")
    if "time" in context and vouched:
        context["time"] = _instant(context["time"])
    return context


def _instant(value: Any) -> Instant:
    """A point in time: RFC 3339 with an offset, or Unix seconds."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return Instant.at(moment.timestamp())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return Instant.at(value)
    except (ValueError, OverflowError, OSError):
        pass
    raise RequestError("context.time", "must be an RFC 3339 time with an offset, or Unix seconds")


def read_credentials(body: QuestionBody) -> Credentials:
    """What is presented, of which there may be one at most."""
    values = body.token, body.authorization, body.cookie, body.api_key
    presented = [given for given in zip(_PRESENTED, values, strict=True) if given[1] is not None]
    if len(presented) > 1:
        problem = f"is one credential too many, beside {presented[0][0]}"
        raise RequestError(presented[1][0], problem)
    for name, value in presented:
        if value is not None and len(value) > _LONGEST_CREDENTIAL:
            raise RequestError(name, f"is longer than {_LONGEST_CREDENTIAL} characters")
    if body.authorization is not None and holds_two(body.authorization):
        raise RequestError("authorization", "holds more than one credential")
    return Credentials(body.token, body.authorization, body.api_key, body.cookie)


def refuse_unjudged(authenticator: Authenticator, field: str = "token") -> None:
    """RequestError where a credential is presented and nothing is configured to judge it."""
    if not authenticator.configured:
        raise RequestError(field, "no authentication is configured to judge it")


def refuse_unvouched(*, vouches: bool) -> None:
    """RequestError where a subject is named without a credential, by whom nobody trusts in that."""
    if not vouches:
        raise RequestError("subject", "needs a credential, or a caller that may vouch")
