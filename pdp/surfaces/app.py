"""The HTTP server: the route tables, and what every request passes through, in order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from pdp.errors import RequestError, Unavailable
from pdp.model import Answer
from pdp.runtime.journal_asking import note_request
from pdp.runtime.logs import facts_of
from pdp.runtime.patience import Work
from pdp.runtime.settings import is_local
from pdp.surfaces import openapi, ops
from pdp.surfaces.admin import Admin
from pdp.surfaces.authzen import SURFACE as AUTHZEN
from pdp.surfaces.authzen import AuthZen
from pdp.surfaces.authzen_search import Search
from pdp.surfaces.bodies import TooLarge
from pdp.surfaces.callers import CallerUnknown, caller_unknown
from pdp.surfaces.context import Context, failed
from pdp.surfaces.conventions import CONVENTIONS
from pdp.surfaces.discovery import PATH as DISCOVERY
from pdp.surfaces.discovery import discovery
from pdp.surfaces.gateway import endpoint
from pdp.surfaces.native import SURFACE as NATIVE
from pdp.surfaces.native import Native
from pdp.surfaces.openapi_operations import PATH as OPENAPI
from pdp.surfaces.replies import FAULT
from pdp.surfaces.request_ids import FIELD as REQUEST_ID
from pdp.surfaces.request_ids import echo_request_id
from pdp.surfaces.requests import Request

log = logging.getLogger("pdp.http")

Handler = Callable[[Request], Awaitable[Answer]]


class Route(Struct, frozen=True):
    """Who answers at a path, to which methods (None: any); `misunderstood` records errors."""

    methods: frozenset[str] | None
    handler: Handler
    misunderstood: Callable[[RequestError], object] | None = None


Routes = Mapping[str, Route]  # by path; one that ends in a slash is a prefix

_GET: Final = frozenset({"GET", "HEAD"})
_POST: Final = frozenset({"POST"})


def public_routes(context: Context) -> Routes:
    """What gateways and services ask."""
    native, refuse = Native(context), partial(context.service.refuse, surface=NATIVE)
    return {
        **{c.route: Route(None, endpoint(context, c)) for c in CONVENTIONS},
        "/v1/decision": Route(_POST, native.decision, refuse),
        "/v1/decisions": Route(_POST, native.decisions, refuse),
        **_authzen(context),
        OPENAPI: Route(_GET, openapi.public(context)),
        **_health(context, admin=False),
    }


def _authzen(context: Context) -> Routes:
    authzen, search = AuthZen(context), Search(context)
    refuse = partial(context.service.refuse, surface=AUTHZEN)
    asked: Mapping[str, Handler] = {
        "/access/v1/evaluation": authzen.evaluation,
        "/access/v1/evaluations": authzen.evaluations,
        "/access/v1/search/subject": search.subjects,
        "/access/v1/search/resource": search.resources,
        "/access/v1/search/action": search.actions,
    }
    return {
        **{path: Route(_POST, handler, refuse) for path, handler in asked.items()},
        DISCOVERY: Route(_GET, discovery(context)),
    }


def admin_routes(context: Context) -> Routes:
    """What administrators and probes ask, on a listener of its own.

    Off loopback only health and metrics answer, unless there is an admin key: the rest tells
    what the policy says.
    """
    loaded = context.service.loaded
    local = is_local(loaded.server.admin_listen)
    harmless: Routes = {
        "/metrics": Route(_GET, ops.metrics(context)),
        **_health(context, admin=local),
    }
    if not local and loaded.access.operators is None:
        return harmless
    admin = Admin(context)
    return {
        **harmless,
        OPENAPI: Route(_GET, openapi.admin(context)),
        "/v1/policy": Route(_GET, admin.policy),
        "/v1/explain": Route(_POST, admin.explain),
        "/v1/reload": Route(_POST, admin.reload),
    }


def _health(context: Context, *, admin: bool) -> Routes:
    ready = Route(_GET, ops.readyz(context, admin=admin))
    return {"/livez": Route(_GET, ops.livez(context)), "/readyz": ready, "/healthz": ready}


def dispatcher(routes: Routes) -> Callable[[Request], Work[Answer]]:
    """The one handler: route, answer, and turn what goes wrong into an answer of ours."""
    exact = {path: route for path, route in routes.items() if not path.endswith("/")}
    prefixes = tuple((path, route) for path, route in routes.items() if path not in exact)

    def find(target: str) -> Route:
        found = exact.get(target.partition("?")[0])
        if found is not None:
            return found
        return next((route for path, route in prefixes if target.startswith(path)), _NOWHERE)

    async def answer(request: Request) -> Answer:
        headers, route = request.headers, find(request.target)
        note_request(headers)
        try:
            if route.methods is None or request.method in route.methods:
                answered = await route.handler(request)
            else:
                answered = _other_method(route.methods)
        except Exception as error:  # noqa: BLE001 - a bug is a 503: `failure`
            answered = _failure_at(route, error)
        return echo_request_id(request, answered) if REQUEST_ID in headers else answered

    return answer


def _other_method(methods: frozenset[str]) -> Answer:
    """The answer to another method than those of an endpoint."""
    allow = ("Allow", ", ".join(sorted(methods)))
    refused = failed(405, "method_not_allowed", "This endpoint has another method.")
    return Answer(refused.status, (*refused.headers, allow), refused.body)


async def _nowhere(_: Request) -> Answer:
    return failed(404, "not_found", "There is no such endpoint.")


_NOWHERE: Final = Route(None, _nowhere)


def _failure_at(route: Route, error: Exception) -> Answer:
    """The answer to what went wrong; what could not be understood is recorded before."""
    try:
        if isinstance(error, RequestError) and route.misunderstood is not None:
            route.misunderstood(error)
    except Exception as fault:  # noqa: BLE001 - a bug is a 503: `failure`
        error = fault
    return failure(error)


def failure(error: Exception) -> Answer:
    """The answer of ours to what went wrong."""
    match error:
        case RequestError():
            return failed(400, "invalid_request", str(error))
        case TooLarge():
            return failed(413, "too_large", "The body is over the limit.")
        case CallerUnknown():
            return caller_unknown()
        case Unavailable():
            return failed(503, "unavailable", str(error.reason))
    # A bug is a 503 to everybody, and a line in the log.
    log.error("request failed", extra={"facts": facts_of(error)})
    return FAULT
