"""`/openapi.json`: it tells every route, and what it tells is what is parsed and answered."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs  # comes with schemathesis
import msgspec
import pytest
import support
from support import Running, pdp

import pdp as package
from pdp.errors import KeysUnavailable
from pdp.surfaces.app import Routes, admin_routes, public_routes
from pdp.surfaces.conventions import CONVENTIONS
from pdp.surfaces.discovery import PATH as DISCOVERY
from pdp.surfaces.openapi_operations import ADMIN, PUBLIC, Operation

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
TYPE = {"Content-Type": "application/json"}
LISTENERS = {"public": (False, public_routes, PUBLIC), "admin": (True, admin_routes, ADMIN)}
listeners = pytest.mark.parametrize("listener", LISTENERS)
ALICE = {"type": "user", "id": "alice"}
GET = {"name": "GET"}
RESOURCE = {"type": "resource", "id": "/docs/a"}
QUESTION = {"subject": "alice", "action": "GET", "resource": "/docs/a"}
EVALUATION = {"subject": ALICE, "action": GET, "resource": RESOURCE}


async def document(server: Running, listener: str) -> Any:
    response, body = await server.ask("GET", "/openapi.json", admin=LISTENERS[listener][0])
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    return json.loads(body)


@listeners
async def test_it_tells_every_route_with_its_methods_and_no_other(
    server: Running, listener: str
) -> None:
    _, routes, _ = LISTENERS[listener]
    found = await document(server, listener)
    told = {path: {m.upper() for m in methods} for path, methods in found["paths"].items()}
    served: Routes = routes(server.context)
    gateways = {convention.route for convention in CONVENTIONS}
    assert told == {
        path: methods - {"HEAD"}
        for path, route in served.items()
        if path not in gateways and (methods := route.methods) is not None
    }


@listeners
async def test_it_is_a_document_that_openapi_allows(server: Running, listener: str) -> None:
    found = await document(server, listener)
    assert found["openapi"] == "3.1.0"
    assert found["info"]["version"] == package.__version__
    names = found["components"]["schemas"]
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert used == set(names), "every reference leads somewhere, and nothing is left over"
    ids = [o["operationId"] for methods in found["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


async def test_the_public_document_says_that_gateways_are_not_in_it(server: Running) -> None:
    found = await document(server, "public")
    assert "`/authz/`" in found["info"]["description"]
    assert not [path for path in found["paths"] if path.startswith("/authz")]


async def test_off_loopback_the_admin_listener_has_none(policies: Path) -> None:
    port = support.free_port()
    async with pdp(policies, admin_listen=f"0.0.0.0:{port}", trust_network=True) as server:
        assert "/openapi.json" not in admin_routes(server.context)


async def test_head_is_answered_and_other_methods_are_not(server: Running) -> None:
    head, body = await server.ask("HEAD", "/openapi.json")
    assert (head.status, body) == (200, b"")
    refused, _ = await server.ask("POST", "/openapi.json")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_key_is_asked_for_where_callers_are_configured(policies: Path, keyed: bool) -> None:
    if keyed:
        (policies / "caller.keys").write_text("0" * 64 + "\n")
        with (policies / "pdp.toml").open("a") as file:
            file.write('[[callers]]\nname = "a"\nkey_sha256_file = "caller.keys"\n')
    async with pdp(policies) as server:
        found = await document(server, "public")
        for operation in PUBLIC:
            told = found["paths"][operation.path][operation.method]
            asks = keyed and operation.path.startswith(("/v1/", "/access/"))
            assert bool(told["security"]) is asks
            assert ("401" in told["responses"]) is asks
            body = json.dumps(operation.example) if operation.body else None
            response, _ = await server.ask(
                operation.method,
                operation.path,
                data=body,
                headers={"Content-Type": "application/json"} if body else {},
            )
            assert (response.status == 401) is asks


@pytest.fixture
async def unlocked(tmp_path: Path) -> AsyncIterator[Running]:
    """A PDP that asks nobody who they are."""
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "policy.csv").write_text("p, alice, /docs/a, GET\n")
    bounds = {"PDP_MAX_BATCH": "2", "PDP_MAX_PAGE": "5", "PDP_MAX_BODY_BYTES": "50000"}
    async with pdp(tmp_path, environment=bounds) as server:
        yield server


@listeners
async def test_every_example_is_answered_in_the_shape_that_is_told(
    unlocked: Running, listener: str
) -> None:
    admin, _, operations = LISTENERS[listener]
    for operation in operations:
        options: Any = {"json": operation.example} if operation.body else {}
        response, body = await unlocked.ask(
            operation.method, operation.path, admin=admin, **options
        )
        assert response.status == 200, operation.path
        assert response.content_type == operation.media
        if operation.media == "application/json":
            assert fits(json.loads(body), operation.answers[200]), operation.path


def fits(answer: Any, types: tuple[Any, ...]) -> bool:
    """Whether one of the types has each member of the answer, and no other."""
    for type_ in types:
        with contextlib.suppress(msgspec.ValidationError):
            if json.loads(msgspec.json.encode(msgspec.convert(answer, type_))) == answer:
                return True
    return False


def operation(path: str) -> Operation:
    return next(o for o in (*PUBLIC, *ADMIN) if o.path == path)


BODIES = [o.path for o in PUBLIC if o.body]


@pytest.mark.parametrize("path", BODIES)
async def test_refusals_have_the_shape_that_is_told(unlocked: Running, path: str) -> None:
    for data, status in ((b"{}", 400), (b" " * 60_000, 413)):
        response, body = await unlocked.ask("POST", path, data=data, headers=TYPE)
        assert response.status == status
        assert fits(json.loads(body), operation(path).answers[status])


async def test_what_could_not_be_decided_has_the_shape_that_is_told(server: Running) -> None:
    async def fail(*_: object) -> None:
        raise KeysUnavailable

    server.service.authenticator.authenticate = fail  # type: ignore[method-assign,assignment]
    ip = "203.0.113.9"
    for path, asked in (
        ("/v1/decision", {**QUESTION, "token": "x", "context": {"ip": ip}}),
        ("/access/v1/evaluation", with_context(token="x", ip=ip)),
    ):
        response, body = await server.ask("POST", path, json=asked)
        assert response.status == 503
        assert fits(json.loads(body), operation(path).answers[503])


async def test_not_ready_not_found_and_rejected_have_the_shapes_that_are_told(
    policies: Path,
) -> None:
    listen = f"0.0.0.0:{support.free_port()}"
    async with pdp(policies, listen=listen, trust_network=True) as server:
        response, body = await server.ask("GET", DISCOVERY)
        assert response.status == 404
        assert fits(json.loads(body), operation(DISCOVERY).answers[404])
        (policies / "rbac.csv").write_text("p, short\n")
        response, body = await server.ask("POST", "/v1/reload", admin=True)
        assert response.status == 409
        assert fits(json.loads(body), operation("/v1/reload").answers[409])
        server.service.stopping = True
        response, body = await server.ask("GET", "/readyz")
        assert response.status == 503
        assert fits(json.loads(body), operation("/readyz").answers[503])


def with_id(id_: str) -> Any:
    return {**EVALUATION, "subject": {"type": "user", "id": id_}}


def with_page(limit: int) -> Any:
    return {"subject": ALICE, "resource": RESOURCE, "page": {"limit": limit}}


def with_options(semantic: str) -> Any:
    return {
        **EVALUATION,
        "evaluations": [{}],
        "options": {"evaluations_semantic": semantic},
    }


def with_items(number: int) -> Any:
    return {"evaluations": [EVALUATION] * number}


def with_context(**context: Any) -> Any:
    return {**EVALUATION, "context": context}


# What is checked of a body beyond its types is told, too: both sides of each bound.
EDGES = [
    ("/access/v1/evaluation", with_id("a"), with_id("")),
    ("/access/v1/evaluation", with_id("a" * 8_192), with_id("a" * 8_193)),
    ("/access/v1/evaluation", with_id("a b"), with_id("a\u2028b")),
    ("/access/v1/evaluation", with_id("a b"), with_id("a\x7fb")),
    ("/access/v1/evaluation", with_context(ip="::1"), with_context(ip="::g")),
    ("/access/v1/evaluation", with_context(time=7.5), with_context(time=True)),
    ("/access/v1/search/action", with_page(1), with_page(0)),
    ("/access/v1/search/action", with_page(5), with_page(6)),
    ("/access/v1/evaluations", with_options("execute_all"), with_options("none")),
    (
        "/access/v1/evaluations",
        {"evaluations": [EVALUATION] * 2},
        {"evaluations": [EVALUATION] * 3},
    ),
    ("/v1/decisions", {"decisions": [QUESTION] * 2}, {"decisions": [QUESTION] * 3}),
    ("/v1/decision", {**QUESTION, "resource": "a"}, {**QUESTION, "resource": ""}),
]


@pytest.mark.parametrize(("path", "good", "bad"), EDGES)
async def test_the_schema_has_the_bounds_that_are_checked(
    unlocked: Running, path: str, good: Any, bad: Any
) -> None:
    found = await document(unlocked, "public")
    schema = {
        "$ref": found["paths"][path]["post"]["requestBody"]["content"]["application/json"][
            "schema"
        ]["$ref"],
        "components": found["components"],
    }
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for asked, fine in ((good, True), (bad, False)):
        response, _ = await unlocked.ask("POST", path, json=asked)
        assert (response.status == 200) is fine
        assert validator.is_valid(asked) is fine
