"""A question with one part open: what is not known of it is unknown, in Kleene's sense.

Whatever a matcher reads of the open part raises `Unknown`, but for its type: what is false all the
same is false for every candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from msgspec.structs import replace

from pdp.policy.facts import Facts, Known, Source, Unknown
from pdp.policy.template import Template

_ID: Final = "\x00id\x00"  # no control character gets past the edge
_TYPE: Final = "\x00type\x00"


@dataclass(frozen=True, slots=True)
class _Open:
    """What stands where an entity is open."""

    type: str

    @property
    def id(self) -> NoReturn:
        raise Unknown

    def property(self, _name: str) -> NoReturn:
        raise Unknown


def opened(facts: Facts, source: Source, type_: str) -> Facts:
    """The same facts with one part open, of which only the type is known."""
    return _with(facts, source, cast(Known, _Open(type_)))


def _with(facts: Facts, source: Source, known: Known) -> Facts:
    return replace(facts, **{str(source): known}, kept={})


@dataclass(frozen=True, slots=True)
class Naming:
    """How a token is made of the id of the open part: what stands before it and behind.

    `typed` tells that the type is in there, too.
    """

    before: str = ""
    behind: str = ""
    typed: bool = False

    def id_of(self, name: str) -> str | None:
        """The id that a token's text names, if it names one."""
        before, behind = self.before, self.behind
        if not before and not behind:
            return name
        whole = len(name) >= len(before) + len(behind)
        if not whole or not name.startswith(before) or not name.endswith(behind):
            return None
        return name[len(before) : len(name) - len(behind)]

    def name_of(self, id_: str) -> str:
        """The token's text for an id."""
        return f"{self.before}{id_}{self.behind}"


PLAIN: Final = Naming()


def naming_of(template: Template, facts: Facts, source: Source) -> Naming | None:
    """How a template names the open part, with all else as it is in `facts`; None if it does not.

    It must hold the id, once, and no property: of those a candidate can have any.
    """
    if template.depends <= {source} and template.path:
        return PLAIN if template.path in (f"{source}.id", f"{source}.name") else None
    type_ = getattr(facts, source).type
    text = _rendered(template, facts, source, type_)
    if text is None or text.count(_ID) != 1:
        return None
    before, _, behind = text.partition(_ID)
    typed = _rendered(template, facts, source, _TYPE) != text
    return Naming(before, behind, typed)


def _rendered(template: Template, facts: Facts, source: Source, type_: str) -> str | None:
    value: Any = template.render(_with(facts, source, Known(type_, _ID)))
    return value if isinstance(value, str) else None
