"""Checks of the values that pattern functions judge."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterable, Iterator

from pdp.errors import Problem, Severity
from pdp.policy.checks.backtracking import blow_up
from pdp.policy.checks.registry import on_calls
from pdp.policy.matcher.calls import TIME_HELP, Call
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, read_time
from pdp.policy.shape import LayerText

_SEGMENTS = {
    "keyMatch2": re.compile(r":[^/]+"),
    "keyMatch3": re.compile(r"\{[^/]+?\}"),
    "keyMatch4": re.compile(r"\{[^/]+\}"),
    "keyMatch5": re.compile(r"\{[^/]+\}"),
}
REPEATS_HELP = "let no two repeats read the same characters: `[^/]+` instead of `.*`, no `(a+)+`"
_META = re.compile(r"[.|+?^$()\[\]\\]")


def _judged(
    text: LayerText, calls: Iterable[Call], names: Iterable[str]
) -> Iterator[tuple[str, int, str]]:
    """Function, line and value of every distinct pattern that a policy field holds."""
    seen = {(call.name, call.column) for call in calls if call.name in names and call.column}
    done = set[tuple[str, str]]()
    for name, column in sorted((name, column) for name, column in seen if column):
        for row in text.rules:
            value = text.column(row, column)
            if value is not None and (name, value) not in done:
                done.add((name, value))
                yield name, row.line, value


@on_calls
def bad_pattern(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A pattern that does not compile, and would fail only when a request reaches it."""
    for name, line, value in _judged(text, calls, PATTERN_FUNCTIONS):
        try:
            PATTERN_FUNCTIONS[name](value)
        except ValueError as error:
            wrong = "is no address or network" if name == "ipMatch" else str(error)
            if name == "ipMatch":
                code, help_ = "bad-network", "write an address, or a network such as `10.0.0.0/8`"
            else:
                code, help_ = "bad-pattern", f"`{name}` reads it as a regular expression"
            yield Problem(text.policy.file, line, code, f"`{value}` {wrong}", help_)


def _compiles(name: str, value: str) -> bool:
    try:
        PATTERN_FUNCTIONS[name](value)
    except ValueError:
        return False
    return True


def _expression(name: str, pattern: str) -> str:
    """The regular expression that Casbin makes of a pattern."""
    if name not in _SEGMENTS:
        return pattern
    segment = "([^/]+)" if name == "keyMatch4" else "[^/]+"
    return f"^{_SEGMENTS[name].sub(segment, pattern.replace('/*', '/.*'))}$"


@on_calls
def catastrophic_pattern(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A pattern whose matching can take exponential or cubic time, in a field or in the matcher."""
    names, code = (*_SEGMENTS, "regexMatch"), "catastrophic-pattern"
    for name, line, value in _judged(text, calls, names):
        if wrong := slow_pattern(name, value):
            yield Problem(text.policy.file, line, code, wrong, REPEATS_HELP)
    for name, value in dict.fromkeys(_literals(calls, names)):
        if wrong := slow_pattern(name, value):
            yield _at_literal(text, value, code, wrong)


def slow_pattern(name: str, value: str) -> str:
    """What is wrong with a pattern that can take exponential or cubic time, or an empty text."""
    growth = blow_up(_expression(name, value)) if _compiles(name, value) else None
    return f"`{value}` takes {growth} time on some values that it does not match" if growth else ""


def _literals(calls: Iterable[Call], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Function and value of every pattern that is written into a matcher or a rule."""
    for call in calls:
        value = getattr(call.node.args[-1], "value", None)
        if call.name in names and isinstance(value, str):
            yield call.name, value


def _at_literal(text: LayerText, value: str, code: str, message: str) -> Problem:
    """A problem at a text of the matcher, or else at the first row that holds it."""
    matcher = text.definition("m")
    at = matcher.span.value.find(value) if matcher else -1
    if matcher and at >= 0:
        return matcher.problem(text.model.file, code, message, REPEATS_HELP, at, len(value))
    held = (row.line for row in text.rules if any(value in field for field in row.values))
    return Problem(text.policy.file, next(held, None), code, message, REPEATS_HELP)


@on_calls
def bad_time(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A time that timeMatch cannot read, and that would fail only when a request reaches it."""
    columns = {
        side.attr
        for call in calls
        if call.name == "timeMatch"
        for side in call.node.args
        if isinstance(side, ast.Attribute) and ast.unparse(side.value) == text.ptype
    }
    for row in text.rules:
        for value in (text.column(row, column) or "" for column in sorted(columns)):
            try:
                read_time(value)
            except ValueError:
                message = f"`{value}` is no time"
                yield Problem(text.policy.file, row.line, "bad-time", message, TIME_HELP)


@on_calls
def host_bits(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A network with host bits set, which matches more than it seems to say."""
    for _, line, value in _judged(text, calls, ["ipMatch"]):
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            continue
        if ipaddress.ip_interface(value).ip != network.network_address:
            yield Problem(
                text.policy.file,
                line,
                "host-bits",
                f"`{value}` has host bits set and matches all of `{network}`",
                f"write `{network}`, or the address alone",
            )


@on_calls
def ignored_tail(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A keyMatch pattern that goes on behind its star."""
    for _, line, value in _judged(text, calls, ["keyMatch"]):
        head, star, tail = value.partition("*")
        if star and tail:
            yield Problem(
                text.policy.file,
                line,
                "ignored-tail",
                f"keyMatch ignores `{tail}`: `{value}` matches everything below `{head}`",
                "end the pattern at the star, or use keyMatch2",
                Severity.WARNING,
            )


@on_calls
def regex_in_path(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A path pattern whose literal part holds a character that regular expressions read."""
    for name, line, value in _judged(text, calls, _SEGMENTS):
        found = _META.search(_SEGMENTS[name].sub("", value))
        if found and _compiles(name, value):
            other = value.replace(found.group(), "x", 1)
            means = f"matches `{other}`, too" if found.group() == "." else "is more than a literal"
            yield Problem(
                text.policy.file,
                line,
                "regex-in-path",
                f"{name} reads `{found.group()}` in `{value}` as a regular expression: it {means}",
                f"write `\\{found.group()}` for the character itself",
                Severity.WARNING,
            )
