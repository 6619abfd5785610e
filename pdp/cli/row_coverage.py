"""Which rows of a policy its cases exercise, found out by watching the pipeline judge them.

A rule is exercised when it matched in some case, in a layer that was asked before the answer was
clear; a deny row also when its match was unknown, as that denies. It need not have decided. A role
row is exercised when it lies on the shortest way to a role that a matching rule asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import groupby, pairwise
from typing import Any

from pdp.cli.case_file import Case
from pdp.cli.cases import judge
from pdp.cli.policy_files import FileRow
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts
from pdp.policy.layer import Layer, Ruling
from pdp.policy.matcher.terms import Frame
from pdp.policy.rows import PolicyRow
from pdp.policy.snapshot import Snapshot
from pdp.runtime.load import Loaded

Place = tuple[str, int]  # file and line
_Asked = tuple[
    str, str, str, bool
]  # role definition, member, domain, and whether roles are asserted
_Seen = list[tuple[Layer, Frame, Decision]]


@dataclass(frozen=True, slots=True)
class Coverage:
    """All rows of a policy, and those that no case exercises."""

    rows: tuple[FileRow, ...]
    unexercised: tuple[FileRow, ...]

    @property
    def exercised(self) -> int:
        """How many rows some case exercises."""
        return len(self.rows) - len(self.unexercised)

    def reaches(self, percent: float) -> bool:
        """Whether so many of a hundred rows are exercised; of no rows, all are."""
        return self.exercised * 100 >= percent * len(self.rows)


def measure(rows: Iterable[FileRow], cases: Iterable[Case], loaded: Loaded, now: float) -> Coverage:
    """What these cases exercise, judged at `now`, in Unix seconds."""
    known = tuple(rows)
    places = {place for case in cases for place in _exercised(case, loaded, now)}
    return Coverage(known, tuple(row for row in known if row.place not in places))


def _exercised(case: Case, loaded: Loaded, now: float) -> Iterator[Place]:
    seen: _Seen = []
    judge(case, replace(loaded, snapshot=_watched(loaded.snapshot, seen)), now)
    for layer, frame in _asked(seen):
        if _matters(frame, seen[0][1], loaded.snapshot):
            for row in layer.rows:
                yield from _touched(layer, row, frame)


def _asked(seen: _Seen) -> Iterator[tuple[Layer, Frame]]:
    """What was asked before the answer was clear; the rest was only lest the time tell it."""
    for _, judged in groupby(seen, key=lambda one: one[1].facts.action.id):
        for layer, frame, decision in judged:
            yield layer, frame
            wanted = (Decision.ALLOW,) if layer.kind == "guard" else (Decision.ALLOW, Decision.NONE)
            if decision not in wanted:
                break


def _watched(snapshot: Snapshot, seen: _Seen) -> Snapshot:
    """The same snapshot, but its layers note in `seen` whom they are asked about."""
    return replace(
        snapshot,
        early_guards=tuple(_noting(layer, seen) for layer in snapshot.early_guards),
        late_guards=tuple(_noting(layer, seen) for layer in snapshot.late_guards),
        grants=tuple(_noting(layer, seen) for layer in snapshot.grants),
    )


def _noting(layer: Layer, seen: _Seen) -> Layer:
    return _Watched(**{f.name: getattr(layer, f.name) for f in fields(layer)}, seen=seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(Layer):
    """A layer that notes what it is asked."""

    seen: _Seen

    def judge(self, facts: Facts) -> Ruling:
        ruling = Layer.judge(self, facts)
        self.seen.append((self, self.frame(facts), ruling.decision))
        return ruling


def _matters(frame: Frame, first: Frame, snapshot: Snapshot) -> bool:
    """Whether the verdict can rest on it: the revealing action is judged even where it cannot."""
    hidden = any(match(frame.facts.resource.id) for match in snapshot.hidden)
    return hidden or frame.facts.action.id == first.facts.action.id


def _touched(layer: Layer, row: PolicyRow, frame: Frame) -> Iterator[Place]:
    """The row, if it matches, with the role rows that it took."""
    matched = layer.clause.truth(frame, row.values)
    if matched is False or (matched is None and row.decision is not Decision.DENY):
        return
    yield layer.file, row.line
    witness = _Witness(frame.facts, frame.tokens, frame.graphs)
    layer.clause.truth(witness, row.values)  # once more: few rows match
    for (definition, member, domain, asserts), role in witness.held:
        graph = layer.graphs[definition]
        asserted = frame.asserted_in(definition, domain) if asserts else ()
        for one, other in pairwise(graph.path(member, role, domain, asserted)):
            if line := graph.line(domain, one, other):
                yield layer.file, line


class _Witness(Frame):
    """A frame that remembers which roles it was asked for and found."""

    held: list[tuple[_Asked, str]] = []  # noqa: RUF012 - msgspec makes one for each

    def reach(self, definition: str, name: str, domain: str, asserted: bool) -> Any:
        reached = Frame.reach(self, definition, name, domain, asserted)
        return _Reached(reached, (definition, name, domain, asserted), self.held)


@dataclass(frozen=True, slots=True)
class _Reached:
    roles: Any
    asked: _Asked
    held: list[tuple[_Asked, str]]

    def __contains__(self, role: str) -> bool:
        found = role in self.roles
        if found:
            self.held.append((self.asked, role))
        return found
