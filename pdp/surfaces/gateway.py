"""The endpoints that gateways ask: the status code is the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import Answer, Credentials
from pdp.runtime.service import Decision
from pdp.surfaces.asked import Asked, Headers
from pdp.surfaces.browser import is_navigation, is_preflight
from pdp.surfaces.context import Context
from pdp.surfaces.conventions import Convention, Line, read_asked
from pdp.surfaces.credentials import from_headers


def endpoint(
    context: Context, convention: Convention
) -> Callable[[web.BaseRequest], Awaitable[Answer]]:
    """A handler that reads `convention` and nothing else; the request's body is never read."""
    prefix = len(convention.path) if convention.is_prefix else 0

    async def handle(request: web.BaseRequest) -> Answer:
        line, headers = Line(request.method, request.raw_path[prefix:]), request.headers

        def read() -> Asked:
            return read_asked(convention, line, headers, context.reading)

        return await answer(context, convention.name, convention.profile, headers, read)

    return handle


async def answer(
    context: Context,
    surface: str,
    profile: Profile,
    headers: Headers,
    read: Callable[[], Asked],
    seconds: float | None = None,
) -> Answer:
    """What a gateway is told on the question that `read` gives, or refuses to.

    `headers` are the client's own. `seconds` is how long the gateway waits, if it says so.
    """
    accept = ", ".join(headers.getall("Accept", ())) or None
    try:
        asked = read()
        credentials = from_headers(
            headers.getall("Authorization", ()),
            headers.getall("X-API-Key", ()),
            headers.getall("Cookie", ()),
        )
    except RequestError as error:
        decision = context.service.refuse(error, surface)
        answered = context.render(decision.verdict, profile, accept, message=str(error))
    else:
        decision = await _judge(context, surface, asked, headers, credentials, seconds)
        navigates = context.login is not None and is_navigation(asked, headers, credentials)
        login = context.login.location(asked) if context.login and navigates else None
        answered = context.render(decision.verdict, profile, accept, login=login)
    return replace(answered, headers=(*answered.headers, ("X-Decision-Id", decision.id)))


async def _judge(
    context: Context,
    surface: str,
    asked: Asked,
    headers: Headers,
    credentials: Credentials,
    seconds: float | None,
) -> Decision:
    service, query, admits = context.service, asked.query, context.preflight
    if admits and admits(query.resource.id) and is_preflight(asked, headers, credentials):
        return await service.preflight(query, service.snapshot, surface)
    return await service.judge(query, credentials, service.snapshot, surface, seconds)
