"""The values of a record: bounded, without credentials and query strings, and masked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, Final

import msgspec

from pdp.policy.facts import Facts, Known, Unknown, step_into
from pdp.policy.reads import Path, Reads
from pdp.runtime.journal_settings import ENTITIES

MARKER: Final = "***"
LONGEST: Final = 1_024  # characters of one text
LONGEST_RESOURCE: Final = 8_192
MOST: Final = 64  # members of a list or an object
_DEEPEST: Final = 4
_ALTOGETHER: Final = 1_000  # members of all lists and objects of one record
_EXACT: Final = 2**53  # up to here every reader of JSON has the same integers
# The last words of a name, however they are joined: `client_secret`, `x-api-key`, `accessToken`.
_SECRET: Final = re.compile(
    r"(?:.*[\W_])?(?:tokens?|jwt|authorization|cookies?|(?:api|private|secret)_?keys?"
    r"|passw(?:or)?ds?|passphrases?|pwd|secrets?|credentials?)",
    re.IGNORECASE | re.DOTALL,
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")
_USER: Final = re.compile(r"(?:(?<=://)|(?<=^//))[^/?#]*@")  # a password may hold an `@`
_TOKEN: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}(?:\.|%2[eE])[A-Za-z0-9_.%=+/-]*")
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
# Facts that have a field of their own.
_OWN_FIELD: Final = frozenset({"ip", "country"})


class Values:
    """Makes the values of one record fit; remembers the names of what it had to change."""

    __slots__ = ("_left", "_masks", "masked", "shortened")

    def __init__(self, masks: frozenset[str]) -> None:
        self._masks, self._left = masks, _ALTOGETHER
        self.masked: dict[str, None] = {}
        self.shortened: dict[str, None] = {}

    def text(self, name: str, value: Any, longest: int = LONGEST) -> str | None:
        """A text under `name`, or the marker; None for None and for what is empty."""
        if not value:
            return None
        if name in self._masks:
            self.masked[name] = None
            return MARKER
        return self._short(name, str(value), longest)

    def texts(self, name: str, values: Sequence[str]) -> tuple[str, ...]:
        """A list of texts, or the marker in one."""
        if not values:
            return ()
        if name in self._masks:
            self.masked[name] = None
            return (MARKER,)
        if len(values) > MOST:
            self.shortened[name] = None
        return tuple(self._short(name, value) for value in values[:MOST])

    def attributes(self, facts: Facts, reads: Reads) -> dict[str, Any]:
        """The properties that the policy reads and that are known, by entity."""
        found: dict[str, Any] = {}
        for entity in ENTITIES:
            paths = getattr(reads, entity)
            if paths:
                known = self._properties(getattr(facts, entity), paths, f"attributes.{entity}")
                found |= {entity: known} if known else {}
        return found

    def context(self, context: Mapping[str, Any], reads: Reads) -> dict[str, Any]:
        """The facts that the policy reads and that are known."""
        paths: Iterable[Path] = reads.context
        if reads.whole:
            paths = [(name,) for name in list(context)[:MOST]]
        found: dict[str, Any] = {}
        for path in paths:
            if path[0] in _OWN_FIELD and len(path) == 1:
                continue
            try:
                value = reduce(step_into, path[1:], context[path[0]])
            except (Unknown, KeyError):
                continue
            self._put(found, path, value, "context")
        return found

    def _properties(self, known: Known, paths: Iterable[Path], root: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in paths:
            try:
                value = reduce(step_into, path[1:], known.property(path[0]))
            except Unknown:
                continue
            self._put(found, path, value, root)
        return found

    def _put(self, into: dict[str, Any], path: Path, value: Any, root: str) -> None:
        name = f"{root}.{'.'.join(path)}"
        *above, last = path
        for step in above:
            into = into.setdefault(step, {})
        if self._hidden(root, path) or _is_secret(path):
            self.masked[name] = None
            into[last] = MARKER
        else:
            into[last] = self._fit(name, value, _DEEPEST)

    def _hidden(self, root: str, path: Path) -> bool:
        """Whether the operator masks it: by its own name, or one that it is part of.

        `attributes.email` is that of every entity.
        """
        if not self._masks:
            return False
        roots = {root, root.partition(".")[0]}
        names = (".".join(path[:n]) for n in range(len(path) + 1))
        wholes = {f"{r}.{name}".rstrip(".") for name in names for r in roots}
        return not self._masks.isdisjoint(wholes)

    def _fit(self, name: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if abs(value) <= _EXACT else self._short(name, str(value))
        if isinstance(value, str):
            return self._short(name, _without_query(str(value)))
        if isinstance(value, Mapping) and depth:
            return self._object(name, value, depth)
        if isinstance(value, Sequence | set | frozenset) and depth:
            if len(value) > MOST:
                self.shortened[name] = None
            items = (item for item in [*value][:MOST] if not self._spent(name))
            return [self._fit(name, item, depth - 1) for item in items]
        self.shortened[name] = None
        return None

    def _object(self, name: str, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if len(value) > MOST:
            self.shortened[name] = None
        found = {}
        for key, member in list(value.items())[:MOST]:
            if self._spent(name):
                break
            inner = f"{name}.{key}"
            parts = inner.split(".")
            at = 2 if parts[0] == "attributes" else 1  # behind the entity's name
            hidden = self._hidden(".".join(parts[:at]), tuple(parts[at:]))
            if hidden or _is_secret((key[-LONGEST:],)):
                self.masked[inner[:LONGEST]] = None
                found[key[:LONGEST]] = MARKER
            else:
                found[key[:LONGEST]] = self._fit(name, member, depth - 1)
        return found

    def _spent(self, name: str) -> bool:
        """Whether there is no room for one more member."""
        if self._left:
            self._left -= 1
            return False
        self.shortened[name] = None
        return True

    def _short(self, name: str, value: str, longest: int = LONGEST) -> str:
        if len(value) <= longest:
            return value
        self.shortened[name] = None
        return value[:longest]


@lru_cache(maxsize=1_024)
def _is_secret(path: Path) -> bool:
    """Whether a name on the way says that there is a credential."""
    return any(_SECRET.fullmatch(_HUMP.sub("_", name)) for name in path)


def _without_query(text: str) -> str:
    """A URL, a Referer for example, without its query, fragment and user."""
    if "?" not in text and "#" not in text and "@" not in text:
        return text
    if "://" in text or text.startswith("//"):
        text = _USER.sub("", text)
    elif not text.startswith("/"):
        return text
    return text.partition("#")[0].partition("?")[0]


def resource_id(text: str) -> str:
    """A resource's id without the query string that one of another kind than a path can have."""
    return _without_query(text)


def text_or_none(value: Any) -> str | None:
    """A text that is not empty; None for all else that a fact can be."""
    return value or None if isinstance(value, str) else None


def encode(record: msgspec.Struct) -> bytes:
    """One line: what a terminal or a reader of lines could misread is escaped.

    What looks like a signed token is left out, wherever somebody put it.
    """
    try:
        line = _ENCODER.encode(record)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, which JSON can spell
        line = _ENCODER.encode(_whole(msgspec.to_builtins(record)))
    return (_harmless(line) if _is_odd(line) else line) + b"\n"


def encode_plain(records: Sequence[Any]) -> list[bytes] | None:
    """The line of each, in hardly more time than that of one; None if there is an odd one."""
    try:
        text = _ENCODER.encode_lines(records)
    except (UnicodeEncodeError, OverflowError):
        return None
    return None if _is_odd(text) else text.splitlines(keepends=True)


def _is_odd(text: bytes) -> bool:
    """Whether something could have to be escaped in this, or left out of it."""
    return b"eyJ" in text or b"\x7f" in text or not text.isascii()


def _harmless(line: bytes) -> bytes:
    if b"eyJ" in line:
        line = _TOKEN.sub(b"[token]", line)
    if b"\x7f" in line or not line.isascii():
        text = line.decode()
        if _UNSAFE.search(text):
            line = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
    return line


_ENCODER: Final = msgspec.json.Encoder()


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_whole(key): _whole(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
