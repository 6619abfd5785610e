"""Splits one line of a policy file at its commas, as Casbin does."""

from __future__ import annotations

import re

from pdp.gently import step

_STRUCTURE = re.compile(r"[,\[\]()]")
_SHARDS = 64


class OpenBracket(Exception):
    """A bracket's partner does not stand in the same field: commas are not what they seem."""


class Known:
    """The values of a file, each kept once, however often it occurs."""

    __slots__ = ("shards",)

    def __init__(self) -> None:
        # One large dictionary would keep all other threads waiting whenever it grows.
        self.shards: tuple[dict[str, str], ...] = tuple({} for _ in range(_SHARDS))

    def one(self, value: str) -> str:
        """The object that stands for all values like this one."""
        return self.shards[hash(value) % _SHARDS].setdefault(value, value)

    def forget(self) -> None:
        """Let go of all values, not in one go."""
        for shard in self.shards:
            step()
            shard.clear()


class Values(dict[str, str]):
    """What stands between two commas, to the value that it is.

    OpenBracket where the line has to be split as a whole.
    """

    __slots__ = ("_shards",)

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._shards = known.shards

    def __missing__(self, raw: str) -> str:
        if ("(" in raw or "[" in raw or ")" in raw or "]" in raw) and not split_fields(raw)[1]:
            raise OpenBracket
        value = raw.strip()
        value = self[raw] = self._shards[hash(value) % _SHARDS].setdefault(value, value)
        return value


def split_fields(line: str) -> tuple[list[str], bool]:
    """Split at the commas that stand outside all brackets, which Casbin does not tell apart.

    And whether every bracket is closed, and no other.
    """
    depth, start, fields, balanced = 0, 0, [], True
    for match in _STRUCTURE.finditer(line):
        sign = match.group()
        if sign in "[(":
            depth += 1
        elif sign in "])":
            balanced = balanced and depth > 0
            depth = max(0, depth - 1)
        elif not depth:
            fields.append(line[start : match.start()].strip())
            start = match.end()
    fields.append(line[start:].strip())
    return fields, balanced and not depth
