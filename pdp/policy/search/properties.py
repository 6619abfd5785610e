"""Entities by what their properties say: from a value to the ids that have it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from pdp.policy.facts import Entities, Unknown, step_into

MOST_TRIED: Final = 32  # parts of texts that are looked for one by one
_MISSING: Final = object()


@dataclass(slots=True)
class Values:
    """The ids of one type by one property, each list in order.

    `lists` are those whose value is a list, `inside` the same by what is in it, and `odd` have
    another value that cannot be looked up.
    """

    whole: dict[Hashable, list[str]] = field(default_factory=dict)
    inside: dict[Hashable, list[str]] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    weight: int = 0

    def equal(self, values: Collection[Any]) -> list[Sequence[str]]:
        """Those whose value may equal one of `values`."""
        found = [*_under(self.whole, values), self.odd]
        return found if all(map(_is_key, values)) else [*found, self.lists]

    def containing(self, values: Collection[Any]) -> list[Sequence[str]]:
        """Those whose value may contain one of `values`: a list, or a longer text."""
        parts = [part for part in values if isinstance(part, str)]
        many = len(parts) > MOST_TRIED
        within = [
            ids
            for text, ids in self.whole.items()
            if isinstance(text, str) and (many or any(part in text for part in parts))
        ]
        found = [*_under(self.inside, values), *within, self.odd]
        return found if all(map(_is_key, values)) else [*found, self.lists]

    def true(self) -> list[Sequence[str]]:
        """Those whose value may count as true."""
        return [*(ids for value, ids in self.whole.items() if value), self.lists, self.odd]


def _under(table: Mapping[Hashable, list[str]], values: Collection[Any]) -> list[Sequence[str]]:
    return [table[value] for value in values if _is_key(value) and value in table]


def _is_key(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def by_property(
    entities: Entities, type_: str, ids: Iterable[str], path: tuple[str, ...]
) -> Values:
    """The `ids` of a type, which are in order, by the property at `path`."""
    found = Values()
    for id_ in ids:
        value = _read(entities[type_, id_], path)
        if value is _MISSING:
            continue
        found.weight += 1
        if _is_key(value):
            found.whole.setdefault(value, []).append(id_)
        elif isinstance(value, list):
            _put(found, id_, value)
        else:
            found.odd.append(id_)
    return found


def _put(found: Values, id_: str, items: list[Any]) -> None:
    found.lists.append(id_)
    keys = [item for item in items if _is_key(item)]
    for key in dict.fromkeys(keys):
        found.inside.setdefault(key, []).append(id_)
    found.weight += len(keys)


def _read(properties: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    try:
        return reduce(step_into, path, properties)
    except Unknown:
        return _MISSING
