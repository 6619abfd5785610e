"""The certification of AuthZEN PDPs, case by case, over a real server; cases are data."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
import yaml
from support import Running

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "certification.yaml").read_text())
PUBLIC = "https://pdp.example.com"


@pytest.fixture
async def fixture() -> AsyncIterator[Running]:
    """A PDP over the policy and data that the certification asks for."""
    async with support.pdp(HERE / "fixture", public_url=PUBLIC) as running:
        yield running


async def post(server: Running, case: dict[str, Any]) -> tuple[int, Any]:
    data = case["raw"] if "raw" in case else json.dumps(case["post"])
    headers = {"Content-Type": case.get("type", "application/json"), "X-Request-ID": "request-1"}
    path = f"/access/v1/{case['to']}"
    response, body = await server.ask("POST", path, data=data.encode(), headers=headers)
    assert response.headers["X-Request-ID"] == "request-1"
    assert response.content_type == "application/json"
    return response.status, json.loads(body)


@pytest.mark.parametrize("case", CASES, ids=[f"{c['level']}-{c['id']}" for c in CASES])
async def test_every_case_of_the_certification(fixture: Running, case: dict[str, Any]) -> None:
    status, answer = await post(fixture, case)
    assert status == case.get("status", 200), answer
    if status == 400:
        assert answer.keys() == {"error", "message"}
    elif "decision" in case:
        assert answer["decision"] is case["decision"]
        assert isinstance(answer["context"], dict)
    elif "decisions" in case:
        found = [item["decision"] for item in answer["evaluations"]]
        assert len(found) == len(case["decisions"])
        assert all(isinstance(decision, bool) for decision in found)
        pairs = zip(found, case["decisions"], strict=True)
        assert all(decision is expected for decision, expected in pairs if expected is not None)
        assert "decision" not in answer
    elif "results" in case:
        assert answer == {"results": case["results"]}
    else:
        assert all(expected in answer["results"] for expected in case["includes"])
        members = {"name"} if case["to"] == "search/action" else {"type", "id"}
        assert all(result.keys() == members for result in answer["results"])


async def test_the_same_question_gets_the_same_decision_each_time(fixture: Running) -> None:
    single = [case for case in CASES if "decision" in case]
    for case in single:
        answers = [(await post(fixture, case))[1]["decision"] for _ in range(5)]
        assert answers == [case["decision"]] * 5


async def test_without_an_id_of_the_request_none_is_made_up(fixture: Running) -> None:
    response, _ = await fixture.ask("POST", "/access/v1/evaluation", json=CASES[0]["post"])
    assert (response.status, "X-Request-ID" in response.headers) == (200, False)


async def test_a_page_of_one_is_followed_to_the_end(fixture: Running) -> None:
    case = next(c for c in CASES if c["id"] == "a page of one")
    _, first = await post(fixture, case)
    assert (first["results"], first["page"]["count"]) == ([{"type": "user", "id": "alice"}], 1)
    page = {"token": first["page"]["next_token"]}
    status, second = await post(fixture, {**case, "post": {**case["post"], "page": page}})
    assert (status, second["results"]) == (200, [{"type": "user", "id": "bob"}])
    assert second["page"]["next_token"] == ""


async def test_the_metadata_names_every_endpoint_under_the_url_asked(fixture: Running) -> None:
    path = "/.well-known/authzen-configuration"
    response, body = await fixture.ask("GET", path, headers={"X-Request-ID": "request-1"})
    assert (response.status, response.content_type) == (200, "application/json")
    assert response.headers["X-Request-ID"] == "request-1"
    assert json.loads(body) == {
        "policy_decision_point": PUBLIC,
        "access_evaluation_endpoint": f"{PUBLIC}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{PUBLIC}/access/v1/evaluations",
        "search_subject_endpoint": f"{PUBLIC}/access/v1/search/subject",
        "search_resource_endpoint": f"{PUBLIC}/access/v1/search/resource",
        "search_action_endpoint": f"{PUBLIC}/access/v1/search/action",
    }


async def test_the_metadatas_endpoints_answer(fixture: Running) -> None:
    _, body = await fixture.ask("GET", "/.well-known/authzen-configuration")
    endpoints = [url for name, url in json.loads(body).items() if name.endswith("_endpoint")]
    for url in endpoints:
        response, _ = await fixture.ask("POST", url.removeprefix(PUBLIC), json={})
        assert response.status == 400
    assert len(endpoints) == 5
