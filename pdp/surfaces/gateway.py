"""The endpoints that gateways ask: the status code is the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from pdp.errors import RequestError
from pdp.model import Answer
from pdp.surfaces.context import Context
from pdp.surfaces.conventions import Convention, read_query
from pdp.surfaces.credentials import from_headers


def endpoint(
    context: Context, convention: Convention
) -> Callable[[web.BaseRequest], Awaitable[Answer]]:
    """A handler that reads `convention` and nothing else; the request's body is never read."""
    service, server = context.service, context.service.loaded.server

    async def handle(request: web.BaseRequest) -> Answer:
        headers = request.headers
        message: str | None = None
        accept = ", ".join(headers.getall("Accept", ())) or None
        try:
            query = read_query(
                convention, headers, context.trusted, server.resource, context.exempt
            )
            credentials = from_headers(
                headers.getall("Authorization", ()),
                headers.getall("X-API-Key", ()),
                headers.getall("Cookie", ()),
            )
        except RequestError as error:
            decision, message = service.refuse(error, convention.name), str(error)
        else:
            decision = await service.judge(query, credentials, service.snapshot, convention.name)
        answer = context.render(decision.verdict, convention.profile, accept, message)
        return replace(answer, headers=(*answer.headers, ("X-Decision-Id", decision.id)))

    return handle
