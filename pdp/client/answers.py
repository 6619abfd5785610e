"""The PDP's answers, read strictly: what is not understood is an error, and never an allow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from pdp import strict_json
from pdp.client.errors import NotUnderstood
from pdp.client.values import Decision, Response, Verdict

T = TypeVar("T")

_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "allow": 200,
        "bad_request": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not_found": 404,
        "throttled": 429,
        "fault": 503,
    }
)
# The decision behind which a PDP may leave the other questions unanswered.
ENDS_AT: Final[Mapping[str, bool | None]] = MappingProxyType(
    {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}
)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Which bytes belong to a message is for the server to say that sends it.
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding", "upgrade"})


class Page(Struct, frozen=True):
    """One page of a search; `next_token` is empty on the last one."""

    results: list[Any]
    next_token: str


class _Decision(Struct, frozen=True):
    decision: bool
    context: dict[str, Any] = {}


class _Evaluations(Struct, frozen=True):
    evaluations: list[_Decision]


class _PageInfo(Struct, frozen=True):
    next_token: str = ""


class _Results(Struct, frozen=True):
    results: list[Any]
    page: _PageInfo = _PageInfo()


class _Subject(Struct, frozen=True):
    id: str
    roles: tuple[str, ...] = ()


class _Verdict(Struct, frozen=True):
    verdict: str
    status: int
    subject: _Subject | None
    response: Response
    decision_id: str
    policy_revision: str
    reason: str | None = None
    layer: str | None = None
    rule: str | None = None


def parse(data: bytes) -> Any:
    """The JSON value that a body holds."""
    try:
        return strict_json.loads(data)
    except ValueError as error:
        raise NotUnderstood(f"the answer cannot be read: {error}") from None


def typed(value: Any, kind: type[T]) -> T:
    """A value as `kind`: a text that says `true` is no boolean, nor is a one."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NotUnderstood(f"the answer is another one: {error}") from None


def read_decision(value: Any) -> Decision:
    """The answer to one evaluation."""
    return _decision(typed(value, _Decision))


def read_decisions(value: Any, count: int, semantic: str) -> list[Decision]:
    """The answers to `count` evaluations; fewer only if the last one ends the semantic."""
    found = [_decision(item) for item in typed(value, _Evaluations).evaluations]
    ends_at = ENDS_AT.get(semantic)
    ended = bool(found) and ends_at is not None and found[-1].allowed is ends_at
    if len(found) > count or (len(found) < count and not ended):
        raise NotUnderstood(f"{len(found)} answers to {count} questions")
    return found


def _decision(found: _Decision) -> Decision:
    status, *texts = (found.context.get(name) for name in ("status", "reason", "decision_id"))
    reason, decision_id = (text if isinstance(text, str) else None for text in texts)
    number = status if type(status) is int else None
    return Decision(found.decision, number, reason, decision_id, found.context)


def read_page(value: Any) -> Page:
    """One page of a search."""
    found = typed(value, _Results)
    return Page(found.results, found.page.next_token)


def read_verdict(value: Any) -> Verdict:
    """A verdict that does not contradict itself."""
    found = typed(value, _Verdict)
    status, response = _STATUS.get(found.verdict), found.response
    allows = found.verdict == "allow"
    refuses = 300 <= response.status <= 599  # noqa: PLR2004
    if found.status != status or (response.status != status if allows else not refuses):
        raise NotUnderstood("the verdict and its status do not fit")
    if not all(map(_sound_field, response.headers.items())):
        raise NotUnderstood("the response has a header that cannot be sent")
    return Verdict(
        verdict=found.verdict,
        status=found.status,
        subject=found.subject.id if found.subject else None,
        roles=found.subject.roles if found.subject else (),
        response=response,
        decision_id=found.decision_id,
        policy_revision=found.policy_revision,
        reason=found.reason,
        layer=found.layer,
        rule=found.rule,
    )


def _sound_field(field: tuple[str, str]) -> bool:
    name, value = field
    fits = _NAME.fullmatch(name) is not None and _CONTROL.search(value) is None
    return fits and name.lower() not in _FRAMING
