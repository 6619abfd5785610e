"""Works on large structures in small steps, so that other threads get their turn in between."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_BATCH = 128  # objects that are looked at together
_LARGE = 256  # parts of one object
_SOME = 1024  # parts of a large one that are picked up together
_PLAIN = frozenset((str, int, float, bool, type(None)))  # not worth a step of its own
_STEP = 16  # items, some of which take tens of microseconds
_ALONE = 3  # a batch, the loop over it, and the argument of `getrefcount`: nobody else
_PARTED = 8_192  # keys of a dict, before it is taken to parts
_PARTS_OF_ONE = 256


_aside: ContextVar[Callable[[], None] | None] = ContextVar("aside", default=None)


@contextmanager
def stepping_aside(aside: Callable[[], None]) -> Iterator[None]:
    """Within, in this thread, `aside` is called between steps: it may wait while others work."""
    token = _aside.set(aside)
    try:
        yield
    finally:
        _aside.reset(token)


def gently(items: Iterable[T]) -> Iterable[T]:
    """The items; where this thread steps aside, it does so every few of them."""
    aside = _aside.get()
    return items if aside is None else _by_steps(items, aside)


def _by_steps(items: Iterable[T], aside: Callable[[], None]) -> Iterator[T]:
    for number, item in enumerate(items):
        if not number % _STEP:
            aside()
        yield item


def step() -> None:
    """Between two steps that are no items of a loop."""
    aside = _aside.get()
    if aside is not None:
        aside()


class Wide(Generic[K, V]):
    """A dict that never grows in one long step: when it becomes large, it becomes many small ones.

    A dict that is full moves all that it has, which takes milliseconds for 100,000 keys. The keys
    of a large one are in no order.
    """

    __slots__ = ("_count", "_mask", "_parts")

    def __init__(self) -> None:
        self._parts: list[dict[K, V]] = [{}]
        self._count = self._mask = 0

    def get(self, key: K) -> V | None:
        """What is stored under `key`, or None."""
        return self._parts[hash(key) & self._mask].get(key)

    def __getitem__(self, key: K) -> V:
        """What is stored under `key`, or KeyError."""
        return self._parts[hash(key) & self._mask][key]

    def __contains__(self, key: K) -> bool:
        """Whether anything is."""
        return key in self._parts[hash(key) & self._mask]

    def __setitem__(self, key: K, value: V) -> None:
        """Store it."""
        part = self._parts[hash(key) & self._mask]
        before = len(part)
        part[key] = value
        self._count += len(part) - before
        if self._count > _PARTED and not self._mask:
            self._part()

    def _part(self) -> None:
        (whole,) = self._parts
        self._parts, self._mask = [{} for _ in range(_PARTS_OF_ONE)], _PARTS_OF_ONE - 1
        for key, value in whole.items():
            self._parts[hash(key) & self._mask][key] = value

    def __len__(self) -> int:
        """How many keys there are."""
        return self._count

    def __iter__(self) -> Iterator[K]:
        """The keys."""
        return chain.from_iterable(self._parts)

    def items(self) -> Iterator[tuple[K, V]]:
        """The keys with what is stored under them, which may be replaced meanwhile."""
        return chain.from_iterable(part.items() for part in self._parts)

    def values(self) -> Iterator[V]:
        """What is stored."""
        return chain.from_iterable(part.values() for part in self._parts)

    @property
    def settled(self) -> dict[K, V] | Wide[K, V]:
        """The same when it grows no more: a dict, which is quicker, where one is enough."""
        return self if self._mask else self._parts[0]


def growing() -> dict[Any, Any] | Wide[Any, Any]:
    """A dict to be filled; where this thread steps aside, one that never grows in a long step."""
    return {} if _aside.get() is None else Wide()


def settled(filled: dict[K, V] | Wide[K, V]) -> dict[K, V] | Wide[K, V]:
    """The same when it grows no more."""
    return filled.settled if isinstance(filled, Wide) else filled


def take_apart(held: list[Any]) -> None:
    """Empty `held`, and free what only it kept alive, never much at once.

    The last reference to a million objects frees all of them in one go, for as long as which no
    other thread can run. Here each object's parts are picked up before it goes. What somebody
    else still holds stays as it is, whole.
    """
    while held:
        step()
        batch = list({id(item): item for item in held[-_BATCH:]}.values())
        del held[-_BATCH:]
        alone = [item for item in batch if sys.getrefcount(item) <= _ALONE]
        small = [item for item in alone if not _is_large(item)]
        if len(small) < len(alone):
            _pick_up(held, [item for item in alone if _is_large(item)])
        held += [part for part in gc.get_referents(*small) if part.__class__ not in _PLAIN]
        del alone, small  # else these would keep the batch as a whole until the next one is there


def is_held_elsewhere(held: list[Any]) -> bool:
    """Whether anything but this list keeps one of its items alive."""
    return any(sys.getrefcount(item) > _ALONE for item in held)


def _is_large(item: Any) -> bool:
    return isinstance(item, tuple | list | dict | set | frozenset) and len(item) > _LARGE


def _pick_up(held: list[Any], large: Iterable[Any]) -> None:
    for item in large:
        parts = _PARTS.get(item.__class__, iter)(item)
        while some := list(islice(parts, _SOME)):
            step()
            held += [part for part in some if part.__class__ not in _PLAIN]


def _items(large: dict[Any, Any]) -> Iterator[Any]:
    while large:
        yield from large.popitem()


def _members(large: list[Any] | set[Any]) -> Iterator[Any]:
    while large:
        yield large.pop()


# What can be changed lets go of its parts meanwhile: it would take long to free all of it at once.
_PARTS: Mapping[type, Callable[[Any], Iterator[Any]]] = MappingProxyType(
    {dict: _items, list: _members, set: _members}
)
