"""Users and the hashes of their passwords, as Apache's `htpasswd` writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pdp.errors import Problem, Severity, Unusable
from pdp.identity.hashes import Work, work_of
from pdp.identity.lines import read_rows
from pdp.identity.text import is_name
from pdp.model import ANONYMOUS_ID

_WORK_OF_NOBODY: Final = Work("$2b$12$", 16, 23)
_NAMES: Final = (
    f"up to 255 characters, no control characters, no blanks around, no `{ANONYMOUS_ID}`"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A hash, and what verifying it takes."""

    encoded: str = field(repr=False)
    work: Work


@dataclass(frozen=True, slots=True)
class Users:
    """Who has which hash; never changed, only replaced. Its repr names nobody."""

    rows: Mapping[str, Row] = field(default_factory=dict, repr=False)
    _works: tuple[Work, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        works = tuple(sorted(row.work for row in self.rows.values()))
        object.__setattr__(self, "_works", works or (_WORK_OF_NOBODY,))

    def find(self, name: str) -> str | None:
        """The hash of this user; None if there is no such user."""
        row = self.rows.get(name)
        return None if row is None else row.encoded

    def decoy(self, name: str, key: bytes) -> str:
        """What to verify a password against for a name that is nobody's.

        It takes the work of some row, each as likely as another, and the same one every time. Its
        salt is the name's own, as every user's is. `key` is secret, and up to 64 bytes long.
        """
        seed = hashlib.blake2b(name.encode(), key=key).digest()
        return self._works[int.from_bytes(seed, "big") % len(self._works)].decoy(seed)

    def __and__(self, other: Users) -> Users:
        """The users whose hash is the same in both."""
        return Users({n: row for n, row in self.rows.items() if other.rows.get(n) == row})

    @property
    def size(self) -> int:
        """How many users there are."""
        return len(self.rows)


def read_users(data: bytes, file: str) -> tuple[Users, list[Problem]]:
    """The users of a file, and everything wrong with it; nothing is raised.

    `row = name ":" hash`; the rest is `read_rows`'s. The users of good rows are returned beside
    the problems; a name that occurs twice is nobody's. Problems quote nothing.
    """
    found = _Found()
    help_ = "where there are no users, write a comment line, or remove [authentication.basic]"
    problems = read_rows(data, file, found.row, help_)
    return Users(MappingProxyType(found.rows)), [*problems, *found.mixed(file)]


class _Found:
    """What a file was found to say so far."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}  # where each name occurs first
        self.rows: dict[str, Row] = {}

    def row(self, number: int, text: str) -> None:
        name, colon, encoded = text.partition(":")
        if not colon:
            raise Unusable("short-row", "has no colon", "write `name:hash`")
        if not is_name(name) or name != name.strip() or name == ANONYMOUS_ID:
            raise Unusable("bad-name", "holds a name that no user may have", _NAMES)
        first = self.lines.setdefault(name, number)
        if first != number:
            self.rows.pop(name, None)
            help_ = "keep one of the rows; until then neither counts"
            raise Unusable("duplicate-name", f"names the user that line {first} names, too", help_)
        encoded = encoded.strip()
        self.rows[name] = Row(encoded, work_of(encoded))

    def mixed(self, file: str) -> list[Problem]:
        """A warning for the first row, if any, whose hash takes other work than those above."""
        first = next(iter(self.rows.values()), None)
        for name, row in self.rows.items():
            if first is not None and row.work.prefix != first.work.prefix:
                message = "is hashed at another cost than rows above: time tells users apart"
                help_ = "give all rows one algorithm and cost; new hashes take new passwords"
                where, code = self.lines[name], "mixed-costs"
                return [Problem(file, where, code, message, help_, Severity.WARNING)]
        return []
