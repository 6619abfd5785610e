"""Names that are patterns, and which of them match: for roles and domains of `g` rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pdp.gently import gently
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.regex import Match

_STAR: Final = re.compile(r"\*")
_PATH: Final = re.compile(r"[.^$*+?{}\[\]\\|():]")
_REGEX: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
# A name without these matches itself alone. Of other functions every name is a pattern:
# regexMatch reads a beginning, keyMatch5 cuts the value, wcmatch and addresses have variants.
_SIGNS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {"keyMatch": _STAR, "keyMatch2": _PATH, "keyMatch3": _REGEX, "keyMatch4": _REGEX}
)
# Before the first of these stands what every match begins with; but see `_prefix`.
_ENDS: Final = MappingProxyType({**_SIGNS, "keyMatch5": _REGEX, "regexMatch": _REGEX})


def is_pattern(function: str, name: str) -> bool:
    """Whether `name` could match another name; one that does not compile matches none."""
    signs = _SIGNS.get(function)
    return signs is None or signs.search(name) is not None


def _prefix(function: str, pattern: str) -> str:
    """Text that whatever `pattern` matches begins with."""
    ends = _ENDS.get(function)
    body = pattern.removeprefix("^") if function == "regexMatch" else pattern
    found = ends.search(body) if ends else None
    if found is None:
        return body if ends else ""
    if ends is _STAR:
        return body[: found.start()]
    if "|" in body:
        return ""
    optional = found.group() in "*?{"  # the sign says how often the character before it comes
    return body[: max(0, found.start() - optional)]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Names that are patterns, in order; asking which match tries those with a fitting beginning.

    `groups` holds them by their beginnings, `lengths` how long those are, the shortest first.
    """

    all: Mapping[str, Match] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lengths: Sequence[int] = ()

    def matching(self, name: object) -> Iterator[str]:
        """The patterns that match; what is no text matches none."""
        if isinstance(name, str):
            for length in self.lengths:
                if length > len(name):
                    return
                for pattern in self.groups.get(name[:length], ()):
                    if matches(self.all[pattern], name):
                        yield pattern


def patterns_among(function: str | None, names: Iterable[str]) -> Patterns:
    """Those of `names` that are patterns, compiled; without a function there are none."""
    found: dict[str, Match] = {}
    groups: dict[str, list[str]] = {}
    for name in gently(names) if function else ():
        if function and name not in found and is_pattern(function, name):
            try:
                found[name] = PATTERN_FUNCTIONS[function](name)
            except ValueError:  # as in Casbin, such a name is itself and nothing else
                continue
            groups.setdefault(_prefix(function, name), []).append(name)
    return Patterns(found, groups, sorted({len(prefix) for prefix in groups}))


def matches(match: Match, name: object) -> bool:
    """Whether text matches; what is no text, or raises, does not."""
    try:
        return isinstance(name, str) and match(name)
    except ValueError:
        return False
