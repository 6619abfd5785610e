"""Casbin's built-in functions as (value, pattern) pairs whose patterns compile once.

Each `compile_*` gives the answers of the function of that name in pycasbin's
`casbin.util.builtin_operators`, and raises ValueError for a pattern that can match nothing; for
one that has no fast way to match the ValueError is a CatastrophicPattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from pdp.policy.matcher.globs import compile_glob
from pdp.policy.matcher.networks import WIDTHS, address, network
from pdp.policy.matcher.paths import parse_path
from pdp.policy.matcher.regex import compile_groups, compile_regex, literal_prefix

Match = Callable[[Any], bool]

_TIME = "%Y-%m-%d %H:%M:%S"
_MOST: Final = 1 << 17  # patterns that each function keeps; simple paths are cheap to read again
_NAMES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = MappingProxyType(
    {
        "keyMatch2": (re.compile(r":[^/]+"), "[^/]+"),
        "keyMatch3": (re.compile(r"\{[^/]+?\}"), "[^/]+"),
        "keyMatch4": (re.compile(r"\{([^/]+)\}"), "([^/]+)"),
        "keyMatch5": (re.compile(r"\{[^/]+\}"), "[^/]+"),
    }
)


def expression(name: str, pattern: str) -> str:
    """The regular expression that Casbin makes of a pattern of keyMatch2 to keyMatch5."""
    names, segment = _NAMES[name]
    body = names.sub(segment, pattern.replace("/*", "/.*"))
    return f"^{'(.*)' if body == '*' and name == 'keyMatch2' else body}$"


def without_names(name: str, pattern: str) -> str:
    """What a pattern of keyMatch2 to keyMatch5 holds beside its names."""
    return _NAMES[name][0].sub("", pattern)


def key_prefix(name: str, pattern: str) -> str:
    """The text that whatever the pattern, of keyMatch2 to keyMatch5, matches begins with."""
    return literal_prefix(expression(name, pattern))


@lru_cache(maxsize=_MOST)
def compile_key_match(pattern: str) -> Match:
    """`/foo/*`: everything that begins with what stands before the first `*`."""
    prefix, star, _ = pattern.partition("*")
    if not star:
        return lambda value: bool(value == pattern)
    # Not `startswith`: Casbin slices, so that a list is no match instead of an error.
    return lambda value: bool(value[: len(prefix)] == prefix)


def _path(name: str, pattern: str) -> Match:
    simple = parse_path(name, pattern)
    return simple.matches if simple else compile_regex(expression(name, pattern))


@lru_cache(maxsize=_MOST)
def compile_key_match2(pattern: str) -> Match:
    """`/foo/:id/*`: one segment for a name, anything for a star behind a slash."""
    return _path("keyMatch2", pattern)


@lru_cache(maxsize=_MOST)
def compile_key_match3(pattern: str) -> Match:
    """`/foo/{id}/*`."""
    return _path("keyMatch3", pattern)


@lru_cache(maxsize=_MOST)
def compile_key_match4(pattern: str) -> Match:
    """`/foo/{id}/bar/{id}`: equal names must match equal segments."""
    simple = parse_path("keyMatch4", pattern)
    if simple:
        return simple.matches
    names = _NAMES["keyMatch4"][0].findall(pattern.replace("/*", "/.*"))
    if "(" not in pattern and len(names) == len(set(names)):
        return compile_regex(expression("keyMatch4", pattern))
    compiled = compile_groups(expression("keyMatch4", pattern))
    if compiled.groups != len(names):
        raise ValueError("has groups of its own, which keyMatch4 cannot tell from its names")

    def match(value: Any) -> bool:
        found = compiled.match(value)
        if found is None:
            return False
        first: dict[str, str] = {}
        return all(
            first.setdefault(name, group) == group
            for name, group in zip(names, found.groups(), strict=True)
        )

    return match


@lru_cache(maxsize=_MOST)
def compile_key_match5(pattern: str) -> Match:
    """`/foo/{id}`, the value cut at its first question mark."""
    whole = _path("keyMatch5", pattern)
    return lambda value: whole(value.split("?", 1)[0])


@lru_cache(maxsize=_MOST)
def compile_ip_match(pattern: str) -> Match:
    """An address or a network, IPv4 or IPv6; a malformed address to match is unknown."""
    version, length, masked = network(pattern)
    spare = WIDTHS[version] - length

    def match(value: Any) -> bool:
        other, number = address(value)
        return other == version and (number ^ masked) >> spare == 0

    return match


@lru_cache(maxsize=_MOST)
def compile_glob_match(pattern: str) -> Match:
    """A shell pattern with `**` and braces."""
    return compile_glob(pattern)


PATTERN_FUNCTIONS: Final[Mapping[str, Callable[[str], Match]]] = MappingProxyType(
    {
        "keyMatch": compile_key_match,
        "keyMatch2": compile_key_match2,
        "keyMatch3": compile_key_match3,
        "keyMatch4": compile_key_match4,
        "keyMatch5": compile_key_match5,
        "regexMatch": compile_regex,
        "ipMatch": compile_ip_match,
        "globMatch": compile_glob_match,
    }
)


@dataclass(frozen=True, slots=True)
class Window:
    """Two local times, either None where it is open."""

    start: datetime | None
    end: datetime | None

    def holds(self, now: float) -> bool:
        """Whether `now`, in Unix seconds, lies strictly inside."""
        moment = datetime.fromtimestamp(now)  # noqa: DTZ006 - pycasbin compares local times
        return (self.start is None or moment > self.start) and (
            self.end is None or moment < self.end
        )


@lru_cache(maxsize=1 << 12)
def time_window(start: str, end: str) -> Window:
    """The window of `timeMatch(start, end)`; `_` leaves a side open."""
    return Window(read_time(start), read_time(end))


def read_time(text: str) -> datetime | None:
    """One side of a window, None for `_`; ValueError if it is no time."""
    return None if text == "_" else datetime.strptime(text, _TIME)  # noqa: DTZ007 - a local time
