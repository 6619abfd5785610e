"""Casbin's built-in functions as (value, pattern) pairs whose patterns compile once.

Each `compile_*` gives the answers of the function of that name in pycasbin's
`casbin.util.builtin_operators`, and raises ValueError for a pattern that can match nothing.
"""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from casbin.util import builtin_operators

Match = Callable[[Any], bool]

_SEGMENT2 = re.compile(r":[^/]+")
_SEGMENT3 = re.compile(r"\{[^/]+?\}")
_SEGMENT4 = re.compile(r"\{([^/]+)\}")
_SEGMENT5 = re.compile(r"\{[^/]+\}")
_TIME = "%Y-%m-%d %H:%M:%S"


def _regex(pattern: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[[`: it means what it says
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None


def _whole(pattern: str) -> Match:
    compiled = _regex(f"^{pattern}$")
    return lambda value: compiled.match(value) is not None


@lru_cache(maxsize=1 << 17)
def compile_key_match(pattern: str) -> Match:
    """`/foo/*`: everything that begins with what stands before the first `*`."""
    prefix, star, _ = pattern.partition("*")
    if not star:
        return lambda value: bool(value == pattern)
    # Not `startswith`: Casbin slices, so that a list is no match instead of an error.
    return lambda value: bool(value[: len(prefix)] == prefix)


@lru_cache(maxsize=1 << 17)
def compile_key_match2(pattern: str) -> Match:
    """`/foo/:id/*`: one segment for a name, anything for a star behind a slash."""
    body = _SEGMENT2.sub(r"[^/]+", pattern.replace("/*", "/.*"))
    return _whole("(.*)" if body == "*" else body)


@lru_cache(maxsize=1 << 17)
def compile_key_match3(pattern: str) -> Match:
    """`/foo/{id}/*`."""
    return _whole(_SEGMENT3.sub(r"[^/]+", pattern.replace("/*", "/.*")))


@lru_cache(maxsize=1 << 17)
def compile_key_match4(pattern: str) -> Match:
    """`/foo/{id}/bar/{id}`: equal names must match equal segments."""
    names = _SEGMENT4.findall(pattern.replace("/*", "/.*"))
    compiled = _regex(f"^{_SEGMENT4.sub('([^/]+)', pattern.replace('/*', '/.*'))}$")
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


@lru_cache(maxsize=1 << 17)
def compile_key_match5(pattern: str) -> Match:
    """`/foo/{id}`, the value cut at its first question mark."""
    whole = _whole(_SEGMENT5.sub(r"[^/]+", pattern.replace("/*", "/.*")))
    return lambda value: whole(value.split("?", 1)[0])


@lru_cache(maxsize=1 << 17)
def compile_regex_match(pattern: str) -> Match:
    """A regular expression, anchored at the beginning only."""
    compiled = _regex(pattern)
    return lambda value: compiled.match(value) is not None


@lru_cache(maxsize=1 << 17)
def compile_ip_match(pattern: str) -> Match:
    """An address or a network, IPv4 or IPv6; a malformed address to match is unknown."""
    network = ipaddress.ip_network(pattern, strict=False)
    return lambda value: _address(value) in network


@lru_cache(maxsize=1 << 12)
def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if not isinstance(value, str):  # a bare number is an address to `ipaddress`, not to us
        raise ValueError("is not an address")  # noqa: TRY004
    return ipaddress.ip_address(value)


@lru_cache(maxsize=1 << 17)
def compile_glob_match(pattern: str) -> Match:
    """A shell pattern with `**` and braces, as wcmatch reads it for pycasbin."""
    match: Callable[[Any, str], Any] = builtin_operators.glob_match
    try:
        match("/", pattern)
    except (AttributeError, TypeError):
        raise
    except Exception as error:  # noqa: BLE001 - braces can exceed wcmatch's limit, a bare Exception
        raise ValueError(f"is not a shell pattern: {error}") from None
    return lambda value: bool(match(value, pattern))


PATTERN_FUNCTIONS: Final[Mapping[str, Callable[[str], Match]]] = MappingProxyType(
    {
        "keyMatch": compile_key_match,
        "keyMatch2": compile_key_match2,
        "keyMatch3": compile_key_match3,
        "keyMatch4": compile_key_match4,
        "keyMatch5": compile_key_match5,
        "regexMatch": compile_regex_match,
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
