"""The bodies of the AuthZEN search endpoints: a question of which one part is left open."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar, Unpack

from msgspec import UNSET, Struct, UnsetType

from pdp.errors import RequestError
from pdp.model import Query
from pdp.policy.snapshot import Snapshot
from pdp.search import (
    Found,
    Page,
    Paging,
    search_actions,
    search_resources,
    search_subjects,
)
from pdp.surfaces.authzen_bodies import EvaluationBody
from pdp.surfaces.questions import ActionBody, EntityBody, QuestionBody, read_question
from pdp.surfaces.target import Exempt

T = TypeVar("T")

_OPEN = "*"  # stands for what is searched, where a whole question must be read; never looked at


class Results(NamedTuple):
    """One page as AuthZEN writes it, and where the next one starts, if there is one."""

    results: list[dict[str, str]]
    cursor: str | None


class PageBody(Struct, frozen=True):
    """How many results are wanted, and the token of the page before; empty on the first one."""

    token: str = ""
    limit: int | None = None


class WantedBody(Struct, frozen=True):
    """The kind of entity that is searched; whatever else is said of it is ignored."""

    type: str

    def open(self) -> EntityBody:
        """An entity of this kind."""
        return EntityBody(self.type, _OPEN)


class SearchBody(Struct, frozen=True, kw_only=True):
    """What all searches have."""

    context: dict[str, Any] = {}
    page: PageBody | UnsetType = UNSET

    def limit(self, most: int) -> int | None:
        """How many results are wanted on a page, if that is said; RequestError if too many."""
        limit = None if self.page is UNSET else self.page.limit
        if limit is not None and not 1 <= limit <= most:
            raise RequestError("page.limit", f"must be from 1 to {most}")
        return limit


class SubjectSearchBody(SearchBody, frozen=True, kw_only=True):
    """`POST /access/v1/search/subject`."""

    search: ClassVar = "subject"
    subject: WantedBody
    action: ActionBody
    resource: EntityBody

    def question(self) -> EvaluationBody:
        """What is asked of every subject."""
        return EvaluationBody(self.subject.open(), self.action, self.resource, self.context)

    def run(
        self,
        snapshot: Snapshot,
        query: Query,
        now: float,
        exempt: Exempt | None,
        **paging: Unpack[Paging],
    ) -> Results:
        """One page of subjects."""
        page = search_subjects(snapshot, query, self.subject.type, now, **paging)
        return _results(page, Found._asdict, _who, exempt)


class ResourceSearchBody(SearchBody, frozen=True, kw_only=True):
    """`POST /access/v1/search/resource`."""

    search: ClassVar = "resource"
    subject: EntityBody
    action: ActionBody
    resource: WantedBody

    def question(self) -> EvaluationBody:
        """What is asked of every resource."""
        return EvaluationBody(self.subject, self.action, self.resource.open(), self.context)

    def run(
        self,
        snapshot: Snapshot,
        query: Query,
        now: float,
        exempt: Exempt | None,
        **paging: Unpack[Paging],
    ) -> Results:
        """One page of resources."""
        page = search_resources(snapshot, query, self.resource.type, now, **paging)
        return _results(page, Found._asdict, _what, exempt)


class ActionSearchBody(SearchBody, frozen=True, kw_only=True):
    """`POST /access/v1/search/action`."""

    search: ClassVar = "action"
    subject: EntityBody
    resource: EntityBody

    def question(self) -> EvaluationBody:
        """What is asked of every action."""
        return EvaluationBody(self.subject, ActionBody(_OPEN), self.resource, self.context)

    def run(
        self,
        snapshot: Snapshot,
        query: Query,
        now: float,
        exempt: Exempt | None,
        **paging: Unpack[Paging],
    ) -> Results:
        """One page of names."""
        page = search_actions(snapshot, query, now, **paging)
        return _results(page, _named, _how, exempt)


AnySearch = SubjectSearchBody | ResourceSearchBody | ActionSearchBody


def _who(found: Found) -> QuestionBody:
    return QuestionBody(_OPEN, _OPEN, EntityBody(*found))


def _what(found: Found) -> QuestionBody:
    return QuestionBody(_OPEN, EntityBody(*found))


def _how(name: str) -> QuestionBody:
    return QuestionBody(name, _OPEN)


def _named(name: str) -> dict[str, str]:
    return {"name": name}


def _results(
    page: Page[T],
    shown: Callable[[T], dict[str, str]],
    asking: Callable[[T], QuestionBody],
    exempt: Exempt | None,
) -> Results:
    """What of a page can be asked about, as shown; `asking` gives a question that names it."""
    kept = [shown(one) for one in page.results if askable(asking(one), exempt)]
    return Results(kept, page.cursor)


def askable(question: QuestionBody, exempt: Exempt | None) -> bool:
    """Whether an evaluation asked about a result would judge it, and no other, by that name.

    A policy can hold names that no question can: an empty one, or a path in another spelling.
    """
    try:
        query = read_question(question, vouched=False, exempt=exempt)
    except RequestError:
        return False
    asked = question.resource
    return isinstance(asked, str) or query.resource.id == asked.id


def digest(kind: type[AnySearch], query: Query, caller: str) -> bytes:
    """What a token for the next page is good for: this search of this caller, pages aside."""
    entities = [
        [entity.type, entity.id, entity.properties]
        for entity in (query.subject, query.resource)
        if entity is not None
    ]
    action = [query.action.name, query.action.properties]
    asked = [kind.__name__, caller, query.vouched, *entities, action, query.context]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
