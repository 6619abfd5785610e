"""The order in which rules are judged, where the effect or a `priority` field sets one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import merge

from pdp.gently import gently, take_apart
from pdp.policy.shape import LayerText
from pdp.policy.text import Row

Name = tuple[str, str]  # (domain, name)
_RUN = 1 << 12  # numbers that are sorted in one go


class RoleCycle(ValueError):
    """The `g` rows go round, so that nobody is at the bottom of the hierarchy."""


def by_priority(text: LayerText, rows: Sequence[Row]) -> list[Row]:
    """Rules with the smallest `priority` first; rules that share one stay as they stand."""
    return _by(rows, lambda row: int(text.column(row, "priority") or 0))


def by_subject_depth(text: LayerText, rows: Sequence[Row]) -> list[Row]:
    """Rules of the most specific subjects first, as Casbin's subjectPriority sorts them."""
    depths = subject_depths(row.values for row in text.policy.by_type.get("g", ()))
    return _by(rows, lambda row: depths.get((text.column(row, "dom") or "", row.values[0]), 0))


def _by(rows: Sequence[Row], rank: Callable[[Row], int]) -> list[Row]:
    """`sorted`, in steps that other threads get their turn between."""
    ranked: dict[int, list[Row]] = {}
    for row in gently(rows):
        ranked.setdefault(rank(row), []).append(row)
    ranks = list(ranked)
    runs = (sorted(ranks[i : i + _RUN]) for i in gently(range(0, len(ranks), _RUN)))
    return [row for rank in gently(merge(*runs)) for row in ranked.pop(rank)]


def subject_depths(links: Iterable[Sequence[str]]) -> Mapping[Name, int]:
    """How far each name is from those that are nobody's role; RoleCycle if that never ends.

    What the rounds of pycasbin's `get_subject_hierarchy_map` come to: a round takes all names
    that are no role of a name still left, so that a name's depth is its longest way down.
    """
    roles: dict[Name, list[Name]] = {}
    members: dict[Name, int] = {}  # how many are still left of each name
    for link in gently(links):
        member, role = _name(link, 0), _name(link, 1)
        roles.setdefault(member, []).append(role)
        roles.setdefault(role, [])
        members[role] = members.get(role, 0) + 1
    depths: dict[Name, int] = {}
    depth, level = 0, [name for name in gently(roles) if name not in members]
    while level:
        above: list[Name] = []
        for name in gently(level):
            depths[name] = depth
            for role in roles[name]:
                members[role] -= 1
                if not members[role]:
                    above.append(role)
        depth, level = depth + 1, above
    if len(depths) < len(roles):
        raise RoleCycle
    held = [roles, members]
    del roles, members
    take_apart(held)
    return depths


def _name(link: Sequence[str], place: int) -> Name:
    return (link[2] if len(link) > len(("member", "role")) else "", link[place])
