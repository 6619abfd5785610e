"""What a compiled expression is made of: closures over a frame and a row, three-valued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

from pdp.policy.facts import EVERY_DOMAIN, Facts, Source, Unknown
from pdp.policy.roles import RoleGraph

# What a clause may raise when a value is missing or of the wrong type: the clause is unknown.
EVALUATION_ERRORS: Final = (
    Unknown,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,  # two values that are nested too deeply to be compared
)


class Frame(msgspec.Struct):
    """One request as one layer sees it: its tokens filled, what was worked out for it kept.

    `found` holds what a probe of the index has matched.
    """

    facts: Facts
    tokens: Sequence[Any]
    graphs: Mapping[str, RoleGraph]
    closures: dict[tuple[str, str, str, bool], Mapping[str, str]] = {}
    found: dict[Any, Any] = {}

    def reach(self, definition: str, name: str, domain: str, asserted: bool) -> Mapping[str, str]:
        """The roles of `name`; with `asserted` those of the request's credential, too."""
        key = (definition, name, domain, asserted)
        closure = self.closures.get(key)
        if closure is None:
            given = self.asserted_in(definition, domain) if asserted and self.facts.asserted else ()
            closure = self.closures[key] = self.graphs[definition].reach(name, domain, given)
        return closure

    def asserted_in(self, definition: str, domain: str) -> Sequence[str]:
        """The roles that the credential asserts in `domain` of a role definition."""
        return asserted_in(self.facts, self.graphs[definition], domain)


def asserted_in(facts: Facts, graph: RoleGraph, domain: str) -> Sequence[str]:
    """The roles that the credential asserts in `domain` of a role graph."""
    anywhere = not graph.has_domain
    return [r for r, of in facts.asserted if anywhere or of is EVERY_DOMAIN or of == domain]


Row = Sequence[str]
Value = Callable[[Frame, Row], Any]
Truth = Callable[[Frame, Row], bool | None]


class Cover(IntEnum):
    """Whether a row covers a resource, as far as one expression goes.

    In a conjunction NOT wins, then YES; in a disjunction the greatest wins. That equals looking
    at each conjunction of the disjunctive normal form, without building it.
    """

    NOT = 0
    SILENT = 1
    YES = 2


Covers = Callable[[Frame, Row], Cover]


def both_cover(sides: Sequence[Covers]) -> Covers:
    """Coverage of a conjunction."""

    def covers(frame: Frame, row: Row) -> Cover:
        found = [side(frame, row) for side in sides]
        return Cover.NOT if Cover.NOT in found else max(found)

    return covers


def any_covers(sides: Sequence[Covers]) -> Covers:
    """Coverage of a disjunction."""
    return lambda frame, row: max(side(frame, row) for side in sides)


def silent(_frame: Frame, _row: Row) -> Cover:
    """Coverage of an expression that says nothing about the resource alone."""
    return Cover.SILENT


def clause_covers(truth: Truth, depends: frozenset[Source]) -> Covers:
    """Coverage of one clause: it speaks if it depends on the resource alone, or on no request."""
    if depends == {Source.RESOURCE}:
        return lambda f, row: Cover.YES if truth(f, row) is True else Cover.NOT
    if not depends:
        return lambda f, row: Cover.SILENT if truth(f, row) is True else Cover.NOT
    return silent


class Mode(NamedTuple):
    """Which values count as true and false where they stand.

    Casbin raises if a matcher's result is neither bool nor float, but takes anything for an
    operand of `and`, `or` and `not`: `any_true` (`any_false`) tells that a value of another
    type that Python finds true (false) may stand here.
    """

    any_true: bool
    any_false: bool

    def judge(self, value: Any) -> bool | None:
        """Kleene's truth of a value in this place."""
        truth = bool(value)
        if isinstance(value, bool | float):
            return truth
        return truth if (self.any_true if truth else self.any_false) else None


RESULT: Final = Mode(any_true=False, any_false=False)
OPERAND: Final = Mode(any_true=True, any_false=True)


def all_of(sides: Sequence[Truth], *, even: bool = False) -> Truth:
    """Kleene's conjunction; with `even` all are asked: the time does not tell which fail."""

    def truth(frame: Frame, row: Row) -> bool | None:
        result: bool | None = True
        for side in sides:
            found = side(frame, row)
            if found is False and not even:
                return False
            if found is False or result is True:
                result = found
        return result

    return truth


def any_of(sides: Sequence[Truth]) -> Truth:
    """Kleene's disjunction."""

    def truth(frame: Frame, row: Row) -> bool | None:
        result: bool | None = False
        for side in sides:
            found = side(frame, row)
            if found is True:
                return True
            if found is None:
                result = None
        return result

    return truth


def negation(side: Truth) -> Truth:
    """Kleene's negation: not unknown is unknown."""

    def truth(frame: Frame, row: Row) -> bool | None:
        found = side(frame, row)
        return None if found is None else not found

    return truth


def choice(test: Truth, then: Truth, otherwise: Truth) -> Truth:
    """A conditional; an unknown test makes it unknown."""

    def truth(frame: Frame, row: Row) -> bool | None:
        found = test(frame, row)
        return None if found is None else (then if found else otherwise)(frame, row)

    return truth


def guarded(value: Value, mode: Mode) -> Truth:
    """A value as a clause: unknown instead of any evaluation error."""

    def truth(frame: Frame, row: Row) -> bool | None:
        try:
            found = value(frame, row)
            return found if found is True or found is False else mode.judge(found)
        except EVALUATION_ERRORS:
            return None

    return truth
