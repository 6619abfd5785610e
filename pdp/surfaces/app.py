"""The HTTP server: the route tables, and what every request passes through, in order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, ParamSpec

from pdp.errors import RequestError, Unavailable
from pdp.model import Answer
from pdp.runtime.journal_asking import note_request
from pdp.runtime.logs import facts_of
from pdp.runtime.patience import Work
from pdp.runtime.settings import is_local
from pdp.surfaces import openapi, ops
from pdp.surfaces.admin import Admin
from pdp.surfaces.authzen import AuthZen
from pdp.surfaces.authzen_search import Search
from pdp.surfaces.callers import CallerUnknown, caller_unknown
from pdp.surfaces.context import Context, failed
from pdp.surfaces.conventions import CONVENTIONS
from pdp.surfaces.discovery import PATH as DISCOVERY
from pdp.surfaces.discovery import discovery
from pdp.surfaces.gateway import endpoint
from pdp.surfaces.native import Native
from pdp.surfaces.openapi_operations import PATH as OPENAPI
from pdp.surfaces.replies import FAULT
from pdp.surfaces.request_ids import echo_request_id
from pdp.surfaces.requests import Request, TooLarge

log = logging.getLogger("pdp.http")

P = ParamSpec("P")
Handler = Callable[[Request], Awaitable[Answer]]
# By path; one that ends in a slash is a prefix. None: any method.
Routes = Mapping[str, tuple[frozenset[str] | None, Handler]]

_GET: Final = frozenset({"GET", "HEAD"})
_POST: Final = frozenset({"POST"})


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


def dispatcher(routes: Routes) -> Callable[[Request], Work[Answer]]:
    """The one handler: route, answer, and turn what goes wrong into an answer of ours."""
    exact = {path: route for path, route in routes.items() if not path.endswith("/")}
    prefixes = tuple((path, route) for path, route in routes.items() if path not in exact)

    async def answer(request: Request) -> Answer:
        note_request(request.headers)
        return echo_request_id(request, await guarded(find(request), request))

    def find(request: Request) -> Handler:
        target = request.target
        route = exact.get(target.partition("?")[0])
        if route is None:
            route = next((found for path, found in prefixes if target.startswith(path)), _NOWHERE)
        methods, handler = route
        return handler if methods is None or request.method in methods else _refusing(methods)

    return answer


def _refusing(methods: frozenset[str]) -> Handler:
    """What answers by another method than those of an endpoint."""

    async def refuse(_: Request) -> Answer:
        allow = ("Allow", ", ".join(sorted(methods)))
        refused = failed(405, "method_not_allowed", "This endpoint has another method.")
        return Answer(refused.status, (*refused.headers, allow), refused.body)

    return refuse


async def _nowhere(_: Request) -> Answer:
    return failed(404, "not_found", "There is no such endpoint.")


_NOWHERE: Final = (None, _nowhere)


async def guarded(ask: Callable[P, Awaitable[Answer]], *given: P.args, **named: P.kwargs) -> Answer:
    """What `ask` answers, or an answer of ours to what goes wrong; never raises."""
    try:
        return await ask(*given, **named)
    except RequestError as error:
        return failed(400, "invalid_request", str(error))
    except TooLarge:
        return failed(413, "too_large", "The body is over the limit.")
    except CallerUnknown:
        return caller_unknown()
    except Unavailable as error:
        return failed(503, "unavailable", str(error.reason))
    except Exception as error:  # noqa: BLE001 - a bug is a 503 to everybody, and a line in the log
        log.error("request failed", extra={"facts": facts_of(error)})  # noqa: TRY400
        return FAULT
