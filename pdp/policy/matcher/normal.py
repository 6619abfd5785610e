"""Disjunctive normal form: a clause as alternatives, each a conjunction of literals.

form        = conjunction *( "or" conjunction )
conjunction = literal *( "and" literal )
literal     = a value or its negation / a clause that is not taken apart

Kleene's connectives distribute and obey De Morgan, so that a form is true, false and unknown
exactly where its clause is. A conditional does not distribute, and stays one literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Final

from pdp.policy.facts import Source
from pdp.policy.matcher.lookups import Lookup
from pdp.policy.matcher.terms import Truth

MOST: Final = 32  # alternatives; a clause that would have more is one literal


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """What cannot be taken apart: its truth, what it reads, and its text.

    `asks` tells that it reads something of the request, if only a token that is always the same.
    `columns` are those of the policy. `lookup` finds the rows for which it holds without looking
    at each. `opaque` tells that clauses of several kinds may be inside.
    """

    truth: Truth
    depends: frozenset[Source]
    asks: bool
    columns: frozenset[int]
    source: str
    lookup: Lookup | None = None
    opaque: bool = False

    @property
    def may_speak(self) -> bool:
        """Whether it can make a row cover a resource."""
        return self.depends == {Source.RESOURCE} or (
            self.opaque and Source.RESOURCE in self.depends
        )


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Literals that must all hold; `speaks` tells that it can cover a resource."""

    literals: tuple[Literal, ...]
    speaks: bool


Form = tuple[Conjunction, ...]


def form_of(literal: Literal) -> Form:
    """A literal as a form."""
    return (Conjunction((literal,), literal.may_speak),)


def either(sides: Iterable[Form]) -> Form:
    """The disjunction of forms."""
    return tuple(conjunction for side in sides for conjunction in side)


def both(sides: Sequence[Form]) -> Form:
    """The conjunction of forms."""
    return tuple(
        Conjunction(
            tuple(dict.fromkeys(literal for part in parts for literal in part.literals)),
            any(part.speaks for part in parts),
        )
        for parts in product(*sides)
    )


def too_many(sides: Sequence[Form], *, conjunction: bool) -> bool:
    """Whether the sides together would have more alternatives than are spelt out."""
    return (prod if conjunction else sum)(map(len, sides)) > MOST


def speaking(form: Form) -> Form:
    """The form of a clause that as a whole depends on the resource alone."""
    return tuple(replace(conjunction, speaks=True) for conjunction in form)
