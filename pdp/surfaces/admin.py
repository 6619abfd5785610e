"""What only administrators may ask: the live policy, and why a question is answered as it is."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from aiohttp import web

from pdp.errors import RequestError
from pdp.model import Answer, Identity, Rejected, vouched_identity
from pdp.runtime.explain import explain
from pdp.surfaces.bodies import read_body
from pdp.surfaces.client import parse_host
from pdp.surfaces.context import Context, plain
from pdp.surfaces.questions import (
    QuestionBody,
    parse_body,
    read_credentials,
    read_question,
    refuse_unjudged,
)

# A page in a browser can reach loopback under a name of its own (DNS rebinding, CWE-350).
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Admin:
    """`GET /v1/policy` and `POST /v1/explain`, under the machine's own name only."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def policy(self, request: web.BaseRequest) -> Answer:
        """What is live: the revision, and each layer with its kind and number of rules."""
        _refuse_foreign_names(request)
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

    async def reload(self, request: web.BaseRequest) -> Answer:
        """Read the directory now: 200 if its policy is live, 409 with the problems if not."""
        _refuse_foreign_names(request)
        attempt = await self._context.reloader.reload()
        return _json(attempt, 409 if attempt.result == "rejected" else 200)

    async def explain(self, request: web.BaseRequest) -> Answer:
        """One question of `POST /v1/decision`, with everything that its answer rests on."""
        _refuse_foreign_names(request)
        service = self._context.service
        data = await read_body(request, service.loaded.server)
        body = parse_body(data, QuestionBody)
        query = read_question(body, vouched=True, exempt=self._context.exempt)
        credentials, now = read_credentials(body), time.time()
        identity: Identity | Rejected = vouched_identity(query)
        if service.authenticator.finds(credentials):
            refuse_unjudged(service.authenticator)
            identity = await service.authenticate(credentials, now)
        return _json(explain(query, identity, service.snapshot, now))


def _refuse_foreign_names(request: web.BaseRequest) -> None:
    if parse_host(request.headers.get("Host", ""), field="Host") not in LOCAL_HOSTS:
        raise RequestError("Host", "is no name of this machine's own")


def _json(value: object, status: int = 200) -> Answer:
    return plain(status, msgspec.json.encode(value))
