"""The order in which rules are judged, where the effect or a `priority` field sets one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pdp.policy.shape import LayerText
from pdp.policy.text import Row

Name = tuple[str, str]  # (domain, name)


class RoleCycle(ValueError):
    """The `g` rows go round, so that nobody is at the bottom of the hierarchy."""


def by_priority(text: LayerText, rows: Sequence[Row]) -> list[Row]:
    """Rules with the smallest `priority` first; rules that share one stay as they stand."""
    return sorted(rows, key=lambda row: int(text.column(row, "priority") or 0))


def by_subject_depth(text: LayerText, rows: Sequence[Row]) -> list[Row]:
    """Rules of the most specific subjects first, as Casbin's subjectPriority sorts them."""
    depths = subject_depths(row.values for row in text.policy.rows if row.ptype == "g")
    return sorted(
        rows, key=lambda row: depths.get((text.column(row, "dom") or "", row.values[0]), 0)
    )


def subject_depths(links: Iterable[Sequence[str]]) -> Mapping[Name, int]:
    """How far each name is from those that are nobody's role; RoleCycle if that never ends.

    The same rounds as pycasbin's `get_subject_hierarchy_map`: a round takes all names that are
    no role of a name still left.
    """
    edges = [(_name(link, 0), _name(link, 1)) for link in links]
    left = {name for edge in edges for name in edge}
    depths: dict[Name, int] = {}
    depth = 0
    while edges:
        taken = left - {role for _, role in edges}
        if not taken:
            raise RoleCycle
        depths.update(dict.fromkeys(taken, depth))
        edges = [edge for edge in edges if edge[0] not in taken]
        left -= taken
        depth += 1
    depths.update(dict.fromkeys(left, depth))
    return depths


def _name(link: Sequence[str], place: int) -> Name:
    return (link[2] if len(link) > len(("member", "role")) else "", link[place])
