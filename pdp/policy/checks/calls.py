"""Checks of the values that pattern functions judge."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterable, Iterator

from pdp.errors import Problem, Severity
from pdp.gently import gently, growing
from pdp.policy.checks.registry import on_calls
from pdp.policy.matcher.calls import TIME_HELP, Call
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, read_time, without_names
from pdp.policy.matcher.networks import WIDTHS, interface
from pdp.policy.matcher.paths import path_test
from pdp.policy.matcher.regex import pattern_code
from pdp.policy.shape import LayerText
from pdp.policy.template import DEFAULTS

REPEATS_HELP = "let no two repeats read the same characters: `[^/]+` instead of `.*`, no `(a+)+`"
_PATHS = ("keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5")
_COMPILED = (*_PATHS, "regexMatch", "globMatch")  # what is read as a regular expression
_META = re.compile(r"[.|+?^$()\[\]\\]")
_CLIENT = "{context.ip}"
_MAPPED = "`{}` matches no client: an IPv4-mapped address is compared as the IPv4 address"
_BAD_HELPS = {
    "catastrophic-pattern": REPEATS_HELP,
    "bad-network": "write an address, or a network such as `10.0.0.0/8`",
}


def _judged(
    text: LayerText, calls: Iterable[Call], names: Iterable[str]
) -> Iterator[tuple[str, int, str]]:
    """Function, line and value of every distinct pattern that a policy field holds.

    Patterns that are simple paths are left out: nothing can be wrong with them.
    """
    columns = {(call.name, call.column) for call in calls if call.column in text.columns}
    for name in sorted({name for name, _ in columns if name in names}):
        simple, seen = path_test(name), growing()
        for index in sorted(text.columns.index(c) for n, c in columns if n == name and c):
            for row in gently(text.rules):
                value = row.values[index] if index < len(row.values) else None
                if value is not None and value not in seen:
                    seen[value] = None
                    if not simple(value):
                        yield name, row.line, value


@on_calls
def bad_pattern(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """A pattern that does not compile, that is slow to match, or that reads more than it says."""
    for name, line, value in _judged(text, calls, _COMPILED):
        if wrong := _wrong(name, value):
            code, message = wrong
            help_ = _BAD_HELPS.get(code, f"`{name}` reads it as a regular expression")
            yield Problem(text.policy.file, line, code, message, help_)
        elif found := _META.search(without_names(name, value)) if name in _PATHS else None:
            yield _regex_in_path(text, line, name, value, found.group())
    for name, value in dict.fromkeys(_literals(calls, _COMPILED)):
        if slow := slow_pattern(name, value):
            yield _at_literal(text, value, "catastrophic-pattern", slow, REPEATS_HELP)


def _wrong(name: str, value: str) -> tuple[str, str] | None:
    """The code of what is wrong with a pattern, and a message."""
    try:
        PATTERN_FUNCTIONS[name](value)
    except ValueError as error:
        return pattern_code(error), f"`{value}` {error}"
    return None


def slow_pattern(name: str, value: str) -> str:
    """What is wrong with a pattern that has no fast way to match, or an empty text."""
    code, message = _wrong(name, value) or ("", "")
    return message if code == "catastrophic-pattern" else ""


def _literals(calls: Iterable[Call], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Function and value of every pattern that is written into a matcher or a rule."""
    for call in calls:
        value = getattr(call.node.args[-1], "value", None)
        if call.name in names and isinstance(value, str):
            yield call.name, value


def _at_literal(text: LayerText, value: str, code: str, message: str, help_: str) -> Problem:
    """A problem at a text of the matcher, or else at the first row that holds it."""
    matcher = text.definition("m")
    at = matcher.span.value.find(value) if matcher else -1
    if matcher and at >= 0:
        return matcher.problem(text.model.file, code, message, help_, at, len(value))
    held = (row.line for row in text.rules if any(value in field for field in row.values))
    return Problem(text.policy.file, next(held, None), code, message, help_)


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
    for row in gently(text.rules) if columns else ():
        for value in (text.column(row, column) or "" for column in sorted(columns)):
            try:
                read_time(value)
            except ValueError:
                message = f"`{value}` is no time"
                yield Problem(text.policy.file, row.line, "bad-time", message, TIME_HELP)


@on_calls
def bad_network(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """What is no network, or has host bits set and matches more than it seems to say."""
    for _, line, value in _judged(text, calls, ["ipMatch"]):
        try:
            version, length, number = interface(value)
        except ValueError:
            code, message = "bad-network", f"`{value}` is no address or network"
            yield Problem(text.policy.file, line, code, message, _BAD_HELPS[code])
            continue
        if "%" in value:
            message = f"the zone of `{value}` is not compared: it matches in every zone"
            help_ = f"write `{_without_zone(value)}`"
            yield Problem(text.policy.file, line, "bad-network", message, help_)
        elif number & ((1 << WIDTHS[version] - length) - 1):
            yield _host_bits(text, line, value)


def _without_zone(value: str) -> str:
    address, _, rest = value.partition("%")
    return address + "".join(rest.partition("/")[1:])


@on_calls
def mapped_network(text: LayerText, calls: Iterable[Call]) -> Iterator[Problem]:
    """An IPv4 network written as IPv6, which no client's address is in: those are IPv4 then."""
    calls = [call for call in calls if _asks_for_address(text, call)]
    for _, line, value in _judged(text, calls, ["ipMatch"]):
        if plain := _unmapped(value):
            message, help_ = _MAPPED.format(value), f"write `{plain}`"
            yield Problem(text.policy.file, line, "bad-network", message, help_)
    for _, value in dict.fromkeys(_literals(calls, ["ipMatch"])):
        if plain := _unmapped(value):
            yield _at_literal(text, value, "bad-network", _MAPPED.format(value), f"write `{plain}`")


def _asks_for_address(text: LayerText, call: Call) -> bool:
    """Whether the value is the client's address, rather than an attribute, which stays as it is."""
    token = call.member or ""
    filled = text.settings.request.get(token, DEFAULTS.get(token))
    return filled == _CLIENT or ast.unparse(call.node.args[0]).endswith(".context.ip")


def _unmapped(value: str) -> str:
    """An IPv4-mapped address or network as that of IPv4; an empty text for any other."""
    if ":" not in value or "%" in value:  # as most values are
        return ""
    try:
        _, length, number = interface(value)
    except ValueError:
        return ""
    address, spare = ipaddress.IPv6Address(number).ipv4_mapped, WIDTHS[6] - length
    if address is None or spare > WIDTHS[4]:
        return ""
    plain = ipaddress.ip_network((int(address), WIDTHS[4] - spare), strict=False)
    return str(plain).removesuffix("/32")


def _host_bits(text: LayerText, line: int, value: str) -> Problem:
    network = ipaddress.ip_network(value, strict=False)
    return Problem(
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


def _regex_in_path(text: LayerText, line: int, name: str, value: str, found: str) -> Problem:
    """A path pattern whose literal part holds a character that regular expressions read."""
    other = value.replace(found, "x", 1)
    means = f"matches `{other}`, too" if found == "." else "is more than a literal"
    return Problem(
        text.policy.file,
        line,
        "regex-in-path",
        f"{name} reads `{found}` in `{value}` as a regular expression: it {means}",
        f"write `\\{found}` for the character itself",
        Severity.WARNING,
    )
