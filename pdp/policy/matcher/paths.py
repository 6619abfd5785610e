"""Path patterns that need no regular expression: texts, whole-segment names, a star at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

_TEXT: Final = r"[^\\.|+?*^$()\[\]{}%s]++"
_STAR: Final = r"(?:(?<=/)\*)?"
_COLON: Final = re.compile(rf"(?:{_TEXT % ':'}|(?<![^/]):[^/]+)*+{_STAR}")
_BRACES: Final = re.compile(
    rf"(?:{_TEXT % ''}|(?<![^/])\{{[^/{{}}]+\}}(?![^/]))*+{_STAR}",
)
# What a path pattern looks like, and what of it begins a name: text never does.
_FORMS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = MappingProxyType(
    {
        "keyMatch2": (_COLON.fullmatch, ":"),
        "keyMatch3": (_BRACES.fullmatch, "{"),
        "keyMatch4": (_BRACES.fullmatch, "{"),
        "keyMatch5": (_BRACES.fullmatch, "{"),
    }
)


class PathPattern(msgspec.Struct, frozen=True, gc=False):
    """A path by segments: a text, or None for a name; `open` tells that a star follows them.

    A name is one character or more, of any kind but a slash; the star anything without a newline.
    """

    literals: tuple[str | None, ...]
    open: bool

    def matches(self, value: Any) -> bool:
        """Whether a path matches; a newline at its end may be left out, as `$` has it."""
        return self._fits(value) or (value[-1:] == "\n" and self._fits(value[:-1]))

    def _fits(self, value: Any) -> bool:
        count = len(self.literals)
        segments = value.split("/", count)
        if len(segments) != count + self.open or (self.open and "\n" in segments[count]):
            return False
        for literal, segment in zip(self.literals, segments, strict=False):
            if literal != segment and (literal is not None or not segment):
                return False
        return True


def path_test(name: str) -> Callable[[str], Any]:
    """What tells whether patterns of a function can be read by segments, if only such a one can."""
    return _FORMS[name][0] if name in _FORMS else lambda _pattern: None


def parse_path(name: str, pattern: str) -> PathPattern | None:
    """A pattern of keyMatch2 to keyMatch5 as its segments; None if it takes a regular expression.

    For keyMatch5, a value is cut at its question mark before.
    """
    fits, begins = _FORMS[name]
    if not fits(pattern):
        return None
    segments: list[str | None] = list(pattern.split("/"))
    star = segments[-1] == "*"
    if star:
        segments.pop()
    if begins in pattern:
        if name == "keyMatch4" and _repeats_a_name(segments):
            return None
        segments = [None if s and s[0] == begins else s for s in segments]
    return PathPattern(tuple(segments), star)


def _repeats_a_name(segments: list[str | None]) -> bool:
    """Whether two names are equal, so that their segments must be."""
    names = [s for s in segments if s and s[0] == "{"]
    return len(names) > len(set(names))
