"""Who holds which roles: closures over `g` rows, as Casbin's role manager answers them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

WITH_DOMAIN = (3,)  # `g = _, _, _`: the third place is a domain
MAX_EDGES = 9  # Casbin's max_hierarchy_level of 10 counts the names on the way, not the edges

Links = Mapping[str, Sequence[str]]
_NO_LINKS: Links = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RoleGraph:
    """The `g` rows of one role definition; `links` maps a domain ("" without) to its edges."""

    has_domain: bool
    links: Mapping[str, Links]
    lines: Mapping[tuple[str, str, str], int]  # (domain, member, role) to the row's line

    def reach(self, name: str, domain: str, asserted: Iterable[str] = ()) -> Mapping[str, str]:
        """Every role within nine edges of `name`, mapped to whom it is inherited from.

        `asserted` are roles that a credential gives `name` for this request, as if they were
        rows. `name` itself is included (`g(x, x)` is true), mapped to an empty string.
        """
        links = self.links.get(domain, _NO_LINKS)
        found = {name: ""}
        queue = deque([(name, 0)])
        while queue:
            member, edges = queue.popleft()
            if edges == MAX_EDGES:
                continue
            roles = links.get(member, ())
            for role in (*roles, *asserted) if member == name else roles:
                if role not in found:
                    found[role] = member
                    queue.append((role, edges + 1))
        return found

    def path(self, name: str, role: str, domain: str, asserted: Iterable[str] = ()) -> list[str]:
        """The shortest chain from `name` to `role`, both included; empty if there is none."""
        found = self.reach(name, domain, asserted)
        if role not in found:
            return []
        chain = [role]
        while chain[-1] != name:
            chain.append(found[chain[-1]])
        return chain[::-1]

    def names(self) -> frozenset[str]:
        """Every name that stands on the right-hand side of a row: the roles."""
        return frozenset(role for _, _, role in self.lines)


def build_graph(rows: Iterable[tuple[tuple[str, ...], int]], *, has_domain: bool) -> RoleGraph:
    """A graph from (values, line) pairs; values are member, role and, if so, domain."""
    links: dict[str, dict[str, list[str]]] = {}
    lines: dict[tuple[str, str, str], int] = {}
    for values, line in rows:
        member, role, domain = values[0], values[1], values[2] if has_domain else ""
        links.setdefault(domain, {}).setdefault(member, []).append(role)
        lines.setdefault((domain, member, role), line)
    return RoleGraph(has_domain, links, lines)
