"""The client: evaluations and searches of any AuthZEN PDP, and this project's whole verdicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import aiohttp

from pdp.client.answers import read_decision, read_decisions, read_page, read_verdict, typed
from pdp.client.errors import BadQuestion, NotUnderstood
from pdp.client.exchange import Exchange
from pdp.client.values import Action, Decision, Evaluation, Resource, Subject, Verdict

E = TypeVar("E", Subject, Resource)
Context = Mapping[str, Any]
Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]


class Pdp:
    """A PDP to ask, as long as `async with` lasts.

    `url` is `http://…`, `https://…` or `unix:/path`. `timeout` is in seconds, for each call as a
    whole. `key` is that of a caller, if the PDP wants one. A `session` lends its connections and
    nothing else, and stays open. Every method raises a PdpError where there is no answer.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        key: str | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._exchange = Exchange(url, timeout=timeout, key=key, lender=session)
        self._shown = f"Pdp({url!r}, timeout={timeout:g})"

    def __repr__(self) -> str:
        return self._shown

    async def __aenter__(self) -> Self:
        self._exchange.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exchange.close()

    async def evaluate(
        self,
        subject: Subject,
        action: Action,
        resource: Resource,
        context: Context | None = None,
    ) -> Decision:
        """May this subject do this action on this resource?"""
        asked = _given(subject=subject, action=action, resource=resource, context=context)
        return read_decision(await self._exchange.ask("/access/v1/evaluation", asked))

    async def evaluate_many(
        self,
        items: Sequence[Evaluation],
        *,
        semantic: Semantic = "execute_all",
        subject: Subject | None = None,
        action: Action | None = None,
        resource: Resource | None = None,
        context: Context | None = None,
    ) -> list[Decision]:
        """The decisions on all items, in order; the keywords are what they have in common.

        With another semantic than `execute_all`, the deciding item is the last one answered. No
        items is a BadQuestion: `all([])` would allow.
        """
        if not items:
            raise BadQuestion("items: is empty")
        asked = _given(subject=subject, action=action, resource=resource, context=context)
        asked["evaluations"] = list(items)
        asked["options"] = {"evaluations_semantic": semantic}
        answer = await self._exchange.ask("/access/v1/evaluations", asked)
        return read_decisions(answer, len(items), semantic)

    async def search_subjects(
        self,
        subject_type: str,
        action: Action,
        resource: Resource,
        *,
        context: Context | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Subject]:
        """Who of this type may? A page is asked for when the one before it is used up."""
        open_ = {"type": subject_type}
        asked = _given(subject=open_, action=action, resource=resource, context=context)
        async for results in self._pages("subject", asked, page_size):
            for found in typed(results, list[Subject]):
                yield _fitting(found, subject_type)

    async def search_resources(
        self,
        subject: Subject,
        action: Action,
        resource_type: str,
        *,
        context: Context | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Resource]:
        """On which resources of this type? Pages as above."""
        open_ = {"type": resource_type}
        asked = _given(subject=subject, action=action, resource=open_, context=context)
        async for results in self._pages("resource", asked, page_size):
            for found in typed(results, list[Resource]):
                yield _fitting(found, resource_type)

    async def search_actions(
        self,
        subject: Subject,
        resource: Resource,
        *,
        context: Context | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Action]:
        """Which actions? Pages as above."""
        asked = _given(subject=subject, resource=resource, context=context)
        async for results in self._pages("action", asked, page_size):
            for found in typed(results, list[Action]):
                yield found

    async def decide(  # noqa: PLR0913 - one keyword for each member of the question
        self,
        *,
        action: Action,
        resource: Resource,
        subject: Subject | None = None,
        context: Context | None = None,
        token: str | None = None,
        authorization: str | None = None,
        cookie: str | None = None,
        api_key: str | None = None,
        accept: str | None = None,
    ) -> Verdict:
        """The whole verdict of this project's PDP, with the response for a client that is refused.

        At most one credential is judged: a `token`, or a whole `authorization` or `cookie` header,
        or an `api_key`. Without one it is nobody who asks, or, if the caller may vouch, `subject`.
        """
        asked = _given(action=action, resource=resource, subject=subject, context=context)
        asked |= _given(token=token, authorization=authorization, cookie=cookie)
        asked |= _given(api_key=api_key, accept=accept)
        return read_verdict(await self._exchange.ask("/v1/decision", asked))

    async def _pages(
        self, kind: str, asked: dict[str, Any], size: int | None
    ) -> AsyncIterator[list[Any]]:
        """The results of all pages; BadQuestion if the policy changes between two of them."""
        limit = _given(limit=size)
        question = {**asked, "page": limit} if limit else asked
        token = ""
        while True:
            page = read_page(await self._exchange.ask(f"/access/v1/search/{kind}", question))
            yield page.results
            if not page.next_token:
                return
            if page.next_token == token:
                raise NotUnderstood("a page says that it is its own next one")
            token = page.next_token
            question = {**asked, "page": {"token": token, **limit}}


def _given(**members: Any) -> dict[str, Any]:
    """The members that have a value."""
    given = {name: value for name, value in members.items() if value is not None}
    return {n: dict(v) if isinstance(v, Mapping) else v for n, v in given.items()}


def _fitting(found: E, asked: str) -> E:
    if found.type != asked:
        raise NotUnderstood("a result has another type than was asked for")
    return found
