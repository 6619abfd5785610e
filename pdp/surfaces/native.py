"""The native API: one question, or a batch judged by one policy."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import Answer, Credentials, Outcome, Query, vouched_identity
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Caller
from pdp.runtime.service import Decision
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import identify_caller, vouches
from pdp.surfaces.context import Context, plain
from pdp.surfaces.questions import (
    BatchBody,
    QuestionBody,
    parse_body,
    read_credentials,
    read_question,
    refuse_unjudged,
    refuse_unvouched,
)
from pdp.surfaces.requests import Request

Asked = tuple[Query, Credentials]

SURFACE: Final = "native"


class Native:
    """`POST /v1/decision` and `POST /v1/decisions`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._service = context.service

    async def decision(self, request: Request) -> Answer:
        """One question, one verdict: 200 whenever it was decided."""
        caller = identify_caller(request, self._context)
        body = parse_body(await read_body(request, self._service.loaded.server), QuestionBody)
        asked = self._understand(body, caller)
        decision = await self._decide(asked, self._service.snapshot)
        status = 503 if decision.verdict.outcome is Outcome.FAULT else 200
        return plain(status, msgspec.json.encode(self._answer(decision, body.accept, caller)))

    async def decisions(self, request: Request) -> Answer:
        """A batch in order. All items must be understood before any is judged."""
        server = self._service.loaded.server
        caller = identify_caller(request, self._context)
        body = parse_body(await read_body(request, server), BatchBody)
        if len(body.decisions) > server.max_batch:
            raise RequestError("decisions", f"holds more than {server.max_batch} items")
        asked = [
            self._understand(item, caller, f"decisions[{index}].")
            for index, item in enumerate(body.decisions)
        ]
        snapshot = self._service.snapshot  # INVARIANT: one snapshot per batch
        answers = []
        for item, question in zip(body.decisions, asked, strict=True):
            decision = await self._decide(question, snapshot)
            answers.append(self._answer(decision, item.accept, caller))
            await asyncio.sleep(0)  # others are answered between two items
        found = {"decisions": answers, "policy_revision": snapshot.revision}
        return plain(200, msgspec.json.encode(found))

    def _understand(self, body: QuestionBody, caller: Caller, prefix: str = "") -> Asked:
        """The canonical question with its credentials, or RequestError naming its field."""
        authenticator, exempt = self._service.authenticator, self._context.reading.exempt
        vouched = vouches(caller, authenticator)
        try:
            query = read_question(body, vouched=vouched, exempt=exempt)
            credentials = read_credentials(body)
            if authenticator.finds(credentials):
                refuse_unjudged(authenticator)
            elif query.subject:
                refuse_unvouched(vouches=vouched)
        except RequestError as error:
            raise error.below(prefix) from None
        return query, credentials

    async def _decide(self, asked: Asked, snapshot: Snapshot) -> Decision:
        query, credentials = asked
        if query.subject and not self._service.authenticator.finds(credentials):
            return self._service.decide(query, vouched_identity(query), snapshot, SURFACE)
        return await self._service.judge(query, credentials, snapshot, SURFACE)

    def _answer(self, decision: Decision, accept: str | None, caller: Caller) -> dict[str, Any]:
        verdict, identity = decision.verdict, decision.verdict.identity
        response = self._context.render(verdict, Profile.PLAIN, accept)
        why = {
            "reason": verdict.reason,
            "layer": verdict.layer,
            "rule": None if verdict.rule is None else str(verdict.rule),
        }
        return {
            "verdict": verdict.outcome,
            "status": verdict.status,
            **(why if caller.see_reasons else {}),
            "subject": identity and {"id": identity.id, "roles": verdict.roles},
            "response": {
                "status": response.status,
                "headers": dict(response.headers),
                "body": response.body.decode(),
            },
            "decision_id": decision.id,
            "policy_revision": verdict.revision,
        }
