"""Works on large structures in small steps, so that other threads get their turn in between."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")

_BATCH = 128  # objects that are looked at together
_LARGE = 256  # parts of one object
_SOME = 1024  # parts of a large one that are picked up together
_PLAIN = frozenset((str, int, float, bool, type(None)))  # not worth a step of its own
_STEP = 16  # items, some of which take tens of microseconds
_ALONE = 3  # a batch, the loop over it, and the argument of `getrefcount`: nobody else


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
