"""Every operation that `/openapi.json` tells, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pdp.runtime.explain import Explanation
from pdp.runtime.reload import Reload
from pdp.surfaces import openapi_answers as answers
from pdp.surfaces.authzen_bodies import EvaluationBody, _BatchBody
from pdp.surfaces.authzen_search_bodies import (
    ActionSearchBody,
    ResourceSearchBody,
    SubjectSearchBody,
)
from pdp.surfaces.discovery import PATH as DISCOVERY
from pdp.surfaces.questions import BatchBody, QuestionBody

PATH: Final = "/openapi.json"
JSON: Final = "application/json"

Shapes = tuple[Any, ...]  # types, of which the answer is one

_ERROR: Final = (answers.ErrorAnswer,)
_VERDICT: Final = (answers.DecisionAnswer,)
_READY: Final = (answers.ReadinessAnswer,)
_RELOAD: Final = (Reload,)
# Whatever is read from a body can be refused so.
_REFUSED: Final[Mapping[int, Shapes]] = MappingProxyType({400: _ERROR, 413: _ERROR, 503: _ERROR})


class Operation(msgspec.Struct, frozen=True):
    """One method of one path. `answers` are the shapes of what is answered, by status.

    `keyed`: it needs the key of a caller, where callers are configured. `echoes`: it hands back
    the id of a request. `media` is that of 200.
    """

    path: str
    id: str
    summary: str
    answers: Mapping[int, Shapes]
    body: Any = None
    example: Mapping[str, Any] | None = None
    method: str = "get"
    keyed: bool = False
    echoes: bool = False
    media: str = JSON


def _ask(
    path: str, id_: str, summary: str, body: Any, answer: Shapes, example: Mapping[str, Any]
) -> Operation:
    """A question of a caller."""
    found = {200: answer, **_REFUSED}
    echoes = path.startswith("/access/v1/")
    return Operation(path, id_, summary, found, body, example, "post", keyed=True, echoes=echoes)


_ALICE: Final = {"type": "user", "id": "alice"}
_GET: Final = {"name": "GET"}
_INVOICE: Final = {"type": "resource", "id": "/invoices/7"}
_SHORT: Final = {"subject": "alice", "action": "GET", "resource": "/invoices/7"}

_NATIVE: Final = (
    Operation(
        "/v1/decision",
        "decide",
        "One question, one verdict: 200 whenever it was decided",
        {200: _VERDICT, **_REFUSED, 503: (*_VERDICT, *_ERROR)},
        QuestionBody,
        {**_SHORT, "context": {"ip": "203.0.113.9"}},
        method="post",
        keyed=True,
    ),
    _ask(
        "/v1/decisions",
        "decideMany",
        "Many questions, judged by one policy",
        BatchBody,
        (answers.DecisionsAnswer,),
        {"decisions": [_SHORT]},
    ),
)
_AUTHZEN: Final = (
    _ask(
        "/access/v1/evaluation",
        "evaluate",
        "May this subject do this action on this resource?",
        EvaluationBody,
        (answers.EvaluationAnswer,),
        {"subject": _ALICE, "action": _GET, "resource": _INVOICE},
    ),
    _ask(
        "/access/v1/evaluations",
        "evaluateMany",
        "Many evaluations, judged by one policy",
        _BatchBody,
        (answers.EvaluationsAnswer, answers.EvaluationAnswer),
        {"subject": _ALICE, "action": _GET, "evaluations": [{"resource": _INVOICE}]},
    ),
    _ask(
        "/access/v1/search/subject",
        "searchSubjects",
        "Who may?",
        SubjectSearchBody,
        (answers.EntityResultsAnswer,),
        {"subject": {"type": "user"}, "action": _GET, "resource": _INVOICE},
    ),
    _ask(
        "/access/v1/search/resource",
        "searchResources",
        "On what?",
        ResourceSearchBody,
        (answers.EntityResultsAnswer,),
        {"subject": _ALICE, "action": _GET, "resource": {"type": "resource"}},
    ),
    _ask(
        "/access/v1/search/action",
        "searchActions",
        "What may be done?",
        ActionSearchBody,
        (answers.ActionResultsAnswer,),
        {"subject": _ALICE, "resource": _INVOICE},
    ),
    Operation(
        DISCOVERY,
        "discover",
        "Where the AuthZEN endpoints are",
        {200: (answers.MetadataAnswer,), 404: _ERROR},
        echoes=True,
    ),
)
_OPS: Final = (
    Operation("/livez", "live", "Does the process answer?", {200: (answers.AliveAnswer,)}),
    Operation("/readyz", "ready", "Can it decide?", {200: _READY, 503: _READY}),
    Operation("/healthz", "healthy", "The same as `/readyz`", {200: _READY, 503: _READY}),
    Operation(PATH, "describe", "This document", {200: (dict[str, Any],)}),
)
_ADMIN: Final = (
    Operation(
        "/metrics",
        "measure",
        "Metrics in the Prometheus text format",
        {200: (str,)},
        media="text/plain",
    ),
    Operation(
        "/v1/policy",
        "showPolicy",
        "What is live",
        {200: (answers.PolicyAnswer,), 400: _ERROR},
    ),
    Operation(
        "/v1/explain",
        "explain",
        "One question, and everything that its answer rests on",
        {200: (Explanation,), **_REFUSED},
        QuestionBody,
        _SHORT,
        method="post",
    ),
    Operation(
        "/v1/reload",
        "reload",
        "Read the policy directory now",
        {200: _RELOAD, 400: _ERROR, 409: _RELOAD},
        method="post",
    ),
)
PUBLIC: Final = (*_NATIVE, *_AUTHZEN, *_OPS)
ADMIN: Final = (*_ADMIN, *_OPS)
