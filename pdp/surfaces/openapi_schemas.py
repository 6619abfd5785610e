"""The schemas of bodies and answers: what their types say, and what is checked beyond types."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pdp.runtime.settings import ServerSettings
from pdp.surfaces.authzen_bodies import PARTS, SEMANTICS
from pdp.surfaces.openapi_operations import Operation, Shapes

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
# Where a name would be taken, or says little without its module.
_NAMES: Final = MappingProxyType(
    {
        "BatchBody": "QuestionsBody",
        "Decision": "LayerDecision",
        "_BatchBody": "EvaluationsBody",
        "_Options": "EvaluationsOptions",
    }
)
_LONGEST: Final = 8_192
_LONGEST_CREDENTIAL: Final = 65_536
_PRESENTED: Final = ("token", "authorization", "cookie", "api_key")
_SEARCHES: Final = ("SubjectSearchBody", "ResourceSearchBody", "ActionSearchBody")
_TEXT: Final[Schema] = {
    "description": "Not empty, without control characters; a path if it begins with a slash.",
    "type": "string",
    "minLength": 1,
    "maxLength": _LONGEST,
    "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$",
}
_CONTEXT: Final[Schema] = {
    "description": "What is known of the request; rules may ask for any member.",
    "type": "object",
    "properties": {
        "ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "time": {
            "description": "RFC 3339 with an offset, or Unix seconds.",
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
        },
    },
}
_TOKEN: Final[Schema] = {
    "description": "A bearer token of the subject.",
    "type": "string",
    "maxLength": _LONGEST_CREDENTIAL,
}


def shape(type_: Any) -> Schema:
    """How a body or an answer of this type is referred to."""
    (found,), _ = msgspec.json.schema_components([type_], ref_template=REF + "{name}")
    public: Schema = _public(found)
    return public


def any_of(shapes: Shapes) -> Schema:
    """How an answer of one of these types is told."""
    found = [shape(type_) for type_ in shapes]
    return found[0] if len(found) == 1 else {"anyOf": found}


def components(operations: Iterable[Operation], server: ServerSettings) -> dict[str, Schema]:
    """Every schema that is referred to, by name."""
    rows = tuple(operations)
    told = _types([s for row in rows for shapes in row.answers.values() for s in shapes])
    asked = _types([row.body for row in rows if row.body is not None])
    found = {name: _always(schema) for name, schema in told.items()} | asked
    if asked:
        found |= {"Text": _TEXT, "ContextBody": _CONTEXT}
    for name, checked in _checked(server).items():
        if name in found:
            properties = {**found[name]["properties"]}
            for member, schema in checked.items():
                properties[member] = {**_untyped(properties[member], schema), **schema}
            found[name] = {**found[name], "properties": properties}
    if "EvaluationsBody" in found:
        _batch(found)
    return dict(sorted(found.items()))


def _types(types: Iterable[Any]) -> dict[str, Schema]:
    _, found = msgspec.json.schema_components(types, ref_template=REF + "{name}")
    return {_name(name): _public(schema) for name, schema in found.items()}


def _name(name: str) -> str:
    return _NAMES.get(name, name.lstrip("_"))


def _public(value: Any) -> Any:
    """A schema with the names that clients see, and its docstrings without their indentation."""
    if isinstance(value, list):
        return [_public(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _public(item) for key, item in value.items() if not isinstance(item, str)}
    texts = {key: item for key, item in value.items() if isinstance(item, str) and key != "title"}
    if "$ref" in texts:
        texts["$ref"] = REF + _name(texts["$ref"].removeprefix(REF))
    if "description" in texts:
        texts["description"] = inspect.cleandoc(texts["description"])
    return texts | {key: item for key, item in found.items() if (key, item) != ("required", [])}


def _always(schema: Schema) -> Schema:
    """The schema of an answer, which has its members also where they are as by default."""
    if "properties" not in schema:
        return schema
    given = schema["properties"]
    required = [n for n in given if "default" in given[n] or n in schema.get("required", ())]
    properties = {
        name: {key: value for key, value in member.items() if key != "default"}
        for name, member in given.items()
    }
    return {**schema, "properties": properties, "required": required}


def _untyped(schema: Schema, instead: Schema) -> Schema:
    """What stays of a member's schema where another says of what type it is."""
    typing = {"type", "anyOf", "$ref"} if {"$ref", "anyOf"} & set(instead) else set[str]()
    return {key: value for key, value in schema.items() if key not in typing}


def _checked(server: ServerSettings) -> Mapping[str, Mapping[str, Schema]]:
    """What is checked of members beyond their types, by schema."""
    text, context = {"$ref": f"{REF}Text"}, {"$ref": f"{REF}ContextBody"}
    entity, action = {"$ref": f"{REF}EntityBody"}, {"$ref": f"{REF}ActionBody"}
    null: Schema = {"type": "null"}
    credential = {"anyOf": [{"type": "string", "maxLength": _LONGEST_CREDENTIAL}, null]}
    one = "At most one of " + ", ".join(f"`{name}`" for name in _PRESENTED) + " is presented."
    count = {"type": "integer", "minimum": 1, "maximum": server.max_page}
    judged: Schema = {"allOf": [context], "properties": {"token": _TOKEN}}
    return {
        "EntityBody": {"type": text, "id": text},
        "ActionBody": {"name": text},
        "WantedBody": {"type": text},
        "QuestionBody": {
            "action": {"anyOf": [text, action]},
            "resource": {"anyOf": [text, entity]},
            "subject": {"anyOf": [text, entity, null]},
            "context": context,
            **{name: {**credential, "description": one} for name in _PRESENTED},
        },
        "QuestionsBody": {"decisions": {"maxItems": server.max_batch}},
        "EvaluationBody": {"context": judged},
        "EvaluationsBody": {
            "context": judged,
            "evaluations": {
                "items": {"$ref": f"{REF}EvaluationItemBody"},
                "maxItems": server.max_batch,
            },
        },
        "EvaluationsOptions": {"evaluations_semantic": {"enum": list(SEMANTICS)}},
        **{name: {"context": context} for name in _SEARCHES},
        "PageBody": {"limit": {"anyOf": [count, null]}},
    }


def _batch(found: dict[str, Schema]) -> None:
    """The items of a batch, which take what they lack from the batch, or a single evaluation."""
    properties = found["EvaluationBody"]["properties"]
    found["EvaluationItemBody"] = {
        "description": "One question; what it lacks is taken from the batch.",
        "type": "object",
        "properties": {part: properties[part] for part in PARTS},
    }
    several = {"required": ["evaluations"], "properties": {"evaluations": {"minItems": 1}}}
    found["EvaluationsBody"] = {
        **found["EvaluationsBody"],
        "description": "Without `evaluations` it is a single evaluation.",
        "anyOf": [several, {"$ref": f"{REF}EvaluationBody"}],
    }
