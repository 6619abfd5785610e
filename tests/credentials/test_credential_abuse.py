"""Guessing and over-use: what is blocked, what is throttled, and what neither touches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from credentialed import (
    ELSEWHERE,
    HOME,
    NOTHING,
    Presented,
    Row,
    Shown,
    api_key,
    api_key_scheme,
    basic,
    bearer,
    by_engine,
    by_forward,
    by_json,
    by_nginx,
    computed,
    serving,
    session,
)
from support import Running

Ask = Callable[[Running, Row], Awaitable[Shown]]
PAGE = "/invoices/7"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def row(presented: Presented, ip: str = HOME, resource: str = PAGE) -> Row:
    return Row("", resource, 0, "", presented, ip=ip)


UNKNOWN, WRONG, RIGHT = basic("zoe", "x" * 12), basic("bea", "x" * 12), basic("bea")


@pytest.mark.parametrize("ask", [by_forward, by_nginx])
@pytest.mark.parametrize("other", [WRONG, basic("gone"), basic("off"), basic("staff")])
async def test_row_9_an_unknown_user_is_a_wrong_password(
    accepting: Running, ask: Ask, other: Presented
) -> None:
    counts, answers = [computed(accepting)], set()
    for presented in (UNKNOWN, other):
        answers.add(await ask(accepting, row(presented)))
        counts.append(computed(accepting))
    assert len(answers) == 1
    assert (counts[1] - counts[0], counts[2] - counts[1]) == (1, 1)


async def test_row_9_the_json_api_tells_no_more(accepting: Running) -> None:
    found = [await by_json(accepting, row(presented)) for presented in (UNKNOWN, WRONG)]
    for answer in found:
        del answer["decision_id"]
    assert found[0] == found[1]


FEW = '\n[limits]\nfailed_passwords = "3 per minute"\nblock_seconds = 1\n'
SPREAD = '\n[limits]\nfailed_passwords_per_address = "3 per minute"\nblock_seconds = 1\n'


async def reason(live: Running, presented: Presented, ip: str = HOME) -> str:
    found: str = (await by_json(live, row(presented, ip)))["reason"]
    return found


@pytest.mark.parametrize("name", ["bea", "zoe"], ids=["known", "unknown"])
async def test_row_13_wrong_passwords_block_for_a_while(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path, more=FEW) as live:
        wrong = basic(name, "x")
        assert [await reason(live, wrong) for _ in range(4)] == ["password_invalid"] * 4
        done = computed(live)
        for presented in (wrong, basic(name)):
            asked = row(presented)
            verdict, native = await by_engine(live, asked), await by_json(live, asked)
            assert (verdict.status, verdict.reason) == (403, "client_blocked")
            assert (native["status"], native["reason"]) == (403, "client_blocked")
            forward, nginx = await by_forward(live, asked), await by_nginx(live, asked)
            assert (forward.status, nginx.status) == (403, 403)
            assert nginx.field("X-Authz-Status") == "403"
            for shown in (forward, nginx):
                assert shown.field("WWW-Authenticate") is None
                assert shown.field("Retry-After") is None
        assert computed(live) == done
        await asyncio.sleep(1.1)
        after = "granted" if name == "bea" else "password_invalid"
        assert await reason(live, basic(name)) == after


async def test_row_13_a_block_is_of_one_account_from_one_address(tmp_path: Path) -> None:
    async with serving(tmp_path, more=FEW) as live:
        for _ in range(4):
            await reason(live, WRONG)
        assert await reason(live, RIGHT) == "client_blocked"
        assert await reason(live, RIGHT, ELSEWHERE) == "granted"
        assert await reason(live, basic("dan")) == "not_granted"
        assert await reason(live, bearer()) == "granted"
        assert await reason(live, api_key("robot")) == "granted"
        assert await reason(live, session()) == "granted"
        assert await reason(live, NOTHING) == "credentials_missing"
        shown = await by_forward(live, row(RIGHT, resource="/docs/a"))
        assert shown.status == 403


async def test_row_13_one_guess_at_each_of_many_accounts_blocks_the_address(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, more=SPREAD) as live:
        for number in range(4):
            assert await reason(live, basic(f"user-{number}", "x")) == "password_invalid"
        assert await reason(live, RIGHT) == "client_blocked"
        assert await reason(live, RIGHT, ELSEWHERE) == "granted"
        await asyncio.sleep(1.1)
        assert await reason(live, RIGHT) == "granted"


async def test_guesses_at_once_are_no_more_guesses_than_one_by_one(tmp_path: Path) -> None:
    patient = ("[server]\n", "[server]\nauthentication_seconds = 20.0\n")  # the machine may be busy
    async with serving(tmp_path, patient, more=FEW.replace("= 1\n", "= 60\n")) as live:
        guesses = [basic("bea", f"guess-{number}") for number in range(12)]
        found = await asyncio.gather(*(reason(live, guess) for guess in guesses))
        assert found.count("password_invalid") == 4
        assert set(found) == {"password_invalid", "client_blocked"}
        assert await reason(live, RIGHT) == "client_blocked"


async def test_other_credentials_that_are_bad_block_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, more=FEW) as live:
        for bad in (api_key("nobody"), bearer(exp=1), session(exp=1), Presented("Basic !")):
            found = {await reason(live, bad) for _ in range(8)}
            assert len(found) == 1
            assert found.isdisjoint({"client_blocked", "throttled"})


THROTTLED: list[tuple[str, Presented, Presented, str]] = [
    ("requests_per_address", NOTHING, bearer(), ELSEWHERE),
    ("requests_per_address", bearer(exp=1), RIGHT, ELSEWHERE),
    ("requests_per_subject", bearer(), session(), HOME),
    ("requests_per_subject", RIGHT, RIGHT, HOME),
    ("requests_per_api_key", api_key("robot"), api_key_scheme("robot"), HOME),
]


@pytest.mark.parametrize(("limit", "first", "last", "free"), THROTTLED)
@pytest.mark.parametrize("way", ["native", "forward", "nginx"])
async def test_over_use_is_a_429_that_says_when_to_return(
    tmp_path: Path, limit: str, first: Presented, last: Presented, free: str, way: str
) -> None:
    async with serving(tmp_path, more=f'\n[limits]\n{limit} = "2 per minute"\n') as live:
        for _ in range(2):
            assert (await by_forward(live, row(first))).status in (200, 401)
        await over_used(live, row(last), way)
        if free != HOME:
            assert (await by_forward(live, row(RIGHT, free))).status == 200
        else:
            await over_used(live, row(last, ELSEWHERE), way)
            assert (await by_forward(live, row(bearer("bob")))).status == 200


async def over_used(live: Running, asked: Row, way: str) -> None:
    for resource in (PAGE, "/docs/a", "/admin", "/ghost"):
        question = replace(asked, resource=resource)
        if way == "native":
            found: dict[str, Any] = await by_json(live, question)
            assert (found["status"], found["reason"]) == (429, "throttled")
            assert 0 < int(found["response"]["headers"]["Retry-After"]) <= 60
            continue
        shown = await (by_forward if way == "forward" else by_nginx)(live, question)
        assert shown.status == (429 if way == "forward" else 403)
        assert shown.field("X-Authz-Status") == (None if way == "forward" else "429")
        assert shown.field("WWW-Authenticate") is None
        assert 0 < int(shown.field("Retry-After") or 0) <= 60


async def test_a_bad_credential_counts_for_nobody(tmp_path: Path) -> None:
    more = '\n[limits]\nrequests_per_subject = "1 per hour"\n'
    async with serving(tmp_path, more=more) as live:
        for bad in (bearer(exp=1), basic("bea", "x"), api_key("nobody")):
            assert await reason(live, bad) == await reason(live, bad)
        for good in (bearer(), RIGHT):
            assert await reason(live, good) == "granted"
            assert await reason(live, good) == "throttled"


def navigating(presented: Presented, resource: str = PAGE, action: str = "GET") -> Row:
    mode = {"Sec-Fetch-Mode": "navigate"}
    return Row("8", resource, 302, "", presented, action=action, accept="text/html", extra=mode)


@pytest.mark.parametrize(
    "presented",
    [NOTHING, Presented(cookie="theme=dark"), session(exp=1), session("off"), session("member")],
    ids=["nothing", "other cookies", "expired", "disabled", "named like a role"],
)
@pytest.mark.parametrize("resource", [PAGE, "/admin", "/ghost", "/transfers"])
async def test_row_8_a_browser_is_sent_to_log_in(
    accepting: Running, presented: Presented, resource: str
) -> None:
    asked = navigating(presented, resource)
    forward, nginx = await by_forward(accepting, asked), await by_nginx(accepting, asked)
    assert (forward.status, forward.body) == (302, b"")
    assert (nginx.status, nginx.field("X-Authz-Status")) == (403, "302")
    back = "/login?return_to=" + resource.replace("/", "%2F")
    assert forward.field("Location") == nginx.field("Location") == back


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param(navigating(bearer(exp=1)), 401, id="presented by choice"),
        pytest.param(navigating(WRONG), 401, id="a wrong password"),
        pytest.param(navigating(session(exp=1), action="POST"), 401, id="no page"),
        pytest.param(row(session(exp=1)), 401, id="no navigation"),
        pytest.param(navigating(session(exp=1), "/login"), 401, id="the login page itself"),
        pytest.param(navigating(session(exp=1), "/docs/a"), 200, id="public"),
        pytest.param(navigating(session(), "/audit"), 403, id="logged in"),
        pytest.param(navigating(session(), "/ghost"), 404, id="logged in, nothing there"),
    ],
)
async def test_row_8_nobody_else_is(accepting: Running, asked: Row, status: int) -> None:
    shown = await by_forward(accepting, asked)
    assert (shown.status, shown.field("Location")) == (status, None)
