"""Reads TOML into frozen, typed sections and reports everything wrong with it at once.

A section is a msgspec Struct that lives beside its owner. It is decoded field by field, so that
ten mistakes are ten problems, not one.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from pdp.errors import Problem

_FEW = 40  # so many known names still fit a help line

S = TypeVar("S", bound=msgspec.Struct)


def parse_toml(data: bytes, file: str) -> tuple[dict[str, Any], list[Problem]]:
    """The tables of a TOML document; problems instead of an exception if it is none."""
    try:
        return tomllib.loads(data.decode("utf-8")), []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return {}, [Problem(file, None, "bad-toml", f"is not TOML: {error}")]


def suggest(name: str, known: Collection[str]) -> str:
    """A help line: the nearest known name, or all of them where they are few."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known here: {', '.join(f'`{k}`' for k in sorted(known))}" if len(known) <= _FEW else ""


def unknown_keys(
    table: Mapping[str, Any], known: Collection[str], file: str, key: str = ""
) -> list[Problem]:
    """A problem for every key of `table` that is not known, with the nearest known one."""
    return [
        Problem(
            file, None, "unknown-key", f"unknown key `{_join(key, name)}`", suggest(name, known)
        )
        for name in table
        if name not in known
    ]


def decode(kind: type[S], table: object, file: str, key: str) -> tuple[S | None, list[Problem]]:
    """`table`, the value of `key` in `file`, as a section of type `kind`.

    The section is None if there is any problem. Every unknown key, missing key and wrong type is
    a problem of its own, nested sections included.
    """
    if not isinstance(table, Mapping):
        return None, [Problem(file, None, "wrong-type", f"`{key}` must be a table")]
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    hints = get_type_hints(kind, include_extras=True)
    problems = unknown_keys(table, fields, file, key)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            value, found = _value(hints[field.name], table[name], file, _join(key, name))
            values[field.name] = value
            problems += found
        elif field.required:
            problems.append(Problem(file, None, "missing-key", f"`{_join(key, name)}` is required"))
    return (None, problems) if problems else _construct(kind, values, file, key)


def _construct(
    kind: type[S], values: dict[str, Any], file: str, key: str
) -> tuple[S | None, list[Problem]]:
    try:
        return kind(**values), []
    except ValueError as error:  # raised by a section's own __post_init__
        return None, [Problem(file, None, "bad-value", f"`{key}`: {error}")]


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _value(hint: Any, raw: Any, file: str, key: str) -> tuple[Any, list[Problem]]:
    section, several = _section_of(hint)
    if section is None:
        return _convert(hint, raw, file, key)
    if not several:
        return decode(section, raw, file, key)
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return None, [Problem(file, None, "wrong-type", f"`{key}` must be an array of tables")]
    decoded = [decode(section, item, file, f"{key}[{i}]") for i, item in enumerate(raw)]
    return tuple(value for value, _ in decoded), [p for _, found in decoded for p in found]


def _section_of(hint: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The Struct that a type hint asks for, and whether it asks for a tuple of them."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(
            (found for arg in get_args(hint) if (found := _section_of(arg))[0]), (None, False)
        )
    if get_origin(hint) is tuple:
        return _section_of(get_args(hint)[0])[0], True
    return (
        (hint, False)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct)
        else (None, False)
    )


def _convert(hint: Any, raw: Any, file: str, key: str) -> tuple[Any, list[Problem]]:
    try:
        return msgspec.convert(raw, hint, strict=True), []
    except msgspec.ValidationError as error:
        told = str(error).split(" - at ")[0]
        message = f"`{key}`: {told[:1].lower()}{told[1:]}"
        choices = ", ".join(f"`{choice}`" for choice in _choices(hint))
        help_ = f"one of {choices}" if choices else ""
        return None, [Problem(file, None, "wrong-type", message, help_)]


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values that a Literal within a type hint has."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(choice for inner in get_args(hint) for choice in _choices(inner))
