"""Draws questions from what a policy itself says, for `pdp bench`.

A question is made of one row: of a column that the matcher compares with part of the request, that
part gets a value which the row accepts. What the row leaves open comes from other layers, or is
made up; every fourth question names a subject or a resource that the policy has never heard of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from pdp.cli.pattern_values import VALUES, segment
from pdp.model import (
    ANONYMOUS,
    ANONYMOUS_ID,
    RESOURCE_TYPE,
    SUBJECT_TYPE,
    Action,
    Entity,
    Identity,
    Method,
    Query,
)
from pdp.policy.matcher.syntax import parse_expression
from pdp.policy.roles import MAX_EDGES
from pdp.policy.shape import LayerText
from pdp.policy.template import DEFAULTS

MOST_ROWS: Final = 50_000  # of a layer that are drawn from, themselves drawn at random
_REFERENCE = re.compile(r"\{([^{}]*)\}")
_SUBJECT, _RESOURCE, _ACTION, _IP = "subject.id", "resource.id", "action.name", "context.ip"
_ROLE: Final = "subject.roles"  # no reference of a template: what the credential would assert

Wishes = dict[str, str]  # a reference such as `context.ip`, and the value it shall have
Question = tuple[Query, Identity]


@dataclass(frozen=True, slots=True)
class Atom:
    """What a matcher asks of one request path and one column: `==`, a function, or a role."""

    path: tuple[str, ...]
    asks: str
    column: int
    domain: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One layer to draw from; `members` maps a role definition and a role to rows of it.

    `roles` are the names that rules ask for as roles, or that have members.
    """

    rows: Sequence[tuple[str, ...]]
    atoms: Sequence[Atom]
    templates: Mapping[str, str]
    members: Mapping[tuple[str, str], Sequence[tuple[str, ...]]]
    roles: frozenset[str]
    guard: bool

    def wishes(self, rng: Random) -> Wishes:
        """What a request must hold for a random row to match, as far as that can be told."""
        row, wished = rng.choice(self.rows), Wishes()
        for atom in self.atoms:
            value = row[atom.column]
            if atom.asks in VALUES:
                made = VALUES[atom.asks](value, rng)
                wished |= {} if made is None else self._fill(atom.path, made)
            else:
                wished |= self._holder(atom, value, rng)
        return wished

    def _holder(self, atom: Atom, role: str, rng: Random) -> Wishes:
        """Somebody who holds the role, by rows or because the credential says so."""
        name, domain = role, ""
        for _ in range(MAX_EDGES):
            if (atom.asks, name) not in self.members:
                break
            name, _role, *of = rng.choice(self.members[atom.asks, name])
            domain = of[0] if of else ""
        wished = self._fill(atom.domain, domain) if atom.domain and domain else {}
        named = self._fill(atom.path, name)
        is_role = name in self.roles and name != ANONYMOUS_ID and _SUBJECT in named
        return {**wished, _ROLE: name} if is_role else {**wished, **named}

    def _fill(self, path: tuple[str, ...], value: str) -> Wishes:
        """The references that give the request path this value; none, if it cannot have it."""
        token, *rest = path
        template = self.templates.get(token)
        if template is None:
            return {".".join(path): value}
        references = _REFERENCE.findall(template)
        if rest:
            root = references[0].split(".")[0] if references else ""
            inner = references[0] if root == "context" else f"{root}.properties"
            return {".".join((inner, *rest)): value}
        literal = _REFERENCE.split(template)[::2]
        found = re.fullmatch("(.+)".join(map(re.escape, literal)), value)
        return dict(zip(references, found.groups(), strict=True)) if found else {}


def read_source(text: LayerText, rng: Random) -> Source:
    """What can be drawn from a layer."""
    definition, members = text.definition("m"), dict[tuple[str, str], list[tuple[str, ...]]]()
    tree = parse_expression(definition, text.model.file)[0] if definition else None
    for row in text.policy.rows:
        if row.ptype in text.roles:
            members.setdefault((row.ptype, row.values[1]), []).append(row.values)
    atoms = [] if tree is None else _atoms(tree.tree, text)
    rules = [row.values for row in text.rules]
    places = [atom.column for atom in atoms if atom.asks in text.roles]
    return Source(
        rows=rules if len(rules) <= MOST_ROWS else rng.sample(rules, MOST_ROWS),
        atoms=atoms,
        templates={t: text.settings.request.get(t, DEFAULTS.get(t, "")) for t in text.tokens},
        members=members,
        roles=frozenset(row[place] for row in rules for place in places).union(
            role for _, role in members
        ),
        guard=text.settings.kind == "guard",
    )


def _atoms(tree: ast.expr, text: LayerText) -> list[Atom]:
    """Every comparison for equality and every call of a request path with a column."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq):
            left, right = node.left, node.comparators[0]
            found += [_atom("==", [left, right], text), _atom("==", [right, left], text)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.append(_atom(node.func.id, node.args, text))
    return [atom for atom in found if atom]


def _atom(asks: str, arguments: Sequence[ast.expr], text: LayerText) -> Atom | None:
    suffix = text.settings.section
    paths = [tuple(ast.unparse(argument).split(".")) for argument in arguments]
    known = asks in VALUES or asks in text.roles
    if not known or len(paths) < 2 or paths[0][0] != f"r{suffix}" or len(paths[0]) == 1:  # noqa: PLR2004
        return None
    root, *names = paths[1]
    if root != f"p{suffix}" or len(names) != 1 or names[0] not in text.columns:
        return None
    of = paths[2] if len(paths) > 2 and paths[2][0] == f"r{suffix}" else ()  # noqa: PLR2004
    return Atom(paths[0][1:], asks, text.columns.index(names[0]), of[1:] or None)


def draw(sources: Sequence[Source], rng: Random) -> Question:
    """One question; `sources` are those that have rows, and may be none."""
    wished = Wishes()
    # Every row of a grant is as likely to begin with; guards mostly hold what they refuse.
    order = sorted(sources, key=lambda s: (s.guard, -(rng.random() ** (1 / len(s.rows)))))
    for number, source in enumerate(order):
        if rng.random() < (0.25 if source.guard or number else 1.0):
            wished = {**source.wishes(rng), **wished}
    if rng.random() < 0.25:  # noqa: PLR2004
        unheard = {_SUBJECT: f"nobody-{segment(rng)}", _RESOURCE: f"/nowhere/{segment(rng)}"}
        place = rng.choice((_SUBJECT, _RESOURCE))
        wished[place] = unheard[place]
    return _question(wished, rng)


def _question(wished: Wishes, rng: Random) -> Question:
    values = {
        _SUBJECT: f"somebody-{segment(rng)}",
        _RESOURCE: f"/{segment(rng)}",
        _ACTION: "GET",
        _IP: f"198.18.{rng.randrange(256)}.{rng.randrange(256)}",
        **wished,
    }
    resource = Entity(
        values.get("resource.type", RESOURCE_TYPE),
        values[_RESOURCE],
        _properties(values, "resource.properties."),
    )
    action = Action(values[_ACTION], _properties(values, "action.properties."))
    query = Query(action, resource, _properties(values, "context."))
    if values[_SUBJECT] == ANONYMOUS_ID:
        return query, ANONYMOUS
    return query, Identity(
        values[_SUBJECT],
        values.get("subject.type", SUBJECT_TYPE),
        Method.BEARER,
        _properties(values, "subject.properties."),
        roles=(values[_ROLE],) if _ROLE in values else (),
    )


def _properties(values: Wishes, prefix: str) -> dict[str, Any]:
    """What is below a prefix, nested as the dots say."""
    found: dict[str, Any] = {}
    for reference, value in values.items():
        if reference.startswith(prefix):
            *outer, last = reference.removeprefix(prefix).split(".")
            place = found
            for name in outer:
                inner = place.setdefault(name, {})
                place = inner if isinstance(inner, dict) else {}
            place[last] = value
    return found
