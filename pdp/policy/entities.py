"""`entities.json`: what the policy directory knows of subjects and resources."""

from __future__ import annotations

from sys import intern
from types import MappingProxyType
from typing import Any

import msgspec

from pdp import strict_json
from pdp.errors import Problem
from pdp.policy.facts import Entities

FILE = "entities.json"


class EntityText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file."""

    type: str
    id: str
    properties: dict[str, Any] = {}


def read_entities(data: bytes, file: str = FILE) -> tuple[Entities, list[Problem]]:
    """The entities by (type, id); every malformed or repeated entry is a problem."""
    try:
        entries = strict_json.loads(data)
    except ValueError as error:
        return {}, [Problem(file, None, "bad-json", f"{error}")]
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
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        try:
            entity = msgspec.convert(entry, EntityText)
        except msgspec.ValidationError as error:
            problems.append(Problem(file, None, "bad-entity", f"entry {index}: {error}".lower()))
            continue
        if (entity.type, entity.id) in found:
            message = f"entry {index}: `{entity.type}` `{entity.id}` stands twice"
            problems.append(Problem(file, None, "duplicate-entity", message))
        found[intern(entity.type), entity.id] = MappingProxyType(entity.properties)
    return found, problems
