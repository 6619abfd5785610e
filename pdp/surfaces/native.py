"""The native API: one question, or a batch judged by one policy."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import NO_CREDENTIALS, Answer, Outcome
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Caller
from pdp.runtime.service import Decision
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import identify_caller
from pdp.surfaces.context import Context, plain
from pdp.surfaces.questions import (
    BatchBody,
    QuestionBody,
    parse_body,
    read_credentials,
    read_question,
    vouched_identity,
)


class Native:
    """`POST /v1/decision` and `POST /v1/decisions`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._service = context.service

    async def decision(self, request: web.BaseRequest) -> Answer:
        """One question, one verdict: 200 whenever it was decided."""
        caller = identify_caller(request, self._context)
        body = parse_body(await read_body(request, self._service.loaded.server), QuestionBody)
        decision, answer = await self._decide(body, caller, self._service.snapshot, "")
        status = 503 if decision.verdict.outcome is Outcome.FAULT else 200
        return plain(status, msgspec.json.encode(answer))

    async def decisions(self, request: web.BaseRequest) -> Answer:
        """A batch in order. All items must be understood before any is judged."""
        caller = identify_caller(request, self._context)
        server = self._service.loaded.server
        body = parse_body(await read_body(request, server), BatchBody)
        if len(body.decisions) > server.max_batch:
            raise RequestError("decisions", f"holds more than {server.max_batch} items")
        snapshot = self._service.snapshot  # INVARIANT: one snapshot per batch
        for index, item in enumerate(body.decisions):
            self._understand(item, caller, f"decisions[{index}].")
        answers = [
            (await self._decide(item, caller, snapshot, f"decisions[{index}]."))[1]
            for index, item in enumerate(body.decisions)
        ]
        found = {"decisions": answers, "policy_revision": snapshot.revision}
        return plain(200, msgspec.json.encode(found))

    def _understand(self, body: QuestionBody, caller: Caller, prefix: str) -> Any:
        """The query and the credentials of one item, or RequestError naming its field."""
        configured = self._service.authenticator.configured
        vouches = caller.vouch or not configured
        try:
            query = read_question(body, vouched=vouches, exempt=self._context.exempt)
            credentials = read_credentials(body)
        except RequestError as error:
            raise RequestError(prefix + error.field, error.problem) from None
        presented = credentials != NO_CREDENTIALS
        if presented and not configured:
            raise RequestError(prefix + "token", "no authentication is configured to judge it")
        if query.subject and not presented and not vouches:
            raise RequestError(prefix + "subject", "needs a credential, or a caller that may vouch")
        return query, credentials

    async def _decide(
        self, body: QuestionBody, caller: Caller, snapshot: Snapshot, prefix: str
    ) -> tuple[Decision, dict[str, Any]]:
        query, credentials = self._understand(body, caller, prefix)
        if query.subject and credentials == NO_CREDENTIALS:
            identity = vouched_identity(query)
            decision = await self._service.decide(query, identity, snapshot, "native")
        else:
            decision = await self._service.judge(query, credentials, snapshot, "native")
        return decision, self._answer(decision, body.accept, caller)

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
