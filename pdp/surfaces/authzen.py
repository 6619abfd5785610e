"""The AuthZEN Authorization API 1.0: one evaluation, or a batch judged by one policy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pdp.answer.bodies import OURS, MediaType
from pdp.errors import RequestError
from pdp.model import Answer, Credentials, Outcome, Query, vouched_identity
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Caller
from pdp.runtime.service import Decision
from pdp.surfaces.authzen_bodies import EvaluationBody, read_batch, read_evaluation
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import identify_caller, vouches
from pdp.surfaces.context import Context, plain
from pdp.surfaces.questions import parse_object, refuse_unjudged, typed
from pdp.surfaces.requests import Request

Asked = tuple[Query, Credentials]

SURFACE: Final = "authzen"
# What the end user may be told, by outcome: nothing of the request, and no reason.
USER_TEXT: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        outcome: msgspec.json.decode(OURS.of(outcome, MediaType.JSON))["message"]
        for outcome in Outcome
        if outcome is not Outcome.ALLOW
    }
)
_ERRORS: Final = frozenset({Outcome.BAD_REQUEST, Outcome.FAULT})


class AuthZen:
    """`POST /access/v1/evaluation` and `POST /access/v1/evaluations`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._service = context.service

    async def evaluation(self, request: Request) -> Answer:
        """One question: 200 whenever it was decided, whatever the decision."""
        caller = identify_caller(request, self._context)
        data = await read_body(request, self._service.loaded.server)
        asked = self._understand(typed(parse_object(data), EvaluationBody), caller)
        return single(await self._decide(asked, self._service.snapshot), caller)

    async def evaluations(self, request: Request) -> Answer:
        """A batch in order; an item that cannot be understood is a refusal of its own."""
        server = self._service.loaded.server
        caller = identify_caller(request, self._context)
        batch = read_batch(await read_body(request, server), server.max_batch)
        snapshot = self._service.snapshot  # INVARIANT: one snapshot per batch
        if not batch.items:
            asked = self._understand(typed(batch.defaults, EvaluationBody), caller)
            return single(await self._decide(asked, snapshot), caller)
        answers: list[dict[str, Any]] = []
        for index in range(len(batch.items)):
            message = None
            try:
                asked = self._understand(batch.item(index), caller, f"evaluations[{index}].")
            except RequestError as error:
                message = str(error)
                decision = self._service.refuse(error, SURFACE)
            else:
                decision = await self._decide(asked, snapshot)
            answers.append(told(decision, caller, message))
            if answers[-1]["decision"] is batch.ends_at:
                break
            await asyncio.sleep(0)  # others are answered between two items
        return plain(200, msgspec.json.encode({"evaluations": answers}))

    def _understand(self, body: EvaluationBody, caller: Caller, prefix: str = "") -> Asked:
        """The canonical question with its token, or RequestError naming its field."""
        authenticator, exempt = self._service.authenticator, self._context.reading.exempt
        vouched = vouches(caller, authenticator)
        try:
            query, credentials = read_evaluation(body, vouched=vouched, exempt=exempt)
            if credentials.presented:
                refuse_unjudged(authenticator, "context.token")
        except RequestError as error:
            raise error.below(prefix) from None
        return query, credentials

    async def _decide(self, asked: Asked, snapshot: Snapshot) -> Decision:
        query, credentials = asked
        if credentials.presented:
            return await self._service.judge(query, credentials, snapshot, SURFACE)
        return self._service.decide(query, vouched_identity(query), snapshot, SURFACE)


def single(decision: Decision, caller: Caller) -> Answer:
    """The answer to one question; a fault is no decision, and no 200."""
    if decision.verdict.outcome is Outcome.FAULT:
        return plain(503, OURS.of(Outcome.FAULT, MediaType.JSON))
    return plain(200, msgspec.json.encode(told(decision, caller)))


def told(decision: Decision, caller: Caller, message: str | None = None) -> dict[str, Any]:
    """A decision as AuthZEN writes it. `message` says what is wrong with an item of a batch."""
    verdict = decision.verdict
    outcome, status = verdict.outcome, verdict.status
    context: dict[str, Any] = {"status": status, "decision_id": decision.id}
    context.update(verdict.demands)  # `acr_values`, `max_age` of a stronger login; `scope`
    if outcome is not Outcome.ALLOW:
        context["reason_user"] = {str(status): USER_TEXT[outcome]}
    if outcome in _ERRORS:
        error = {"status": status, "message": message or USER_TEXT[outcome]}
        context["error"] = error
    if caller.see_reasons:
        layer = f", layer {verdict.layer}" if verdict.layer else ""
        rule = f", rule {verdict.rule}" if verdict.rule else ""
        context["reason"] = verdict.reason
        context["reason_admin"] = {str(status): f"{verdict.reason}{layer}{rule}"}
    return {"decision": outcome is Outcome.ALLOW, "context": context}
