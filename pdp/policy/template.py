"""Templates that fill request tokens: `{subject.type}:{subject.id}` and the like.

template    = *( literal / "{" reference "}" )
reference   = "subject." ( "id" / "type" / property ) / "resource." ( … )
            / "action." ( "name" / property ) / "context." fact
property    = "properties." name
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from pdp.policy.facts import Facts, Known, Source, Unknown, step_into

DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sub": "{subject.id}",
        "obj": "{resource.id}",
        "act": "{action.name}",
        "dom": "{context.domain}",
        "ip": "{context.ip}",
    }
)
UNFILLED: Final = object()

Reference = Callable[[Facts], Any]
_PART = re.compile(r"\{([^{}]*)\}")
_KNOWN: Final[Mapping[str, Callable[[Facts], Known]]] = MappingProxyType(
    {
        "subject": lambda facts: facts.subject,
        "resource": lambda facts: facts.resource,
        "action": lambda facts: facts.action,
    }
)
_FIXED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"subject": ("id", "type"), "resource": ("id", "type"), "action": ("name",)}
)


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: what it gives for some facts, and what of the question it reads.

    `identifies` tells that the subject's id is a part of it. `path` leads from the facts to the
    value where that is always known, such as `subject.id`.
    """

    render: Reference
    depends: frozenset[Source]
    identifies: bool = False
    path: str | None = None

    @property
    def entity(self) -> Source | None:
        """The entity whose properties `r.token.x` reaches, where there is exactly one."""
        only = next(iter(self.depends)) if len(self.depends) == 1 else None
        return None if only is Source.CONTEXT else only


def _rendered(parts: tuple[str | Reference, ...]) -> Reference:
    """How a token is filled: with any value by a lone reference, else with text; or UNFILLED."""
    if len(parts) == 1 and not isinstance(parts[0], str):
        reference = parts[0]

        def alone(facts: Facts) -> Any:
            try:
                return reference(facts)
            except Unknown:
                return UNFILLED

        return alone

    def joined(facts: Facts) -> Any:
        try:
            return "".join(p if isinstance(p, str) else _text(p(facts)) for p in parts)
        except Unknown:
            return UNFILLED

    return joined


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Unknown


def compile_template(text: str) -> Template:
    """The template that `text` is; ValueError, saying what is wrong, if it is none."""
    parts: list[str | Reference] = []
    depends, identifies = set[Source](), False
    for index, piece in enumerate(_PART.split(text)):
        if index % 2:
            identifies |= piece == "subject.id"
            source, reference = compile_reference(piece.split("."))
            parts.append(reference)
            depends.add(source)
        elif "{" in piece or "}" in piece:
            raise ValueError("has a brace without its partner")
        elif piece:
            parts.append(piece)
    path = _path(text)
    render = attrgetter(path) if path else _rendered(tuple(parts))
    return Template(render, frozenset(depends), identifies, path)


def compile_reference(path: list[str]) -> tuple[Source, Reference]:
    """What `subject.id`, `context.ip` and their like read; ValueError if there is no such."""
    root, *rest = path
    if root not in Source.__members__.values():
        raise ValueError(f"`{root}` is none of subject, resource, action, context")
    if root == Source.CONTEXT:
        return Source.CONTEXT, _fact(rest)
    if len(rest) == 1 and rest[0] in _FIXED[root]:
        return Source(root), attrgetter(_place(root, rest[0]))
    if len(rest) > 1 and rest[0] == "properties":
        return Source(root), read_property(Source(root), rest[1:])
    fixed = ", ".join(f"`{root}.{name}`" for name in _FIXED[root])
    raise ValueError(f"`{'.'.join(path)}` is none of {fixed}, `{root}.properties.NAME`")


def _fact(path: list[str]) -> Reference:
    """The context fact at `path`, or the whole context."""
    if not path:
        return lambda facts: {**facts.context, "time": facts.time}
    name, *rest = path
    if name == "time":
        return lambda facts: reduce(step_into, rest, facts.time)

    def read(facts: Facts) -> Any:
        value = facts.context.get(name, UNFILLED)
        if value is UNFILLED:
            raise Unknown
        return reduce(step_into, rest, value) if rest else value

    return read


def _path(text: str) -> str | None:
    """Where the facts have what a template consists of, if that is one id, type or name."""
    found = _PART.fullmatch(text)
    source, _, name = found.group(1).partition(".") if found else ("", "", "")
    return _place(source, name) if name in _FIXED.get(source, ()) else None


def _place(source: str, name: str) -> str:
    return f"{source}.{'id' if name == 'name' else name}"


def read_property(source: Source, path: list[str]) -> Reference:
    """The property of the entity `source` at `path`, nested objects included."""
    known, (name, *rest) = _KNOWN[source], path
    if not rest:
        return lambda facts: known(facts).property(name)
    return lambda facts: reduce(step_into, rest, known(facts).property(name))
