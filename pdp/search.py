"""Who may, on what, and what: a question with one part open, answered page by page.

The rules tell candidates, in order; each is judged as any question is, and what is not allowed is
left out. So a result is never more than `decide` would say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, NotRequired, TypedDict, TypeVar, Unpack

from msgspec.structs import replace

from pdp.model import ANONYMOUS, Action, Entity, Identity, Method, Outcome, Query, vouched_identity
from pdp.pipeline import Question, decide
from pdp.policy.combine import first_refusal, judge_grants
from pdp.policy.facts import Facts, Source
from pdp.policy.index.plan import most_scanned
from pdp.policy.search.candidates import streams
from pdp.policy.search.known import Part
from pdp.policy.search.opening import opened
from pdp.policy.search.streams import Step, merged
from pdp.policy.snapshot import Snapshot

# What one page may cost: so many ids are looked at. One that is judged counts as so many, and for
# each twenty rules that judging it could have to try, as one more.
PAGE: Final = 20_000
JUDGED: Final = 20
T = TypeVar("T")
Late = Callable[[], bool]  # whether a page has taken long enough


def never() -> bool:
    """No page takes too long."""
    return False


class Paging(TypedDict):
    """Which page: the one behind `after`, the cursor of the page before, or the first one.

    It has up to `limit` results, 1 or more, and ends early when `late` says so.
    """

    after: str | None
    limit: int
    late: NotRequired[Late]


class Found(NamedTuple):
    """A subject or a resource that was found."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some results, in ascending order of their ids or names by code points.

    `cursor` is what the next page starts `after`; None tells that there is nothing more. It is any
    text, an empty one included. A page can be shorter than its limit, even empty, and have a
    cursor: then the work that one page may take was done.
    """

    results: tuple[T, ...]
    cursor: str | None


def search_subjects(
    snapshot: Snapshot,
    query: Query,
    type_: str,
    now: float,
    **paging: Unpack[Paging],
) -> Page[Found]:
    """The known subjects of a type that may do `query.action` on `query.resource`.

    `query.subject` is not looked at. Every result is one that `decide` allows when an asker names
    it, with all else as in `query`, and with no properties but those that the policy knows. Of one
    page after the other, all but `paging` must stay as it was.
    """

    def of(id_: str) -> tuple[Query, Identity]:
        subject = Entity(type_, id_)
        return replace(query, subject=subject), Identity(id_, type_, Method.VOUCHED)

    page = _Search(snapshot, Part(Source.SUBJECT, type_), now, of).page(**paging)
    return _found(page, type_)


def search_resources(
    snapshot: Snapshot,
    query: Query,
    type_: str,
    now: float,
    **paging: Unpack[Paging],
) -> Page[Found]:
    """The known resources of a type on which `query.subject`, who must be given, may act.

    `query.resource` is not looked at; all else is as for subjects. `query.subject` has the
    properties that `query` gives it if it is `vouched`.
    """
    who = _vouched(query)

    def of(id_: str) -> tuple[Query, Identity]:
        return replace(query, resource=Entity(type_, id_)), who

    page = _Search(snapshot, Part(Source.RESOURCE, type_), now, of).page(**paging)
    return _found(page, type_)


def search_actions(
    snapshot: Snapshot,
    query: Query,
    now: float,
    **paging: Unpack[Paging],
) -> Page[str]:
    """The names of the known actions that `query.subject`, who must be given, may do.

    `query.action` is not looked at; a result is allowed without properties of the action. All else
    is as for resources.
    """
    who = _vouched(query)

    def of(name: str) -> tuple[Query, Identity]:
        return replace(query, action=Action(name)), who

    return _Search(snapshot, Part(Source.ACTION), now, of).page(**paging)


def _vouched(query: Query) -> Identity:
    if query.subject is None:
        raise ValueError("the subject is missing")
    return vouched_identity(query)


def _found(page: Page[str], type_: str) -> Page[Found]:
    return Page(tuple([Found(type_, id_) for id_ in page.results]), page.cursor)


@dataclass(frozen=True, slots=True)
class _Search:
    """A question with one part open; `of` fills it."""

    snapshot: Snapshot
    part: Part
    now: float
    of: Callable[[str], tuple[Query, Identity]]

    def page(self, after: str | None, limit: int, late: Late = never) -> Page[str]:
        """Up to `limit` results behind `after`; at least one candidate is judged.

        One result more is looked for, so that a page that is the last knows it.
        """
        results: list[str] = []
        last, left, cost = after, PAGE, self._cost()
        for id_, fits in self._candidates(after):
            if left <= 0 or (last != after and late()):
                return Page(tuple(results), last)
            left -= cost if fits else 1
            if fits and self._allowed(id_):
                if len(results) == limit:
                    return Page(tuple(results), results[-1])
                results.append(id_)
            last = id_
        return Page(tuple(results), None)

    def _cost(self) -> int:
        layers = self.snapshot.layers
        tried = self.snapshot.world.memo.get(
            "tried", lambda: sum(most_scanned(layer.indexes) for layer in layers), lambda _: 0
        )
        return JUDGED + tried // JUDGED

    def _candidates(self, after: str | None) -> Iterator[Step]:
        world, part, facts = self.snapshot.world, self.part, self._facts()
        sure = [guard for guard in self.snapshot.guards if part.source not in guard.depends]
        if first_refusal(sure, facts[0]):
            return iter(())
        everybody = part.source is Source.SUBJECT and self._public()
        return merged(streams(world, part, facts, everybody=everybody), after)

    def _facts(self) -> list[Facts]:
        """What is known with the part open: of the subject that asks, and of `anonymous`."""
        query, identity = self.of("")
        known = [self.snapshot.facts(query, identity, self.now)]
        if self.part.source is not Source.SUBJECT:
            known.append(self.snapshot.facts(query, ANONYMOUS, self.now))
        return [opened(facts, self.part.source, self.part.type) for facts in known]

    def _public(self) -> bool:
        """Whether everybody may, if nothing is said against it."""
        facts = self.snapshot.facts(self.of("")[0], ANONYMOUS, self.now)
        return judge_grants(self.snapshot.grants, facts).allows

    def _allowed(self, id_: str) -> bool:
        """INVARIANT: `decide` has the last word; before, what cannot be allowed is left out."""
        query, identity = self.of(id_)
        question, late = Question(query, self.snapshot, self.now), self.snapshot.late_guards
        facts = question.facts(identity)
        if first_refusal(late, facts) or not question.grant(identity, facts).allows:
            return False
        return decide(query, identity, self.snapshot, self.now).outcome is Outcome.ALLOW
