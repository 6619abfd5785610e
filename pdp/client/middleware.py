"""aiohttp's middleware for a service that enforces what the PDP decides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from pdp.client import incoming
from pdp.client.asking import Pdp
from pdp.client.errors import BadQuestion, PdpError
from pdp.client.request_ids import FIELD, request_id, sound
from pdp.client.values import Action, Resource, Subject, Verdict

log = logging.getLogger("pdp.client")

VERDICT: Final = web.RequestKey("pdp.verdict", Verdict)

_BAD: Final = (400, b'{"error":"invalid_request","message":"The request cannot be understood."}')
_FAULT: Final = (
    503,
    b'{"error":"unavailable","message":"The request could not be decided; try again later."}',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A middleware that serves what the PDP allows, and answers all else as the PDP says.

    In `web.Application(middlewares=[…])` it guards all that the application serves, also what it
    does not know; `around` guards one handler.
    """

    pdp: Pdp
    action: Callable[[web.Request], Action]
    resource: Callable[[web.Request], Resource]
    subject: Callable[[web.Request], Subject | None] | None
    context: Callable[[web.Request], Mapping[str, Any]]
    client: Callable[[web.Request], str | None]
    on_allow: Callable[[web.Request, Verdict], None] | None

    __middleware_version__ = 1  # what aiohttp's own decorator sets

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What the handler answers, or a refusal; 503 where nothing was decided."""
        with _named(request):
            try:
                verdict = await self._decide(request)
            except PdpError as error:  # the client sees 400 or 503, never what is wrong with us
                log.warning("not decided: %s: %s", type(error).__name__, error)
                return _failed(*(_BAD if isinstance(error, BadQuestion) else _FAULT))
            if not verdict:
                return _refused(verdict)
            request[VERDICT] = verdict
            if self.on_allow is not None:
                self.on_allow(request, verdict)
            return await handler(request)

    def around(self, handler: Handler) -> Handler:
        """The handler, guarded."""

        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self(request, handler)

        return guarded

    async def _decide(self, request: web.Request) -> Verdict:
        context = {**incoming.facts(request), **self.context(request)}
        if (client := self.client(request)) is not None:
            context["ip"] = client
        named = self.subject is not None
        return await self.pdp.decide(
            action=self.action(request),
            resource=self.resource(request),
            subject=self.subject(request) if self.subject is not None else None,
            context=context,
            accept=incoming.accept(request),
            **({} if named else incoming.credentials(request)),
        )


def require(
    pdp: Pdp,
    *,
    action: Action | Callable[[web.Request], Action] = incoming.method,
    resource: Resource | Callable[[web.Request], Resource] = incoming.path,
    subject: Callable[[web.Request], Subject | None] | None = None,
    context: Callable[[web.Request], Mapping[str, Any]] | None = None,
    client: Callable[[web.Request], str | None] = incoming.address,
    on_allow: Callable[[web.Request, Verdict], None] | None = None,
) -> Guard:
    """A guard: what it asks is about the method and the path, unless you say otherwise.

    With `subject` the service says itself who asks, None for nobody, and no credential of the
    request is sent; the PDP must let this caller vouch. `context` is added to what rules may ask
    for. `client` gives the address: behind a proxy, `request.remote` is the proxy's. An allow puts
    the verdict under `request[VERDICT]`, and `on_allow` is told.
    """
    return Guard(
        pdp=pdp,
        action=_asked(action),
        resource=_asked(resource),
        subject=subject,
        context=context or _nothing,
        client=client,
        on_allow=on_allow,
    )


def _asked(given: Any) -> Callable[[web.Request], Any]:
    return given if callable(given) else lambda _: given


def _nothing(_: web.Request) -> Mapping[str, Any]:
    return {}


@contextmanager
def _named(request: web.Request) -> Iterator[None]:
    """Hand the request's id on, if it has a sound one and the application has set none."""
    values = request.headers.getall(FIELD, ())
    if request_id.get() is not None or len(values) != 1 or not sound(values[0]):
        yield
        return
    token = request_id.set(values[0])
    try:
        yield
    finally:
        request_id.reset(token)


def _refused(verdict: Verdict) -> web.Response:
    response = verdict.response
    return web.Response(
        status=response.status, headers=response.headers, body=response.body.encode() or None
    )


def _failed(status: int, body: bytes) -> web.Response:
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(status=status, headers=fields, body=body)
