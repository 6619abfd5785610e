"""The AuthZEN search endpoints: who may, what may be done, on what, page by page."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import msgspec
from msgspec import UNSET

from pdp.errors import RequestError
from pdp.model import Answer, Query
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Caller
from pdp.search import Late
from pdp.surfaces.authzen import SURFACE
from pdp.surfaces.authzen_bodies import read_evaluation
from pdp.surfaces.authzen_search_bodies import (
    ActionSearchBody,
    AnySearch,
    ResourceSearchBody,
    Results,
    SubjectSearchBody,
    digest,
)
from pdp.surfaces.bodies import read_body
from pdp.surfaces.callers import identify_caller, vouches
from pdp.surfaces.context import Context, plain
from pdp.surfaces.page_tokens import PageTokens
from pdp.surfaces.questions import parse_object, typed
from pdp.surfaces.requests import Request

log = logging.getLogger("pdp.search")

PAGE_SECONDS: Final = 0.5  # then a page ends, though it could have more

_BUSY: Final = b'{"error":"unavailable","message":"Too many searches at once; try again later."}'


class Search:
    """`POST /access/v1/search/subject`, `…/resource` and `…/action`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._service = context.service
        self._tokens = PageTokens(context.service.page_key)
        self._turn = asyncio.Semaphore()  # one computes at a time: decisions go first
        self._waiting = 0
        self._metrics = context.service.metrics.searches

    async def subjects(self, request: Request) -> Answer:
        """Who may do this action on this resource?"""
        return await self._search(request, SubjectSearchBody)

    async def resources(self, request: Request) -> Answer:
        """On what may this subject do this action?"""
        return await self._search(request, ResourceSearchBody)

    async def actions(self, request: Request) -> Answer:
        """What may this subject do on this resource?"""
        return await self._search(request, ActionSearchBody)

    async def _search(self, request: Request, kind: type[AnySearch]) -> Answer:
        server = self._service.loaded.server
        caller = identify_caller(request, self._context)
        body = typed(parse_object(await read_body(request, server)), kind)
        query = self._understand(body, caller)
        snapshot = self._service.snapshot  # INVARIANT: one snapshot per page
        asked, limit = digest(kind, query, caller.name), body.limit(server.max_page)
        after = None
        if body.page is not UNSET and body.page.token:
            token = body.page.token
            after, limit = self._tokens.open(token, asked, snapshot.revision, limit)
        limit = limit or server.max_page
        if self._waiting >= server.max_searches:
            self._metrics.refused()
            busy = plain(503, _BUSY)
            return Answer(busy.status, (*busy.headers, ("Retry-After", "1")), busy.body)
        page = await self._run(request, body, query, snapshot, after, limit)
        answer: dict[str, object] = {"results": page.results}
        if body.page is not UNSET or page.cursor is not None:
            token = ""
            if page.cursor is not None:
                token = self._tokens.seal(asked, page.cursor, snapshot.revision, limit)
            answer["page"] = {"next_token": token, "count": len(page.results)}
        return plain(200, msgspec.json.encode(answer))

    def _understand(self, body: AnySearch, caller: Caller) -> Query:
        vouched = vouches(caller, self._service.authenticator)
        exempt = self._context.reading.exempt
        query, credentials = read_evaluation(body.question(), vouched=vouched, exempt=exempt)
        if credentials.presented:
            raise RequestError("context.token", "is not for searches: they go by the subject")
        return query

    async def _run(
        self,
        request: Request,
        body: AnySearch,
        query: Query,
        snapshot: Snapshot,
        after: str | None,
        limit: int,
    ) -> Results:
        """One page, found by a thread of its own so that nobody else waits for it."""
        started = time.perf_counter()
        self._waiting += 1
        try:
            async with self._turn:
                if request.is_abandoned:  # who asked is gone: others wait
                    return Results([], None)
                page = await asyncio.to_thread(
                    body.run,
                    snapshot,
                    query,
                    time.time(),
                    self._context.reading.exempt,
                    after=after,
                    limit=limit,
                    late=late_after(PAGE_SECONDS),
                )
        finally:
            self._waiting -= 1
        search, seconds = body.search, time.perf_counter() - started
        self._metrics.found(search, seconds)
        facts = {
            "surface": SURFACE,
            "search": search,
            "subject": query.subject and query.subject.id,
            "action": query.action.name,
            "resource": query.resource.id,
            "results": len(page.results),
            "more": page.cursor is not None,
            "policy_revision": snapshot.revision,
            "duration_us": round(seconds * 1e6),
        }
        log.info("search", extra={"facts": facts})
        return page


def late_after(seconds: float) -> Late:
    """Tells when so many seconds are over, from the first question on."""
    ends: list[float] = []

    def late() -> bool:
        now = time.monotonic()
        if not ends:
            ends.append(now + seconds)
        return now >= ends[0]

    return late
