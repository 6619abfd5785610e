"""The admin listener: explanations, and names that are not the machine's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Running, token

from pdp.errors import KeysUnavailable

QUESTION = {"action": "DELETE", "resource": "/invoices/7", "context": {"ip": "203.0.113.9"}}


async def explained(server: Running, **question: Any) -> tuple[int, Any]:
    body = {**QUESTION, **question}
    response, found = await server.ask("POST", "/v1/explain", admin=True, json=body)
    return response.status, json.loads(found)


@pytest.mark.parametrize("who", [{"subject": "alice"}, {"token": "alice"}], ids=str)
async def test_an_explanation_names_rules_and_role_paths(
    server: Running, who: dict[str, str]
) -> None:
    asked = {"token": token("alice")} if "token" in who else who
    status, answer = await explained(server, **asked)
    assert status == 200
    assert (answer["status"], answer["reason"]) == (403, "not_granted")
    assert answer["covered_by"][0]["rule"] == "acl.csv:2"
    assert answer["role_paths"][0]["steps"][0]["role"] in {"member", "authenticated"}
    assert [layer["layer"] for layer in answer["layers"]][:2] == ["network", "site"]


async def test_a_bad_token_is_explained_as_such(server: Running) -> None:
    _, answer = await explained(server, token="nonsense")
    assert (answer["status"], answer["reason"], answer["subject"]) == (401, "token_invalid", None)


async def test_a_token_with_the_name_of_a_role_is_explained_as_refused(server: Running) -> None:
    asked = {"action": "GET", "resource": "/invoices/7"}
    _, answer = await explained(server, **asked, token=token("member"))
    assert (answer["status"], answer["reason"], answer["subject"]) == (401, "token_invalid", None)
    _, answer = await explained(server, **asked, subject="member")
    assert (answer["status"], answer["reason"]) == (200, "granted")


async def test_keys_that_were_never_loaded_are_a_503(server: Running) -> None:
    async def fail(*_: object) -> None:
        raise KeysUnavailable

    server.service.authenticator.authenticate = fail  # type: ignore[method-assign,assignment]
    status, answer = await explained(server, token="t")
    assert (status, answer["message"]) == (503, "keys_unavailable")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("evil.test", 400), ("a,b", 400)],
)
async def test_only_the_machines_own_names_are_answered(
    server: Running, host: str, status: int
) -> None:
    response, _ = await server.ask("GET", "/v1/policy", admin=True, headers={"Host": host})
    assert response.status == status
    response, _ = await server.ask(
        "POST", "/v1/explain", admin=True, headers={"Host": host}, json=QUESTION
    )
    assert response.status == status
    assert (await server.ask("GET", "/metrics", admin=True, headers={"Host": host}))[
        0
    ].status == 200


async def test_the_policy_is_described(server: Running) -> None:
    _, body = await server.ask("GET", "/v1/policy", admin=True)
    layers = {layer["name"]: layer for layer in json.loads(body)["layers"]}
    assert layers["network"]["depends"] == ["context"]
    assert layers["age"]["depends"] == ["resource", "subject"]
    assert layers["rbac"]["rules"] == 6
