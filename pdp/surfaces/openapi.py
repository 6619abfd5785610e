"""`GET /openapi.json`: what can be asked on a listener, made from the types that are parsed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import cache, partial
from http import HTTPStatus
from typing import Any, Final

import msgspec

from pdp import __version__
from pdp.model import Answer
from pdp.surfaces.context import Context, plain
from pdp.surfaces.openapi_answers import ErrorAnswer
from pdp.surfaces.openapi_operations import ADMIN, JSON, PUBLIC, Operation
from pdp.surfaces.openapi_schemas import Schema, any_of, components, shape
from pdp.surfaces.request_ids import FIELD
from pdp.surfaces.requests import Request

Handler = Callable[[Request], Awaitable[Answer]]

_KEY: Final = "callerKey"
_COMMON: Final = (
    "Members that are not known are ignored. Another path is a 404; another method of a path is a "
    "405, and `Allow` names those there are."
)
_PUBLIC: Final = (
    "Asks for decisions, and searches. Gateways ask under `/authz/`, by any method and in the "
    f"header fields of their own conventions: those endpoints are not described here. {_COMMON}"
)
_ADMIN: Final = f"For administrators, under this machine's own names only, and probes. {_COMMON}"
_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "The key of a caller (`[[callers]]`), which is not the subject's credential.",
}
_TEXTS: Final = {
    401: "The key of the caller is missing or wrong.",
    404: "There is none.",
    409: "The directory's policy was not let live.",
    413: "The body is over the limit.",
    503: "Not ready, or it could not be decided.",
}
_HEADERS: Final = {401: "WWW-Authenticate"}


def public(context: Context) -> Handler:
    """A handler for the document of the listener that gateways and services ask."""
    return _serve(partial(document, PUBLIC, _PUBLIC, context))


def admin(context: Context) -> Handler:
    """A handler for the document of the admin listener, as it is on loopback."""
    return _serve(partial(document, ADMIN, _ADMIN, context))


def _serve(make: Callable[[], Schema]) -> Handler:
    @cache  # made when somebody asks for it: that takes as long as all else at the start
    def answer() -> Answer:
        return plain(200, msgspec.json.encode(make()))

    async def handle(_: Request) -> Answer:
        return answer()

    return handle


def document(operations: tuple[Operation, ...], description: str, context: Context) -> Schema:
    """An OpenAPI 3.1 document; it holds nothing that only some may know."""
    loaded = context.service.loaded
    schemas = components(operations, loaded.server)
    needs_key = bool(loaded.callers.known)
    keyed = any(operation.keyed for operation in operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pdp",
            "version": __version__,
            "description": description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {o.path: {o.method: _operation(o, needs_key=needs_key)} for o in operations},
        "components": {
            "schemas": schemas,
            **({"securitySchemes": {_KEY: _SCHEME}} if keyed else {}),
        },
    }


def _operation(operation: Operation, *, needs_key: bool) -> Schema:
    locked = operation.keyed and needs_key
    answers = {**operation.answers, **({401: (ErrorAnswer,)} if locked else {})}
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "security": [{_KEY: []}] if locked else [],
        **dict(_request(operation)),
        "responses": {
            str(status): {
                "description": _TEXTS.get(status, HTTPStatus(status).phrase),
                **_fields(operation, status),
                "content": {
                    operation.media if status == HTTPStatus.OK else JSON: {"schema": any_of(shapes)}
                },
            }
            for status, shapes in sorted(answers.items())
        },
    }


def _request(operation: Operation) -> Iterator[tuple[str, Any]]:
    if operation.echoes:
        schema = {"type": "string"}
        yield "parameters", [{"name": FIELD, "in": "header", "required": False, "schema": schema}]
    if operation.body is not None:
        media: Schema = {"schema": shape(operation.body)}
        if operation.example is not None:
            media["example"] = operation.example
        yield "requestBody", {"required": True, "content": {JSON: media}}


def _fields(operation: Operation, status: int) -> Schema:
    """What stands in the header of an answer, beside what stands in every one."""
    fields: Schema = {}
    if status in _HEADERS:
        fields[_HEADERS[status]] = {"required": True, "schema": {"type": "string"}}
    if operation.echoes:
        text = "As the request has it, if it is one short value of visible ASCII characters."
        fields[FIELD] = {"description": text, "schema": {"type": "string"}}
    return {"headers": fields} if fields else {}
