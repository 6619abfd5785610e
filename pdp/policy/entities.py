"""`entities.json`: what the policy directory knows of subjects and resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from sys import intern
from types import MappingProxyType
from typing import Any

import msgspec

from pdp import strict_json
from pdp.errors import Problem
from pdp.gently import gently, step, take_apart
from pdp.policy.facts import Entities

FILE = "entities.json"
_SOME = 128  # items
_SPACES = (" ", "\t", "\n", "\r")
_DECODER = json.JSONDecoder()
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class EntityText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file."""

    type: str
    id: str
    properties: dict[str, Any] = {}


def read_entities(data: bytes, file: str = FILE) -> tuple[Entities, list[Problem]]:
    """The entities by (type, id); every malformed or repeated entry is a problem, with its line."""
    try:
        entries = _loads(data)
    except ValueError as error:
        return {}, [Problem(file, _line_of_mistake(data), "bad-json", f"{error}")]
    if not isinstance(entries, list):
        return {}, [
            Problem(
                file,
                None,
                "bad-entity",
                "must hold an array",
                'write [{"type": "user", "id": "alice", "properties": {}}]',
            )
        ]
    found: dict[tuple[str, str], Any] = {}
    wrong = list(_read(entries, found))
    take_apart(entries)
    if not wrong:
        return found, []
    lines = [line for line, _ in _items(data.decode())]  # only now: it is all read once more
    return found, [Problem(file, lines[index], code, said) for index, code, said in wrong]


def _loads(data: bytes) -> Any:
    """As `strict_json.loads`, but a large array in steps."""
    found: list[Any] = []
    try:
        items = _ARRAY.decode(data)
        for start in range(0, len(items), _SOME):
            step()
            some = b",".join(items[start : start + _SOME])
            found += strict_json.loads(b"[%b]" % some)
    except (ValueError, RecursionError):
        return strict_json.loads(data)  # which knows what is wrong, or that nothing is
    return found


def _read(entries: list[Any], found: dict[tuple[str, str], Any]) -> Iterator[tuple[int, str, str]]:
    """Fill `found`; what is wrong, by the entry's index, with its code."""
    for index, entry in gently(enumerate(entries)):
        try:
            entity = msgspec.convert(entry, EntityText)
        except msgspec.ValidationError as error:
            yield index, "bad-entity", f"entry {index}: {error}".lower()
            continue
        if not isinstance(entity.properties.get("disabled", False), bool):
            yield index, "bad-entity", f"entry {index}: `disabled` must be true or false"
        if (entity.type, entity.id) in found:
            said = f"entry {index}: `{entity.type}` `{entity.id}` stands twice"
            yield index, "duplicate-entity", said
        found[intern(entity.type), entity.id] = MappingProxyType(entity.properties)


def _items(text: str) -> Iterator[tuple[int, str]]:
    """The items of a JSON array as they stand, each with the line that it begins in."""
    line, at, counted = 1, _past_space(text, 0) + 1, 0
    while (begin := _past_space(text, at)) < len(text) and text[begin] != "]":
        _, end = _DECODER.raw_decode(text, begin)
        line, counted = line + text.count("\n", counted, begin), begin
        yield line, text[begin:end]
        at = _past_space(text, end) + 1


def _past_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACES:
        at += 1
    return at


def _line_of_mistake(data: bytes) -> int | None:
    """The line of what `strict_json` refuses; None where that is no single place."""
    try:
        text = data.decode()
        entries = _DECODER.decode(text)
        for line, item in _items(text) if isinstance(entries, list) else ():
            if _is_bad(item):
                return line
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    except json.JSONDecodeError as error:
        return error.lineno
    except (ValueError, RecursionError):
        return None
    return None


def _is_bad(item: str) -> bool:
    try:
        strict_json.loads(item.encode())
    except ValueError:
        return True
    return False
