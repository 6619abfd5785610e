"""The entities that a policy knows: those that it lists, and those whose names it spells out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pdp.model import ANONYMOUS_ID, RESOURCE_TYPE, SUBJECT_TYPE
from pdp.policy.facts import Entities, Facts, Source
from pdp.policy.layer import Layer
from pdp.policy.roles import RoleGraph
from pdp.policy.search.memo import MOST_KEPT, Memo, ordered
from pdp.policy.search.names import Mention, is_group, mentions, names_of
from pdp.policy.search.opening import Naming, naming_of
from pdp.policy.search.reading import Reader, expressions, scope_of
from pdp.policy.search.spelled import WILDCARD

FEW: Final = 256
_SHARE: Final = 16  # for each rule and each entity so many names may be kept
_DEFAULT_TYPES: Final = {Source.SUBJECT: SUBJECT_TYPE, Source.RESOURCE: RESOURCE_TYPE}


@dataclass(frozen=True, slots=True)
class Part:
    """The open part: what is looked for, and of which type (of actions, none)."""

    source: Source
    type: str = ""

    def lists(self, entities: Entities, id_: str) -> bool:
        """Whether an id is listed as one of these."""
        return self.source is not Source.ACTION and (self.type, id_) in entities

    @property
    def nobody(self) -> str | None:
        """The id that is never one of these."""
        return ANONYMOUS_ID if self.source is Source.SUBJECT else None


@dataclass(frozen=True, slots=True)
class Known:
    """The ids of one type in order, and the same as a set; `listed` are those of the entities.

    `admits` gives the id that a name names, or None if it names none of this type.
    """

    ids: Sequence[str]
    members: frozenset[str]
    listed: Sequence[str]
    admits: Callable[[str, Naming], str | None]


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What is known in a policy; `reserved` are names that no subject may have.

    So are those that begin with one of `prefixes`: a credential could assert such a role. `few`
    rules are looked at one by one for each page, what is found of more is kept.
    """

    layers: tuple[Layer, ...]
    entities: Entities
    reserved: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    few: int = FEW
    memo: Memo = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.entities) + sum(len(layer.rows) for layer in self.layers)
        object.__setattr__(self, "memo", Memo(MOST_KEPT + _SHARE * size))

    def known(self, part: Part, facts: Facts) -> Known:
        """Everything of a type; `facts` fill what is not open of the tokens that name it."""
        key = "known", part, self.namings(part, facts)
        return self.memo.get(key, lambda: self._known(part, facts), lambda k: 8 * len(k.ids))

    def namings(self, part: Part, facts: Facts) -> Hashable:
        """How the tokens of all layers name the open part."""
        return tuple(signature(layer, part, facts) for layer in self.layers)

    def _known(self, part: Part, facts: Facts) -> Known:
        found: list[tuple[Layer, Mention]] = []
        for layer in self.layers:
            reader = Reader(scope_of(layer), part.source, facts)
            found += [(layer, mention) for mention in dict.fromkeys(mentions(layer, reader))]
        admits = self._admission(part, facts, [mention for _, mention in found])
        listed = {i for t, i in self.entities if t == part.type and i != part.nobody}
        listed = listed if part.source is not Source.ACTION else set()
        ids = set(listed)
        for layer, mention in found:
            admitted = (admits(name, mention.naming) for name in set(names_of(layer, mention)))
            ids.update(id_ for id_ in admitted if id_ is not None)
        return Known(ordered(ids), frozenset(ids), ordered(listed), admits)

    def _admission(
        self, part: Part, facts: Facts, found: Sequence[Mention]
    ) -> Callable[[str, Naming], str | None]:
        """What tells whom a name names.

        An entity that is listed as one of this type; or one that is neither a wildcard nor a group
        nor listed as another type only, if its type is stated with it or may be this one.
        """
        entities, group = self.entities, self._groups(part, found)
        untyped, elsewhere = self._untyped(part, facts), frozenset[str]()
        if part.source is not Source.ACTION:
            elsewhere = frozenset(id_ for _, id_ in entities)

        def admits(name: str, naming: Naming) -> str | None:
            id_ = naming.id_of(name)
            if id_ is None or id_ == part.nobody:
                return None
            if part.lists(entities, id_):
                return id_
            if id_ == WILDCARD or group(id_) or group(name):
                return None
            return id_ if naming.typed or (untyped and id_ not in elsewhere) else None

        return admits

    def _groups(self, part: Part, found: Sequence[Mention]) -> Callable[[str], bool]:
        """What tells whether a name is one of a role, or of a group of resources or actions."""
        graphs = (mention.of for mention in found if isinstance(mention.of, RoleGraph))
        group, reserved, prefixes = is_group(graphs), self.reserved, self.prefixes
        if part.source is not Source.SUBJECT:
            return group
        return lambda name: name in reserved or name.startswith(prefixes) or group(name)

    def _untyped(self, part: Part, facts: Facts) -> bool:
        """Whether an id that nothing gives a type may be taken for one of this type."""
        types = frozenset(type_ for type_, _ in self.entities)
        default = _DEFAULT_TYPES.get(part.source, part.type)
        return (
            not types
            or part.type in (default, *types)
            or any(_reads_types(layer, part, facts) for layer in self.layers)
        )


def _reads_types(layer: Layer, part: Part, facts: Facts) -> bool:
    """Whether a matcher asks for the type, so that it tells which ids go with it."""
    reader = Reader(scope_of(layer), part.source, facts)
    nodes: Iterator[ast.AST] = (n for e in expressions(layer) for n in ast.walk(e.tree))
    return any(reader.reads_type(node) for node in nodes)


def signature(layer: Layer, part: Part, facts: Facts) -> tuple[Naming | None, ...]:
    """How the tokens of a layer name the open part."""
    tokens = scope_of(layer).tokens.values()
    return tuple(naming_of(template, facts, part.source) for _, template in tokens)
