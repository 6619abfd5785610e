"""Who holds which roles: closures over `g` rows, as Casbin's role manager answers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Final

from pdp.gently import gently, step

WITH_DOMAIN = (3,)  # `g = _, _, _`: the third place is a domain
MAX_EDGES = 9  # Casbin's max_hierarchy_level of 10 counts the names on the way, not the edges
COSTLY: Final = 16  # a closure of more names is kept
MOST_KEPT: Final = 1 << 16  # names, in all closures of one graph that are kept
_LONGEST: Final = 512  # characters of a name to keep: these come from requests
_OVERHEAD: Final = 8  # a closure takes as much memory as so many names more

Links = Mapping[str, tuple[str, ...]]  # a member's roles, as its rows stand
Lines = Mapping[str, tuple[int, ...]]  # and the line of each
Rows = Iterable[tuple[tuple[str, ...], int]]
_NO_LINKS: Links = MappingProxyType({})
_NO_LINES: Lines = MappingProxyType({})
_Key = tuple[str, str, tuple[str, ...]]  # name, domain, asserted roles


@dataclass(slots=True, eq=False)
class Closures:
    """Closures that were costly to find, the oldest dropped first.

    INVARIANT: all of them together hold at most `most` names. Looking one up takes no lock.
    """

    most: int = MOST_KEPT
    names: int = 0
    kept: dict[_Key, Mapping[str, str]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def keep(self, key: _Key, found: Mapping[str, str]) -> None:
        """Remember a closure, unless it or its key is too large."""
        given = (key[0], key[1], *key[2])
        size = _size(key, found)
        if size > self.most or any(type(n) is not str or len(n) > _LONGEST for n in given):
            return
        with self.lock:
            if key in self.kept:
                return
            self.names += size
            while self.names > self.most:
                oldest = next(iter(self.kept))
                self.names -= _size(oldest, self.kept.pop(oldest))
            self.kept[key] = found


def _size(key: _Key, found: Mapping[str, str]) -> int:
    return len(found) + len(key[2]) + _OVERHEAD


@dataclass(frozen=True, slots=True, eq=False)
class RoleGraph:
    """The `g` rows of one role definition; the domain of rows without one is "".

    `links` and `lines` map a domain to its members, and each member to its roles and to the
    lines that say so. What was asked for is forgotten, but for a bounded number of closures.
    """

    has_domain: bool
    links: Mapping[str, Links]
    lines: Mapping[str, Lines]
    closures: Closures = field(default_factory=Closures)
    inherited: Closures = field(default_factory=Closures)  # by the roles that rows give

    @property
    def listed(self) -> bool:
        """Whether iterating over a closure finds every role that `in` finds."""
        return True

    def reach(self, name: str, domain: str, asserted: Iterable[str] = ()) -> Mapping[str, str]:
        """Every role within nine edges of `name`, mapped to whom it is inherited from.

        `asserted` are roles that a credential gives `name` for this request, as if they were
        rows. `name` itself is included (`g(x, x)` is true), mapped to an empty string. The
        result is shared and must not be changed.
        """
        given = tuple(asserted) if asserted else ()
        kept = self.closures.kept
        if kept and (known := kept.get((name, domain, given))) is not None:
            return known
        links = self.links.get(domain, _NO_LINKS)
        level = links.get(name, ())
        if given:
            level += given
        found = dict.fromkeys(level, name)
        found[name] = ""
        for role in level:
            if role in links:
                _climb(links, level, found)
                break
        if len(found) > COSTLY:
            self.closures.keep((name, domain, given), found)
        return found

    def roles(self, name: str, domain: str, asserted: Sequence[str] = ()) -> tuple[str, ...]:
        """The roles that `reach` finds, without `name` itself, sorted.

        They are found once for all to whom rows give the same roles.
        """
        here = self.links.get(domain, _NO_LINKS)
        level = (*here.get(name, ()), *asserted)
        if not level:
            return ()
        key = "", domain, level
        found = self.inherited.kept.get(key)
        if found is None:
            found = dict.fromkeys(level, "")
            _climb(here, level, found)
            found = dict.fromkeys(sorted(found), "")
            self.inherited.keep(key, found)
        return tuple([role for role in found if role != name] if name in found else found)

    def path(self, name: str, role: str, domain: str, asserted: Iterable[str] = ()) -> list[str]:
        """The shortest chain from `name` to `role`, both included; empty if there is none."""
        found = self.reach(name, domain, asserted)
        if role not in found:
            return []
        chain = [role]
        while chain[-1] != name:
            chain.append(found[chain[-1]])
        return chain[::-1]

    def line(self, domain: str, member: str, role: str) -> int | None:
        """The line of the first row that gives `member` this role there, or None."""
        roles = self.links.get(domain, _NO_LINKS).get(member, ())
        if role not in roles:
            return None
        return self.lines[domain][member][roles.index(role)]

    def matches_role(self, _name: str, /) -> bool:
        """Whether a name matches a role that is a pattern; roles spelt alike are `names()`."""
        return False

    def names(self) -> frozenset[str]:
        """Every name that stands on the right-hand side of a row: the roles."""
        return frozenset(
            role
            for links in self.links.values()
            for roles in gently(links.values())
            for role in roles
        )


def _climb(links: Links, level: Sequence[str], found: dict[str, str]) -> None:
    """Add to `found` what the roles of `level`, one edge from the start, inherit."""
    for _ in range(MAX_EDGES - 1):
        above = []
        for member in level:
            if member in links:
                for role in links[member]:
                    if role not in found:
                        found[role] = member
                        above.append(role)
        if not above:
            return
        level = above


def build_graph(rows: Rows, *, has_domain: bool) -> RoleGraph:
    """A graph from (values, line) pairs; values are member, role and, if so, domain."""
    links, lines = collect(rows, has_domain=has_domain)
    return RoleGraph(has_domain, links, lines)


def collect(rows: Rows, *, has_domain: bool) -> tuple[dict[str, Links], dict[str, Lines]]:
    """Roles and lines of all members, domain by domain, in the order of the rows."""
    links: dict[str, dict[str, tuple[str, ...]]] = {}
    lines: dict[str, dict[str, tuple[int, ...]]] = {}
    several: dict[tuple[str, str], tuple[list[str], list[int]]] = {}
    # Members of the same roles share them: what many have is at hand when one more is asked about.
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for values, line in gently(rows):
        member, role, domain = values[0], values[1], values[2] if has_domain else ""
        if domain not in links:
            links[domain], lines[domain] = {}, {}
        if member not in links[domain]:
            alone = (role,)
            links[domain][member] = shared.setdefault(alone, alone)
            lines[domain][member] = (line,)
            continue
        # Lists while they grow: a member with very many roles must not take quadratic time.
        if (domain, member) not in several:
            several[domain, member] = list(links[domain][member]), list(lines[domain][member])
        roles, at = several[domain, member]
        roles.append(role)
        at.append(line)
    while several:
        step()
        (domain, member), (roles, at) = several.popitem()
        together = tuple(roles)
        links[domain][member] = shared.setdefault(together, together)
        lines[domain][member] = tuple(at)
    return dict(links), dict(lines)
