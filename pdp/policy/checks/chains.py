"""Finds chains of roles that Casbin does not follow to their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pdp.gently import gently
from pdp.policy.roles import MAX_EDGES
from pdp.policy.text import Row

Name = tuple[str, str]  # (domain, name)
Parents = Mapping[Name, Sequence[Row]]


def too_deep(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Whoever is nobody's role, with the first row beyond Casbin's bound on the shortest way.

    A search is made only where a chain is long enough, and once for all who have the same roles.
    """
    long = {_member(row) for row in gently(_long(rows))}
    if not long:
        return
    parents: dict[Name, list[Row]] = {}
    for row in gently(rows):
        parents.setdefault(_member(row), []).append(row)
    roles = {_role(row) for row in gently(rows)}
    found: dict[tuple[Name, ...], Row | None] = {}
    for start, links in gently(parents.items()):
        if start in long and start not in roles:
            held = tuple(dict.fromkeys(map(_role, links)))
            if held not in found:
                found[held] = _beyond(parents, held)
            if beyond := found[held]:
                yield start[1], beyond


def _long(rows: Sequence[Row]) -> Sequence[Row]:
    """All rows that a chain of more edges than the bound begins with, and perhaps others.

    Each round leaves out the rows that lead no further. Domains are not told apart, which can
    only make chains longer.
    """
    for _ in range(MAX_EDGES):
        members = {row.values[0] for row in gently(rows)}
        rows = [row for row in gently(rows) if row.values[1] in members]
    return rows


def _beyond(parents: Parents, held: Sequence[Name]) -> Row | None:
    """The first row that leads out of the bound on the shortest way from who holds `held`."""
    seen, level = set(held), list(held)
    fresh: list[Row] = []
    for _ in range(MAX_EDGES):
        rows = [row for name in level for row in parents.get(name, ())]
        fresh = [row for row in rows if _role(row) not in seen]
        level = list(dict.fromkeys(map(_role, fresh)))
        seen.update(level)
    return fresh[0] if fresh else None


def _member(row: Row) -> Name:
    return _domain(row), row.values[0]


def _role(row: Row) -> Name:
    return _domain(row), row.values[1]


def _domain(row: Row) -> str:
    return row.values[2] if len(row.values) > len(("member", "role")) else ""
