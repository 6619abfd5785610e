"""From what rules give (names, roles, patterns, values of properties) to candidates in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from pdp.policy.facts import Facts
from pdp.policy.layer import Layer
from pdp.policy.roles import RoleGraph
from pdp.policy.search.clues import Clue, Kind, Vague
from pdp.policy.search.known import Known, Part, World
from pdp.policy.search.members import graph_weight, holders, turned
from pdp.policy.search.memo import ordered
from pdp.policy.search.properties import Values, by_property
from pdp.policy.search.streams import Ids, Stream, fitting

APART: Final = 16  # roles whose members are kept apart; those of more are put together
MANY: Final = 256  # streams that are merged for each page
Told = Mapping[str | None, Collection[Any]]  # what rules give; roles by their domain


@dataclass(frozen=True, slots=True)
class Origins:
    """Whom rules mean, in one question; `namings` tell how tokens name the open part."""

    world: World
    part: Part
    facts: Facts
    namings: Hashable
    known: Known

    @classmethod
    def of(cls, world: World, part: Part, facts: Facts) -> Origins:
        """Those of a question's facts."""
        return cls(world, part, facts, world.namings(part, facts), world.known(part, facts))

    def streams(self, layer: Layer, clue: Clue, told: Told) -> Iterator[Stream]:
        """What rules gave, as streams."""
        if clue.kind is Kind.ROLE:
            yield from self._holding(layer, clue, told)
            return
        for values in told.values():  # without domains there is one
            if clue.kind in _PROPERTIES:
                yield from self._having(clue, values)
            elif clue.kind is Kind.PATTERN:
                yield fitting(clue.function, _texts(values), self.known.ids, clue.naming)
            else:
                yield self._ids(_texts(values), clue)

    def _having(self, clue: Clue, values: Collection[Any]) -> Iterator[Stream]:
        """Who has one of some values as a property."""
        found = _PROPERTIES[clue.kind](self._by(clue.path), values) if values else []
        if len(found) > MANY:
            found = [ordered(set[str]().union(*found))]
        yield from (Ids(ids) for ids in found if ids)

    def _holding(self, layer: Layer, clue: Clue, told: Told) -> Iterator[Stream]:
        """Who holds one of some roles, each in its domain."""
        graph = layer.graphs[clue.function]
        if type(graph) is not RoleGraph:
            raise Vague  # roles that are patterns: who has them is asked for each by itself
        for of, roles in told.items():
            names, domain = _texts(roles), of if graph.has_domain else ""
            alone = len(names) <= APART
            for group in [frozenset((name,)) for name in names] if alone else [frozenset(names)]:
                key = "held", self.part, self.namings, layer.name, clue, domain, group
                found = self.world.memo.get(
                    key,
                    partial(self._held, layer, clue, domain, group),
                    lambda stream: stream.weight if stream else 0,
                )
                if found is None:
                    raise Vague  # everybody has that role
                yield found

    def _held(
        self, layer: Layer, clue: Clue, domain: str | None, roles: Collection[str]
    ) -> Ids | None:
        graph = layer.graphs[clue.function]
        key = "holders", layer.name, clue.function
        known = self.world.memo.get(key, lambda: turned(graph), lambda _: graph_weight(graph))
        found = holders(known, roles, domain)
        everybody = any(role in found for role, _ in self.facts.asserted)
        return None if everybody else self._ids(found, clue)

    def _ids(self, names: Iterable[str], clue: Clue) -> Ids:
        found = {id_ for name in names if (id_ := self._admitted(name, clue)) is not None}
        known = self.known.ids
        if not clue.names and len(found) > len(known) // APART:  # then these are in order already
            return Ids(tuple([id_ for id_ in known if id_ in found]))
        return Ids(ordered(found))

    def _admitted(self, name: str, clue: Clue) -> str | None:
        id_ = clue.naming.id_of(name)
        if id_ in self.known.members:
            return id_
        # Not spelt out by the policy: it can be one that the question itself names.
        return self.known.admits(name, clue.naming) if clue.names else None

    def _by(self, path: tuple[str, ...]) -> Values:
        """The listed entities of the type by one property."""
        world, part, listed = self.world, self.part, self.known.listed
        return world.memo.get(
            ("property", part, path),
            lambda: by_property(world.entities, part.type, listed, path),
            lambda values: values.weight,
        )


def _texts(values: Collection[Any]) -> AbstractSet[str]:
    if isinstance(values, set):  # of a column, which holds nothing else
        return values
    return {value for value in values if isinstance(value, str)}


_PROPERTIES: Final[Mapping[Kind, Callable[[Values, Collection[Any]], list[Sequence[str]]]]] = (
    MappingProxyType(
        {
            Kind.EQUAL: Values.equal,
            Kind.CONTAINS: Values.containing,
            Kind.TRUE: lambda values, _: values.true(),
        }
    )
)
