"""A table of paths: by the number of their segments, the places of their names, and their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter

from pdp.gently import gently, growing, settled
from pdp.policy.index.buckets import Buckets, largest, put
from pdp.policy.matcher.paths import PathPattern


@dataclass(slots=True)
class _Shape:
    """Paths with names at the same places; `key` picks the literal segments of a value."""

    names: tuple[int, ...]
    key: Callable[[list[str]], str]
    table: Buckets[str] = field(default_factory=growing)

    def take(self, segments: list[str], found: list[str]) -> None:
        """Add to `found` the patterns that match."""
        bucket = self.table.get(self.key(segments))
        if bucket is not None:
            for name in self.names:
                if not segments[name]:
                    return
            if isinstance(bucket, str):
                found.append(bucket)
            else:
                found.extend(bucket)


def _key(size: int, places: tuple[int, ...]) -> Callable[[list[str]], str]:
    """How the segments at `places` become one text; they hold no slash, so it is unequivocal."""
    if places == tuple(range(size)):
        return lambda segments: "/".join(segments[:size])
    if len(places) <= 1:
        return itemgetter(*places) if places else lambda _segments: ""
    pick = itemgetter(*places)
    return lambda segments: "/".join(pick(segments))


class Paths:
    """Paths of literal segments and names, with or without an open end."""

    def __init__(self, paths: Iterable[tuple[PathPattern, str]]) -> None:
        shapes: dict[tuple[bool, int, tuple[int, ...]], _Shape] = {}
        for path, pattern in gently(paths):
            _add(shapes, path, pattern)
        for shape in shapes.values():
            shape.table = settled(shape.table)
        self.keys = sum(len(shape.table) for shape in shapes.values())
        self._closed: dict[int, list[_Shape]] = {}
        self._open: list[tuple[int, _Shape]] = []
        for (is_open, size, _), shape in shapes.items():
            if is_open:
                self._open.append((size, shape))
            else:
                self._closed.setdefault(size, []).append(shape)
        # A value has one number of segments: it is tried with the closed shapes of that number.
        closed, opened = self._closed.values(), [shape for _, shape in self._open]
        self.tried = max(map(len, closed), default=0) + len(opened)
        self.most = max(map(_most, closed), default=0) + _most(opened)

    def matching(self, value: str) -> list[str]:
        """The patterns that match `value`."""
        if "\n" in value:
            return self._with_newlines(value)
        found: list[str] = []
        segments = value.split("/")
        count = len(segments)
        for shape in self._closed.get(count, ()):
            shape.take(segments, found)
        for size, shape in self._open:
            if size < count:
                shape.take(segments, found)
        return found

    def _with_newlines(self, value: str) -> list[str]:
        """The same where there are newlines: `$` does not see a last one, a star takes none."""
        found: dict[str, None] = {}
        for text in (value, value[:-1]) if value[-1] == "\n" else (value,):
            segments, some = text.split("/"), list[str]()
            for shape in self._closed.get(len(segments), ()):
                shape.take(segments, some)
            for size, shape in self._open:
                if size < len(segments) and "\n" not in "/".join(segments[size:]):
                    shape.take(segments, some)
            found |= dict.fromkeys(some)
        return list(found)


def _most(shapes: list[_Shape]) -> int:
    return sum(largest(shape.table) for shape in shapes)


def _add(
    shapes: dict[tuple[bool, int, tuple[int, ...]], _Shape], path: PathPattern, pattern: str
) -> None:
    literals = path.literals
    texts = [literal for literal in literals if literal is not None]
    text = "/".join(texts)
    names: tuple[int, ...] = ()
    if len(texts) < len(literals):
        names = tuple([i for i, literal in enumerate(literals) if literal is None])
    key = path.open, len(literals), names
    shape = shapes.get(key)
    if shape is None:
        places = tuple(i for i in range(len(literals)) if i not in names)
        shape = shapes[key] = _Shape(names, _key(len(literals), places))
    put(shape.table, pattern if text == pattern else text, pattern)
