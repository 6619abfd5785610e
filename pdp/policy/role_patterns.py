"""Role graphs whose names or domains are patterns: Casbin's matching functions of `g` rows.

A row gives its role to every name that matches its member, in every domain that matches its
domain; whoever holds a role that is a pattern holds every role that matches it, one step further.
A name that a request brings is only ever text, never a pattern, even where a row spells it alike.
What is held is held by a freshly built pycasbin enforcer, too, in every order of the rows. Left out
is what it gives by chance: to a name that matches a role the other names that match it, and to
those who match a pattern what the pattern's own text matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pdp.gently import gently
from pdp.policy.matcher.regex import Match
from pdp.policy.name_patterns import Patterns, matches, patterns_among
from pdp.policy.roles import MAX_EDGES, Links, RoleGraph, Rows, build_graph, collect


@dataclass(frozen=True, slots=True)
class _Domain:
    """The rows of one domain: their names, and the members that are patterns."""

    names: Mapping[str, None]
    members: Patterns


class Reached(dict[str, str]):
    """Roles and whom they come from; those that only match a held pattern are found, not listed."""

    __slots__ = ("held",)
    held: dict[str, tuple[Match, str]]  # a pattern, and who has it

    def __missing__(self, role: str) -> str:
        for match, holder in self.held.values():
            if matches(match, role):
                return holder
        raise KeyError(role)

    def __contains__(self, role: object) -> bool:
        return super().__contains__(role) or any(
            matches(match, role) for match, _ in self.held.values()
        )


@dataclass(frozen=True, slots=True, eq=False)
class PatternGraph(RoleGraph):
    """A role graph with matching functions: the same questions, answered with patterns.

    `targets` are the names of rows that match a role. The work of a question is bounded by the
    names that it reaches times the patterns there are.
    """

    domains: Mapping[str, _Domain] = field(default_factory=dict)
    domain_patterns: Patterns = field(default_factory=Patterns)
    role_patterns: Patterns = field(default_factory=Patterns)
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def listed(self) -> bool:
        """Only where no role is a pattern: those match names without end."""
        return not self.role_patterns.all

    def reach(self, name: str, domain: str, asserted: Iterable[str] = ()) -> Mapping[str, str]:
        """As of any graph, but iterating leaves out roles that only match a held pattern."""
        key = (name, domain, tuple(asserted))
        known = self.closures.kept.get(key)
        if known is None:
            known = self._walk(*key)
            self.closures.keep(key, known)
        return known

    def roles(self, name: str, domain: str, asserted: Sequence[str] = ()) -> tuple[str, ...]:
        """As of any graph, from what `reach` lists."""
        return tuple(sorted(role for role in self.reach(name, domain, asserted) if role != name))

    def line(self, domain: str, member: str, role: str) -> int | None:
        """The line of a row that gives `member` this role there, rows that name both first."""
        wanted = {role: None} | dict.fromkeys(self.role_patterns.matching(role))
        domains = list(self._domains(domain))
        for given in wanted:
            for of in domains:
                for row in self._hereof(of, member):
                    if (line := RoleGraph.line(self, of, row, given)) is not None:
                        return line
        return None

    def matches_role(self, name: str, /) -> bool:
        """Whether an id could be taken for a role that a pattern gives."""
        return any(True for _ in self.role_patterns.matching(name))

    def _domains(self, domain: str) -> Iterator[str]:
        """The domains whose rows count in one that a request names."""
        if domain in self.links and domain not in self.domain_patterns.all:
            yield domain
        yield from self.domain_patterns.matching(domain)

    def _hereof(self, domain: str, name: str, *, asked: bool = False) -> Iterator[str]:
        """The members whose rows are `name`'s; one that is `asked` for must match a pattern."""
        members = self.domains[domain].members
        if not (asked and name in members.all):
            yield name
        yield from (row for row in members.matching(name) if asked or row != name)

    def _walk(self, name: str, domain: str, asserted: tuple[str, ...]) -> Reached:
        domains, given = tuple(self._domains(domain)), {name, *asserted}
        found, patterns = Reached({name: ""}), self.role_patterns.all
        found.held = {}
        level, matching = [name], list[tuple[str, str]]()
        for edges in range(1, MAX_EDGES + 1):
            steps, matching = matching, []
            for member in level:
                for role in self._roles(domains, member, asked=member in given):
                    steps.append((role, member))
                    if role in patterns and role not in found.held and edges < MAX_EDGES:
                        found.held[role] = patterns[role], member
                        matching += [(t, member) for t in self._targets(domains, role)]
            steps += [(role, name) for role in asserted] if edges == 1 else []
            level = []
            for role, member in steps:
                if not dict.__contains__(found, role):
                    found[role] = member
                    level.append(role)
            if not level and not matching:
                break
        return found

    def _roles(self, domains: Iterable[str], member: str, *, asked: bool) -> Iterator[str]:
        for domain in domains:
            links = self.links[domain]
            for row in self._hereof(domain, member, asked=asked):
                yield from links.get(row, ())

    def _targets(self, domains: Iterable[str], role: str) -> Iterator[str]:
        """The names that match a role, where rows that count name them."""
        for name in self.targets[role]:
            if any(name in self.domains[domain].names for domain in domains):
                yield name


def build_roles(
    rows: Rows, *, has_domain: bool, match: str | None = None, match_domain: str | None = None
) -> RoleGraph:
    """A graph as `build_graph` makes it, with the matching functions of names and of domains."""
    if match is None and match_domain is None:
        return build_graph(rows, has_domain=has_domain)
    links, lines = collect(rows, has_domain=has_domain)
    domains = {of: _Domain(_names(here), patterns_among(match, here)) for of, here in links.items()}
    roles = (r for here in links.values() for held in here.values() for r in held)
    role_patterns = patterns_among(match, roles)
    names = dict.fromkeys(name for domain in domains.values() for name in gently(domain.names))
    return PatternGraph(
        has_domain,
        links,
        lines,
        domains=domains,
        domain_patterns=patterns_among(match_domain, links),
        role_patterns=role_patterns,
        targets={
            role: tuple(
                name for name in gently(names) if name != role and matches(match_role, name)
            )
            for role, match_role in role_patterns.all.items()
        },
    )


def _names(links: Links) -> Mapping[str, None]:
    """Every name of some rows, in an order that is the same each time."""
    return dict.fromkeys(n for member, roles in gently(links.items()) for n in (member, *roles))
