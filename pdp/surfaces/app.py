"""The HTTP server: the route tables, and what every request passes through, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, ParamSpec

import msgspec
from aiohttp import web

from pdp.errors import RequestError, Unavailable
from pdp.model import Answer
from pdp.runtime.journal_asking import note_request
from pdp.runtime.settings import is_local
from pdp.surfaces import openapi, ops
from pdp.surfaces.admin import Admin
from pdp.surfaces.authzen import AuthZen
from pdp.surfaces.authzen_search import Search
from pdp.surfaces.bodies import TooLarge
from pdp.surfaces.callers import CallerUnknown, caller_unknown
from pdp.surfaces.connections import BoundedServer, Bounds, Connection, read_up
from pdp.surfaces.context import Context, plain
from pdp.surfaces.conventions import CONVENTIONS
from pdp.surfaces.discovery import PATH as DISCOVERY
from pdp.surfaces.discovery import discovery
from pdp.surfaces.gateway import endpoint
from pdp.surfaces.native import Native
from pdp.surfaces.openapi_operations import PATH as OPENAPI
from pdp.surfaces.replies import reply, response
from pdp.surfaces.request_ids import echo_request_id

log = logging.getLogger("pdp.http")

P = ParamSpec("P")
Handler = Callable[[web.BaseRequest], Awaitable[Answer]]
# By path; one that ends in a slash is a prefix. None: any method.
Routes = Mapping[str, tuple[frozenset[str] | None, Handler]]

_GET: Final = frozenset({"GET", "HEAD"})
_POST: Final = frozenset({"POST"})
MOST_HEADERS: Final = 1_024  # aiohttp's 128 would make a 400 of what gateways let through


def public_routes(context: Context) -> Routes:
    """What gateways and services ask."""
    native = Native(context)
    return {
        **{c.route: (None, endpoint(context, c)) for c in CONVENTIONS},
        "/v1/decision": (_POST, native.decision),
        "/v1/decisions": (_POST, native.decisions),
        **_authzen(context),
        OPENAPI: (_GET, openapi.public(context)),
        **_health(context, admin=False),
    }


def _authzen(context: Context) -> Routes:
    authzen, search = AuthZen(context), Search(context)
    return {
        "/access/v1/evaluation": (_POST, authzen.evaluation),
        "/access/v1/evaluations": (_POST, authzen.evaluations),
        "/access/v1/search/subject": (_POST, search.subjects),
        "/access/v1/search/resource": (_POST, search.resources),
        "/access/v1/search/action": (_POST, search.actions),
        DISCOVERY: (_GET, discovery(context)),
    }


def admin_routes(context: Context) -> Routes:
    """What administrators and probes ask, on a listener of its own.

    Off loopback only health and metrics answer, unless there is an admin key: the rest tells
    what the policy says.
    """
    loaded = context.service.loaded
    local = is_local(loaded.server.admin_listen)
    harmless: Routes = {
        "/metrics": (_GET, ops.metrics(context)),
        **_health(context, admin=local),
    }
    if not local and loaded.access.operators is None:
        return harmless
    admin = Admin(context)
    return {
        **harmless,
        OPENAPI: (_GET, openapi.admin(context)),
        "/v1/policy": (_GET, admin.policy),
        "/v1/explain": (_POST, admin.explain),
        "/v1/reload": (_POST, admin.reload),
    }


def _health(context: Context, *, admin: bool) -> Routes:
    ready = ops.readyz(context, admin=admin)
    return {
        "/livez": (_GET, ops.livez(context)),
        "/readyz": (_GET, ready),
        "/healthz": (_GET, ready),
    }


def dispatcher(routes: Routes) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """The one handler: route, answer, and turn what goes wrong into an answer of ours."""
    exact = {path: route for path, route in routes.items() if not path.endswith("/")}
    prefixes = tuple((path, route) for path, route in routes.items() if path not in exact)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.protocol.writing_paused:
            await read_up(request)
        note_request(request.headers)
        answered = await guarded(find(request), request)
        return reply(request, echo_request_id(request, answered))

    def find(request: web.BaseRequest) -> Handler:
        # The raw target: aiohttp's `path` is decoded, and its routes miss encoded line feeds.
        target = request.raw_path
        route = exact.get(target.partition("?")[0])
        if route is None:
            route = next((found for path, found in prefixes if target.startswith(path)), _NOWHERE)
        methods, handler = route
        return handler if methods is None or request.method in methods else _refusing(methods)

    return handle


def _refusing(methods: frozenset[str]) -> Handler:
    """What answers by another method than those of an endpoint."""

    async def refuse(_: web.BaseRequest) -> Answer:
        allow = ("Allow", ", ".join(sorted(methods)))
        refused = _error(405, "method_not_allowed", "This endpoint has another method.")
        return Answer(refused.status, (*refused.headers, allow), refused.body)

    return refuse


async def _nowhere(_: web.BaseRequest) -> Answer:
    return _error(404, "not_found", "There is no such endpoint.")


_NOWHERE: Final = (None, _nowhere)


async def guarded(ask: Callable[P, Awaitable[Answer]], *given: P.args, **named: P.kwargs) -> Answer:
    """What `ask` answers, or an answer of ours to what goes wrong; never raises."""
    try:
        return await ask(*given, **named)
    except RequestError as error:
        return _error(400, "invalid_request", str(error))
    except TooLarge:
        return _error(413, "too_large", "The body is over the limit.")
    except CallerUnknown:
        return caller_unknown()
    except Unavailable as error:
        return _error(503, "unavailable", str(error.reason))
    except Exception as error:  # noqa: BLE001 - a bug is a 503 to everybody, and a line in the log
        log.error("request failed", extra={"facts": {"error": type(error).__name__}})  # noqa: TRY400
        return _error(503, "unavailable", "The request could not be answered.")


def _error(status: int, code: str, message: str) -> Answer:
    return plain(status, msgspec.json.encode({"error": code, "message": message}))


class Request(web.BaseRequest):
    """A request whose answer does not say what we are made of."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


class Protocol(Connection):
    """aiohttp's protocol, whose own error pages would quote the request."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """An answer of ours to bytes that are no request; the connection ends."""
        log.info("unreadable request", extra={"facts": {"error": type(exc).__name__}})
        bad = _error(400, "invalid_request", "The request cannot be read.")
        fault = _error(503, "unavailable", "The request could not be answered.")
        told = response(fault if status >= 500 else bad)  # noqa: PLR2004
        told.force_close()
        return told


class Server(BoundedServer):
    """aiohttp's low-level server with our protocol, our requests and our bounds."""

    def __init__(self, routes: Routes, context: Context, bounds: Bounds) -> None:
        server = context.service.loaded.server
        super().__init__(
            dispatcher(routes),
            bounds,
            request_factory=partial(
                Request, loop=asyncio.get_running_loop(), client_max_size=server.max_body_bytes
            ),
            access_log=None,
            max_line_size=server.max_header_bytes,
            max_field_size=server.max_header_bytes,
            max_headers=MOST_HEADERS,
            auto_decompress=False,
        )

    def __call__(self) -> Protocol:
        """One connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)
