"""The endpoints that gateways ask: the status code is the verdict."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import Answer, Credentials, Outcome, Reason, Verdict
from pdp.runtime.ids import decision_id
from pdp.runtime.logs import facts_of
from pdp.runtime.service import Decision
from pdp.surfaces.asked import Asked, Headers
from pdp.surfaces.browser import is_navigation, is_preflight
from pdp.surfaces.context import Context
from pdp.surfaces.conventions import Convention, Line, read_asked
from pdp.surfaces.credentials import from_headers
from pdp.surfaces.requests import Request

log = logging.getLogger("pdp.http")


def endpoint(context: Context, convention: Convention) -> Callable[[Request], Awaitable[Answer]]:
    """A handler that reads `convention` and nothing else; the request's body is never read."""
    prefix = len(convention.path) if convention.is_prefix else 0

    def handle(request: Request) -> Awaitable[Answer]:
        line, headers = Line(request.method, request.target[prefix:]), request.headers

        def read() -> Asked:
            return read_asked(convention, line, headers, context.reading)

        return answer(context, convention.name, convention.profile, headers, read)

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

    `headers` are the client's own. `seconds` is how long the gateway waits, if it says so. A bug
    on the way is a 503 in the profile's form, under the id of the decision if there was one.
    """
    decision: Decision | None = None
    try:
        try:
            asked, credentials = read(), _credentials(headers)
        except RequestError as error:
            decision = context.service.refuse(error, surface)
            answered = context.render(decision.verdict, profile, _accept(headers), str(error))
        else:
            service, snapshot, query = context.service, context.service.snapshot, asked.query
            if _is_let_through(context, asked, headers, credentials):
                decision = service.preflight(query, snapshot, surface)
            else:
                decision = await service.judge(query, credentials, snapshot, surface, seconds)
            verdict = decision.verdict
            login = _login(context, verdict, asked, headers, credentials)
            told = verdict.detail or None  # of a bad request only
            accept = None if verdict.outcome is Outcome.ALLOW else _accept(headers)
            answered = context.render(verdict, profile, accept, told, login)
    except Exception as error:  # noqa: BLE001 - neither an allow nor a refusal: the gateway sees a 503
        return _fault(context, surface, profile, error, decision)
    return _signed(answered, decision.id)


def _accept(headers: Headers) -> str | None:
    return ", ".join(headers.getall("Accept", ())) or None


def _credentials(headers: Headers) -> Credentials:
    return from_headers(
        headers.getall("Authorization", ()),
        headers.getall("X-API-Key", ()),
        headers.getall("Cookie", ()),
    )


def _login(
    context: Context, verdict: Verdict, asked: Asked, headers: Headers, credentials: Credentials
) -> str | None:
    """Where to log in, for whom that could help and who can be sent there."""
    if context.login is None or verdict.outcome is not Outcome.UNAUTHENTICATED:
        return None
    return context.login.location(asked) if is_navigation(asked, headers, credentials) else None


def _fault(
    context: Context,
    surface: str,
    profile: Profile,
    error: Exception,
    decision: Decision | None,
) -> Answer:
    number = decision.id if decision else decision_id()
    facts = {"decision_id": number, "surface": surface, **facts_of(error)}
    log.error("request failed", extra={"facts": facts})
    verdict = Verdict(Outcome.FAULT, Reason.INTERNAL_ERROR)
    return _signed(context.render(verdict, profile, accept=None), number)


def _signed(answered: Answer, number: str) -> Answer:
    headers = (*answered.headers, ("X-Decision-Id", number))
    return Answer(answered.status, headers, answered.body)


def _is_let_through(
    context: Context, asked: Asked, headers: Headers, credentials: Credentials
) -> bool:
    """Whether it is a CORS preflight, for a resource where the operator has those let through."""
    admits = context.preflight
    if admits is None or not admits(asked.query.resource.id):
        return False
    return is_preflight(asked, headers, credentials)
