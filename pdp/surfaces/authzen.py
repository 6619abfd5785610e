"""The AuthZEN Authorization API 1.0: one evaluation, or a batch judged by one policy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiohttp import web

from pdp.answer.bodies import OURS, MediaType
from pdp.errors import RequestError
from pdp.model import Answer, Outcome, vouched_identity
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Caller
from pdp.runtime.service import Decision
from pdp.surfaces.authzen_bodies import EvaluationBody, read_batch, read_evaluation
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import identify_caller, vouches
from pdp.surfaces.context import Context, Recorded, plain
from pdp.surfaces.questions import below, parse_object, refuse_unjudged, typed

SURFACE: Final = "authzen"
# What the end user may be told, by outcome: nothing of the request, and no reason.
USER_TEXT: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        outcome: msgspec.json.decode(OURS.of(outcome, MediaType.JSON))["message"]
        for outcome in Outcome
        if outcome is not Outcome.ALLOW
    }
)


class AuthZen:
    """`POST /access/v1/evaluation` and `POST /access/v1/evaluations`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._service = context.service

    async def evaluation(self, request: web.BaseRequest) -> Answer:
        """One question: 200 whenever it was decided, whatever the decision."""
        with Recorded(self._service, SURFACE):
            caller = identify_caller(request, self._context)
            data = await read_body(request, self._service.loaded.server)
            asked = typed(parse_object(data), EvaluationBody)
            decision = await self._decide(asked, caller, self._service.snapshot)
        return single(decision, caller)

    async def evaluations(self, request: web.BaseRequest) -> Answer:
        """A batch in order; an item that cannot be understood is a refusal of its own."""
        server = self._service.loaded.server
        with Recorded(self._service, SURFACE):
            caller = identify_caller(request, self._context)
            batch = read_batch(await read_body(request, server), server.max_batch)
            snapshot = self._service.snapshot  # INVARIANT: one snapshot per batch
            if not batch.items:
                asked = typed(batch.defaults, EvaluationBody)
                return single(await self._decide(asked, caller, snapshot), caller)
        answers: list[dict[str, Any]] = []
        for index in range(len(batch.items)):
            try:
                asked = batch.item(index)
                decision = await self._decide(asked, caller, snapshot, f"evaluations[{index}].")
                message = None
            except RequestError as error:
                decision, message = self._service.refuse(error, SURFACE), str(error)
            answers.append(told(decision, caller, message))
            if answers[-1]["decision"] is batch.ends_at:
                break
            await asyncio.sleep(0)  # others are answered between two items
        return plain(200, msgspec.json.encode({"evaluations": answers}))

    async def _decide(
        self, asked: EvaluationBody, caller: Caller, snapshot: Snapshot, prefix: str = ""
    ) -> Decision:
        """The decision, or RequestError naming its field."""
        service, authenticator = self._service, self._service.authenticator
        vouched, exempt = vouches(caller, authenticator), self._context.exempt
        with below(prefix):
            query, credentials = read_evaluation(asked, vouched=vouched, exempt=exempt)
            if credentials.presented:
                with below("context."):
                    refuse_unjudged(authenticator)
        if credentials.presented:
            return await service.judge(query, credentials, snapshot, SURFACE)
        return await service.decide(query, vouched_identity(query), snapshot, SURFACE)


def single(decision: Decision, caller: Caller) -> Answer:
    """The answer to one question; a fault is no decision, and no 200."""
    if decision.verdict.outcome is Outcome.FAULT:
        return plain(503, OURS.of(Outcome.FAULT, MediaType.JSON))
    return plain(200, msgspec.json.encode(told(decision, caller)))


def told(decision: Decision, caller: Caller, message: str | None = None) -> dict[str, Any]:
    """A decision as AuthZEN writes it. `message` says what is wrong with an item of a batch."""
    verdict = decision.verdict
    status = verdict.status
    context: dict[str, Any] = {"status": status, "decision_id": decision.id}
    context |= dict(verdict.demands)  # `acr_values`, `max_age` of a stronger login; `scope`
    if verdict.outcome is not Outcome.ALLOW:
        context["reason_user"] = {str(status): USER_TEXT[verdict.outcome]}
    if verdict.outcome in (Outcome.BAD_REQUEST, Outcome.FAULT):
        error = {"status": status, "message": message or USER_TEXT[verdict.outcome]}
        context["error"] = error
    if caller.see_reasons:
        places = (("layer", verdict.layer), ("rule", verdict.rule))
        why = [str(verdict.reason), *(f"{what} {name}" for what, name in places if name)]
        context |= {"reason": verdict.reason, "reason_admin": {str(status): ", ".join(why)}}
    return {"decision": verdict.outcome is Outcome.ALLOW, "context": context}
