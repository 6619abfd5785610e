"""Who holds a role: `g` rows the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdp.policy.roles import MAX_EDGES, RoleGraph

Holders = Mapping[str, Mapping[str, tuple[str, ...]]]  # domain, role, members


def turned(graph: RoleGraph) -> Holders:
    """The members of each role, domain by domain."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for domain, links in graph.links.items():
        members: dict[str, list[str]] = {}
        for member, roles in links.items():
            for role in roles:
                members.setdefault(role, []).append(member)
        found[domain] = {role: tuple(members.pop(role)) for role in list(members)}
    return found


def holders(turned_: Holders, roles: Iterable[str], domain: str | None) -> set[str]:
    """Every name within nine edges of one of the roles, themselves included.

    With a domain of None that is any one of them, the same for all edges.
    """
    start = set(roles)
    found = set(start)
    for members in turned_.values() if domain is None else [turned_.get(domain, {})]:
        reached, level = set(start), start
        for _ in range(MAX_EDGES):
            level = {m for role in level for m in members.get(role, ())} - reached
            if not level:
                break
            reached |= level
        found |= reached
    return found


def graph_weight(graph: RoleGraph) -> int:
    """How many names its rows have."""
    return sum(len(links) for links in graph.links.values())
