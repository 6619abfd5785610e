"""What only operators may ask: the live policy, and why a question is answered as it is."""

from __future__ import annotations

import time

import msgspec

from pdp.model import Answer, Identity, Rejected, vouched_identity
from pdp.runtime.explain import explain
from pdp.runtime.settings import is_local
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import CallerUnknown, bearer_key
from pdp.surfaces.context import Context, plain
from pdp.surfaces.own_names import own_names
from pdp.surfaces.questions import (
    QuestionBody,
    parse_body,
    read_credentials,
    read_question,
    refuse_unjudged,
)
from pdp.surfaces.requests import Request


class Admin:
    """`GET /v1/policy`, `POST /v1/reload` and `POST /v1/explain`, for operators only.

    That is whoever has the admin key, where there is one. On loopback the machine is called by
    its own name, too, or a page in a browser could ask.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        listen = context.service.loaded.server.admin_listen
        self._local = is_local(listen)
        self._names = own_names(listen)

    def _admit(self, request: Request) -> None:
        """CallerUnknown for who has no key, RequestError for a browser that was led here."""
        keys = self._context.service.loaded.access.operators
        self._names.refuse_browsers(request)
        # INVARIANT: off loopback, nobody is admitted without a key.
        if keys is None and self._local:
            return
        key = bearer_key(request)
        if keys is None or not key or not keys.current().know(key):
            raise CallerUnknown

    async def policy(self, request: Request) -> Answer:
        """What is live: the revision, and each layer with its kind and number of rules."""
        self._admit(request)
        snapshot = self._context.service.snapshot
        layers = [
            {
                "name": layer.name,
                "kind": layer.kind,
                "effect": layer.effect.name,
                "rules": len(layer.rows),
                "depends": sorted(layer.depends),
            }
            for layer in snapshot.layers
        ]
        return _json({"policy_revision": snapshot.revision, "layers": layers})

    async def reload(self, request: Request) -> Answer:
        """Read the directory now: 200 if its policy is live, 409 with the problems if not."""
        self._admit(request)
        attempt = await self._context.reloader.reload()
        return _json(attempt, 409 if attempt.result == "rejected" else 200)

    async def explain(self, request: Request) -> Answer:
        """One question of `POST /v1/decision`, with everything that its answer rests on."""
        self._admit(request)
        service = self._context.service
        data = await read_body(request, service.loaded.server)
        body = parse_body(data, QuestionBody)
        query = read_question(body, vouched=True, exempt=self._context.reading.exempt)
        credentials, now = read_credentials(body), time.time()
        identity: Identity | Rejected = vouched_identity(query)
        if service.authenticator.finds(credentials):
            refuse_unjudged(service.authenticator)
            identity = await service.authenticate(credentials, now)
        return _json(explain(query, identity, service.snapshot, now))


def _json(value: object, status: int = 200) -> Answer:
    return plain(status, msgspec.json.encode(value))
