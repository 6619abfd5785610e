"""Whatever goes wrong between a client and its PDP: nothing is allowed, and it ends in time."""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import Any

import pytest
from imposters import ALLOWED, REFUSED, Talk, close, drip, hang, imposter, talking
from support import free_port

from pdp.client import (
    Action,
    BadQuestion,
    Evaluation,
    NotUnderstood,
    Pdp,
    PdpError,
    Refused,
    Resource,
    Subject,
    Unreachable,
)

WHO, DO, WHAT = Subject("user", "a"), Action("GET"), Resource("resource", "/a")
HUGE = b'{"decision": true, "context": {"x": "' + b"x" * 1_048_576 + b'"}}'

NO_ALLOW = [
    {"decision": "true"},
    {"decision": 1},
    {"decision": 1.0},
    {"decision": "yes"},
    {"decision": [True]},
    {"decision": None},
    {"decision": {}},
    {"allowed": True},
    {"Decision": True},
    {"decision": True, "context": "x"},
    {"evaluations": [{"decision": True}]},
    [{"decision": True}],
    True,
    "true",
    None,
    b"",
    b"true",
    b"\xff\xfe",
    b'{"decision": true',
    b'{"decision": true} {"decision": true}',
    b'{"decision": false, "decision": true}',
    b'{"decision": TRUE}',
    b"\xef\xbb\xbf" + b'{"decision": true}',
    b"[" * 100_000,
    HUGE,
]


@pytest.mark.parametrize("body", NO_ALLOW, ids=lambda v: str(v)[:40])
async def test_nothing_but_a_literal_true_allows(body: object) -> None:
    async with imposter(body) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(NotUnderstood):
            await asking.evaluate(WHO, DO, WHAT)
        with pytest.raises(NotUnderstood):
            await asking.decide(action=DO, resource=WHAT)


RESPONSE = ALLOWED["response"]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "Allow"},
        {"verdict": True},
        {"verdict": "permit"},
        {"status": 403},
        {"status": "200"},
        {"status": 200.5},
        {"response": {**RESPONSE, "status": 403}},
        {"response": None},
        {"subject": "alice"},
        {"verdict": "forbidden"},
        {"verdict": "forbidden", "status": 403},
        {"verdict": "forbidden", "status": 403, "response": {**RESPONSE, "status": 700}},
        {"response": {**RESPONSE, "headers": {"X-A": "b\r\nX-Evil: 1"}}},
        {"response": {**RESPONSE, "headers": {"X A": "b"}}},
        {"response": {**RESPONSE, "headers": {"": "b"}}},
        {"response": {**RESPONSE, "headers": {"Content-Length": "9"}}},
        {"response": {**RESPONSE, "headers": {"transfer-encoding": "chunked"}}},
    ],
    ids=str,
)
async def test_a_verdict_that_contradicts_itself_is_none(change: dict[str, Any]) -> None:
    async with imposter({**ALLOWED, **change}) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(NotUnderstood):
            await asking.decide(action=DO, resource=WHAT)


@pytest.mark.parametrize("verdict", [ALLOWED, REFUSED], ids=["allow", "forbidden"])
async def test_a_verdict_that_does_not_is_one(verdict: dict[str, Any]) -> None:
    async with imposter(verdict) as other, Pdp(other.url, timeout=5) as asking:
        found = await asking.decide(action=DO, resource=WHAT)
        assert found.allowed is bool(found) is (verdict is ALLOWED)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (201, NotUnderstood),
        (204, NotUnderstood),
        (301, NotUnderstood),
        (307, NotUnderstood),
        (400, BadQuestion),
        (401, Refused),
        (403, Refused),
        (404, NotUnderstood),
        (405, NotUnderstood),
        (413, BadQuestion),
        (429, Unreachable),
        (500, Unreachable),
        (502, Unreachable),
        (503, Unreachable),
    ],
)
async def test_every_status_but_200_is_an_error(status: int, error: type[PdpError]) -> None:
    async with (
        imposter(ALLOWED | {"decision": True}, status, Location="/x") as other,
        Pdp(other.url, timeout=5) as asking,
    ):
        for question in (
            asking.evaluate(WHO, DO, WHAT),
            asking.decide(action=DO, resource=WHAT),
            asking.evaluate_many([Evaluation()], subject=WHO, action=DO, resource=WHAT),
        ):
            with pytest.raises(error) as raised:
                await question
            assert type(raised.value) is error
        assert len(other.asked) == 3  # and no redirect was followed


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_compressed_answer_is_not_understood(size: int) -> None:
    body = b'{"decision": true, "context": {"x": "' + b"x" * size + b'"}}'
    async with (
        imposter(gzip.compress(body), Content_Encoding="gzip") as other,
        Pdp(other.url, timeout=5) as asking,
    ):
        with pytest.raises(NotUnderstood):
            await asking.evaluate(WHO, DO, WHAT)


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/problem+json"])
async def test_another_media_type_is_not_understood(kind: str) -> None:
    async with (
        imposter({"decision": True}, Content_Type=kind) as other,
        Pdp(other.url, timeout=5) as asking,
    ):
        with pytest.raises(NotUnderstood):
            await asking.evaluate(WHO, DO, WHAT)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": "invalid_request", "message": "subject.id: is required"}, "subject.id: is req"),
        ("no subject", "no subject"),
        ({"message": "a\nforged line"}, "the PDP answers 400"),
        ({"message": 5}, "the PDP answers 400"),
        (b"<html>", "the PDP answers 400"),
        ("x" * 1000, "x" * 200),
    ],
)
async def test_a_bad_question_is_told_in_one_line(body: object, shown: str) -> None:
    async with imposter(body, 400) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(BadQuestion) as raised:
            await asking.evaluate(WHO, DO, WHAT)
        assert str(raised.value).startswith(shown)
        assert len(str(raised.value)) <= 200
        assert str(raised.value).isprintable()


YES, NO = {"decision": True}, {"decision": False}


@pytest.mark.parametrize(
    ("semantic", "answers"),
    [
        ("execute_all", []),
        ("execute_all", [YES]),
        ("execute_all", [YES, NO]),
        ("execute_all", [YES] * 4),
        ("deny_on_first_deny", [YES, YES]),
        ("permit_on_first_permit", [NO]),
        ("permit_on_first_permit", []),
        ("execute_all", [YES, YES, {}]),
        ("execute_all", [YES, YES, {"decision": "true"}]),
    ],
)
async def test_a_batch_that_lacks_an_answer_is_not_understood(
    semantic: str, answers: list[Any]
) -> None:
    async with imposter({"evaluations": answers}) as other, Pdp(other.url, timeout=5) as asking:
        items = [Evaluation(resource=WHAT)] * 3
        with pytest.raises(NotUnderstood):
            await asking.evaluate_many(items, semantic=semantic)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": None},
        {"results": ["alice"]},
        {"results": [{"type": "user"}]},
        {"results": [{"type": "group", "id": "a"}]},
        {"results": [], "page": {"next_token": None}},
        {"results": [], "page": {"next_token": "again"}},
    ],
    ids=str,
)
async def test_a_page_that_is_none_is_not_understood(answer: object) -> None:
    async with imposter(answer) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(NotUnderstood):
            _ = [found async for found in asking.search_subjects("user", DO, WHAT)]


@pytest.mark.parametrize("talk", [hang, drip], ids=["silent", "slow"])
async def test_the_deadline_is_for_the_whole_exchange(talk: Talk) -> None:
    async with talking(talk) as url, Pdp(url, timeout=0.2) as asking:
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer within 0\.2 seconds"):
            await asking.evaluate(WHO, DO, WHAT)
        assert time.monotonic() - started < 2


async def test_nobody_there_is_unreachable() -> None:
    async with Pdp(f"http://127.0.0.1:{free_port()}", timeout=5, key="secret") as asking:
        with pytest.raises(Unreachable, match="no answer: ClientConnectorError") as raised:
            await asking.evaluate(WHO, DO, WHAT)
        assert raised.value.__cause__ is None
    async with Pdp("unix:/nowhere/s", timeout=5) as asking:
        with pytest.raises(Unreachable):
            await asking.evaluate(WHO, DO, WHAT)


async def test_a_connection_that_ends_is_unreachable() -> None:
    async with talking(close) as url, Pdp(url, timeout=5) as asking:
        with pytest.raises(Unreachable, match="ServerDisconnectedError"):
            await asking.evaluate(WHO, DO, WHAT)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\xff decision: true\r\n\r\n")
    await writer.drain()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n")
    writer.write(b'{"decision": true}')
    await writer.drain()


@pytest.mark.parametrize("talk", [garbage, cut])
async def test_bytes_that_are_no_answer_are_unreachable(talk: Talk) -> None:
    async with talking(talk) as url, Pdp(url, timeout=5) as asking:
        with pytest.raises(Unreachable):
            await asking.evaluate(WHO, DO, WHAT)


async def test_a_kept_connection_that_ends_is_opened_anew() -> None:
    answer = b'{"decision": true}'
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}"
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"}}")  # the whole question
        writer.write(head.encode() + b"\r\n\r\n" + answer)
        await reader.readuntil(b"\r\n\r\n")  # the next one finds it closed

    async with talking(once) as url, Pdp(url, timeout=5) as asking:
        for _ in range(3):
            assert await asking.evaluate(WHO, DO, Resource("r", "1", {"a": {"b": 1}}))
    assert connections == 3


UNWRITABLE = [float, object(), "\ud800", {1: {2: object()}}]


@pytest.mark.parametrize("value", UNWRITABLE)
async def test_what_is_no_json_is_a_bad_question(value: object) -> None:
    async with imposter(YES) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(BadQuestion, match="cannot be written") as raised:
            await asking.evaluate(WHO, DO, WHAT, {"token": "secret", "value": value})
        assert raised.value.__suppress_context__
        assert not other.asked


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment, which nobody listens for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)


async def test_proxies_of_the_environment_are_not_asked(proxied: None) -> None:
    async with imposter(YES) as other, Pdp(other.url, timeout=5) as asking:
        assert await asking.evaluate(WHO, DO, WHAT)


async def test_who_calls_off_is_heard() -> None:
    async with talking(hang) as url, Pdp(url, timeout=30) as asking:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking.evaluate(WHO, DO, WHAT), 0.1)
