"""The shapes of the JSON answers, typed, as `/openapi.json` tells them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, defstruct

from pdp.model import Outcome, Reason
from pdp.surfaces.discovery import ENDPOINTS


class ErrorAnswer(Struct, frozen=True):
    """What went wrong; `message` names the member or header field and quotes nothing."""

    error: Literal[
        "caller_unauthenticated",
        "invalid_request",
        "method_not_allowed",
        "not_found",
        "too_large",
        "unavailable",
    ]
    message: str


class SubjectAnswer(Struct, frozen=True):
    """Who asks, as far as it was established, with all roles, inherited ones included."""

    id: str
    roles: list[str]


class ResponseAnswer(Struct, frozen=True):
    """What the end client should be sent."""

    status: int
    headers: dict[str, str]
    body: str


class DecisionAnswer(Struct, frozen=True, kw_only=True):
    """A verdict; `reason`, `layer` and `rule` are told to callers with `see_reasons` only."""

    verdict: Outcome
    status: int
    reason: Reason | UnsetType = UNSET
    layer: str | UnsetType | None = UNSET
    rule: str | UnsetType | None = UNSET
    subject: SubjectAnswer | None
    response: ResponseAnswer
    decision_id: str
    policy_revision: str


class DecisionsAnswer(Struct, frozen=True):
    """The verdicts of a batch, in its order, all by one policy."""

    decisions: list[DecisionAnswer]
    policy_revision: str


class ItemErrorAnswer(Struct, frozen=True):
    """Why an item of a batch was not judged."""

    status: int
    message: str


class EvaluationContextAnswer(Struct, frozen=True):
    """The grounds of a decision; texts are by status.

    `reason` and `reason_admin` are told to callers with `see_reasons` only.
    """

    status: int
    decision_id: str
    reason_user: dict[str, str] | UnsetType = UNSET
    error: ItemErrorAnswer | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    reason_admin: dict[str, str] | UnsetType = UNSET


class EvaluationAnswer(Struct, frozen=True):
    """A decision as AuthZEN writes it."""

    decision: bool
    context: EvaluationContextAnswer


class EvaluationsAnswer(Struct, frozen=True):
    """The decisions of a batch, in its order, as far as it was judged."""

    evaluations: list[EvaluationAnswer]


class PageAnswer(Struct, frozen=True):
    """`next_token` asks for the next page; it is empty on the last one."""

    next_token: str
    count: int


class FoundEntityAnswer(Struct, frozen=True):
    """A subject or a resource that was found."""

    type: str
    id: str


class FoundActionAnswer(Struct, frozen=True):
    """An action that was found."""

    name: str


class EntityResultsAnswer(Struct, frozen=True):
    """Subjects or resources, sorted; `page` where one was asked for, or there are more."""

    results: list[FoundEntityAnswer]
    page: PageAnswer | UnsetType = UNSET


class ActionResultsAnswer(Struct, frozen=True):
    """Actions, sorted; `page` where one was asked for, or there are more."""

    results: list[FoundActionAnswer]
    page: PageAnswer | UnsetType = UNSET


MetadataAnswer = defstruct(
    "MetadataAnswer",
    [(name, str) for name in ("policy_decision_point", *ENDPOINTS)],
    namespace={"__doc__": "Where the endpoints of the AuthZEN API are."},
    module=__name__,
    frozen=True,
)


class AliveAnswer(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class KeysAnswer(Struct, frozen=True):
    """Whether an issuer's keys are usable; of those that are fetched, how old they are."""

    loaded: bool
    age_seconds: int | UnsetType | None = UNSET
    failures: int | UnsetType = UNSET
    problem: str | UnsetType | None = UNSET
    stale: bool | UnsetType = UNSET


class ReadinessAnswer(Struct, frozen=True):
    """Whether questions can be decided, and why what stands in the directory is not live."""

    status: Literal["ready", "not_ready"]
    policy_revision: str
    stale: list[str]
    revocations_stale: list[str]
    keys_stale: list[str]
    credentials_stale: list[str]
    countries_stale: list[str]
    callers_stale: list[str]
    certificates_stale: list[str]
    keys: dict[str, KeysAnswer]


class LayerAnswer(Struct, frozen=True):
    """A layer of the live policy; `depends` names the parts of a question it looks at."""

    name: str
    kind: Literal["guard", "grant"]
    effect: str
    rules: int
    depends: list[str]


class PolicyAnswer(Struct, frozen=True):
    """The live policy."""

    policy_revision: str
    layers: list[LayerAnswer]
