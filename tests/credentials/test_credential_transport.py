"""By which way a credential comes: ambiguous, misplaced or in the clear."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from credentialed import (
    COOKIE,
    DECISIONS,
    MISSING,
    NOTHING,
    Presented,
    Row,
    api_key,
    basic,
    bearer,
    by_forward,
    by_json,
    by_nginx,
    forward_headers,
    key,
    nginx_headers,
    serving,
    session,
)
from support import Running, decided, token

PAGE = "/invoices/7"
FIRST, SECOND = token("alice"), token("bob")
AMBIGUOUS: dict[str, list[tuple[str, str]]] = {
    "two authorizations": [("Authorization", f"Bearer {FIRST}")] * 2,
    "two schemes": [("Authorization", f"Bearer {FIRST}"), ("Authorization", "Basic YTpi")],
    "joined": [("Authorization", f"Bearer {FIRST}, ApiKey {key('robot')}")],
    "two keys": [("X-API-Key", key("robot"))] * 2,
    "header and key": [("Authorization", f"Bearer {FIRST}"), ("X-API-Key", key("robot"))],
    "two subjects": [("Authorization", f"Bearer {FIRST}"), ("Cookie", f"{COOKIE}={SECOND}")],
    "key and session": [("X-API-Key", key("robot")), ("Cookie", f"{COOKIE}={FIRST}")],
}


def runs(value: str) -> list[str]:
    """What would give a credential away: eight characters in a row, without a scheme or a name."""
    secret = value.rpartition(" ")[2].removeprefix(f"{COOKIE}=")
    return [secret[start : start + 8] for start in range(len(secret) - 7)]


@pytest.mark.parametrize("given", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize("resource", [PAGE, "/docs/a", "/admin", "/ghost"])
async def test_two_credentials_are_a_bad_request_that_quotes_neither(
    alone: Running,
    given: list[tuple[str, str]],
    resource: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    row = Row("14", resource, 400, "request_invalid")
    asked = (
        ("/authz/forward", forward_headers(row), 400),
        ("/authz/nginx", nginx_headers(row), 403),
    )
    for number, (path, headers, status) in enumerate(asked, 1):
        response, body = await alone.ask("GET", path, headers=[*headers.items(), *given])
        assert response.status == status
        assert "WWW-Authenticate" not in response.headers
        logged = str(await decided(tmp_path / DECISIONS, number)) + "".join(
            str(vars(record)) for record in caplog.records
        )
        told = f"{logged}{response.headers}{body.decode()}"
        assert "request_invalid" in logged
        assert not [run for _, value in given for run in runs(value) if run in told]
        if status == 400:
            assert json.loads(body)["error"] == "invalid_request"
        else:
            assert (response.headers["X-Authz-Status"], body) == ("400", b"")


@pytest.mark.parametrize(
    ("cookies", "status"),
    [
        ([f"{COOKIE}={FIRST}", "lang=en"], 200),
        ([f"{COOKIE}={FIRST}", f"{COOKIE}={FIRST}"], 200),
        ([f"{COOKIE}={FIRST}", f"{COOKIE}={SECOND}"], 401),
        ([f"{COOKIE}={FIRST}", COOKIE], 401),
        ([f"{COOKIE.upper()}={FIRST}"], 401),
        ([f"session={FIRST}"], 401),
    ],
)
async def test_cookies_may_come_in_several_fields(
    alone: Running, cookies: list[str], status: int
) -> None:
    headers = forward_headers(Row("", PAGE, status, ""))
    given = [*headers.items(), *(("Cookie", cookie) for cookie in cookies)]
    response, _ = await alone.ask("GET", "/authz/forward", headers=given)
    assert response.status == status


MISPLACED: dict[str, dict[str, str]] = {
    "another header": {"Proxy-Authorization": f"Bearer {FIRST}"},
    "the gateway's header": {"X-Forwarded-Access-Token": FIRST},
    "another spelling": {"X_API_Key": key("robot")},
    "a key by another name": {"Api-Key": key("robot")},
    "an identity": {"X-Auth-Subject": "alice", "X-Auth-Roles": "member"},
}


@pytest.mark.parametrize("extra", MISPLACED.values(), ids=MISPLACED)
async def test_a_credential_elsewhere_is_none(alone: Running, extra: dict[str, str]) -> None:
    shown = await by_forward(alone, Row("15", PAGE, 401, "", extra=extra))
    assert (shown.status, shown.field("WWW-Authenticate")) == (401, MISSING)


async def test_a_token_in_the_query_is_none_and_is_not_logged(
    alone: Running, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    target = f"{PAGE}?access_token={FIRST}"
    forward = await by_forward(alone, Row("15", target, 401, ""))
    nginx = await by_nginx(alone, Row("15", target, 401, ""))
    assert {forward.status, nginx.status} == {401}
    assert forward.field("WWW-Authenticate") == MISSING
    said = str(await decided(tmp_path / DECISIONS, 2)) + "".join(
        str(vars(record)) for record in caplog.records
    )
    assert "/invoices/7" in said
    assert FIRST[:12] not in said


ONLY_HTTPS = ("[server]\n", "[server]\nrequire_https = true\n")


@pytest.mark.parametrize(
    "presented",
    [bearer(), bearer(exp=1), api_key("robot"), api_key("x"), basic("bea"), basic("bea", "x")],
    ids=["token", "bad token", "key", "bad key", "password", "wrong password"],
)
async def test_in_the_clear_good_and_bad_credentials_get_the_same(
    tmp_path: Path, presented: Presented
) -> None:
    async with serving(tmp_path, ONLY_HTTPS) as live:
        for resource in (PAGE, "/docs/a", "/admin", "/ghost"):
            clear = Row("", resource, 403, "", presented, extra={"X-Forwarded-Proto": "http"})
            shown = await by_forward(live, clear)
            assert (shown.status, shown.field("WWW-Authenticate")) == (403, None)
        assert live.service.loaded.beside.equipment.passwords is not None
        assert live.service.loaded.beside.equipment.passwords.computed == 0


async def test_a_cookie_in_the_clear_counts_as_none(tmp_path: Path) -> None:
    async with serving(tmp_path, ONLY_HTTPS) as live:
        clear = {"X-Forwarded-Proto": "http"}
        for presented in (session(), session(exp=1), NOTHING):
            public = await by_forward(live, Row("", "/docs/a", 200, "", presented, extra=clear))
            assert (public.status, public.field("X-Auth-Subject")) == (200, "")
            refused = await by_forward(live, Row("", PAGE, 401, "", presented, extra=clear))
            assert (refused.status, refused.field("WWW-Authenticate")) == (401, MISSING)
        assert (await by_forward(live, Row("", PAGE, 200, "", session()))).status == 200


@pytest.mark.parametrize("presented", [session(), api_key("robot"), basic("bea"), bearer()])
async def test_row_21_whom_the_body_names_must_be_the_credentials_subject(
    alone: Running, presented: Presented
) -> None:
    found = await by_json(alone, Row("21", PAGE, 200, "", presented))
    assert found["status"] == 200
    whose = found["subject"]["id"]
    fields = {name: value for name, value in vars(presented).items() if value is not None}
    asked = {"action": "GET", "resource": PAGE, "context": {"country": "DE"}, **fields}
    for subject, status in ((whose, 200), ("somebody", 403), ("member", 403), ("anonymous", 403)):
        _, body = await alone.ask("POST", "/v1/decision", json={**asked, "subject": subject})
        answer = json.loads(body)
        assert answer["status"] == status
        assert (answer["reason"] == "subject_mismatch") == (status == 403)


@pytest.mark.parametrize("cookie", [session(exp=1), session("off"), session("member")])
async def test_row_21_a_bad_cookie_speaks_for_nobody(alone: Running, cookie: Presented) -> None:
    asked = {"action": "GET", "context": {"country": "DE"}, "cookie": cookie.cookie}
    for resource, reason in ((PAGE, "session_invalid"), ("/docs/a", "public")):
        body = {**asked, "resource": resource, "subject": "alice"}
        _, found = await alone.ask("POST", "/v1/decision", json=body)
        answer = json.loads(found)
        assert answer["reason"] == reason
        assert answer["subject"] is None or answer["subject"]["id"] == "anonymous"
