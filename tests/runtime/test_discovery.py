from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import support
from idp import (
    Idp,
    jwks,
    kids,
    redirect_to,
    running,
    serving,
    token,
    until,
)
from loopback import Clock, Handler, drip, hang

from pdp.runtime.discovery import AGAIN_AFTER, _jwks_uri, well_known
from pdp.runtime.http_client import Failed

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    async with serving() as made:
        made.answer = made.publish(b"", 404)
        made.at["/jwks.json"] = made.publish(jwks("a"))
        made.describe()
        yield made


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        ("https://h", "https://h" + OPENID, "https://h" + OAUTH),
        ("https://h/", "https://h" + OPENID, "https://h" + OAUTH),
        ("https://h:8/a/b", "https://h:8/a/b" + OPENID, f"https://h:8{OAUTH}/a/b"),
        ("https://h/a/", "https://h/a" + OPENID, f"https://h{OAUTH}/a"),
    ],
)
def test_metadata_are_where_the_standards_say(issuer: str, openid: str, oauth: str) -> None:
    assert well_known(issuer) == (openid, oauth)


async def test_the_issuer_alone_suffices(idp: Idp) -> None:
    async with running(idp, discover=True) as source:
        await until(lambda: kids(source) == ["a"])
    assert idp.paths == [OPENID, "/jwks.json"]


async def test_a_slash_at_the_issuers_end_is_part_of_its_name(idp: Idp) -> None:
    idp.base += "/"
    async with running(idp, discover=True) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.state().problem == "discovery_foreign_issuer"
        idp.describe()
        await until(lambda: kids(source) == ["a"])
    assert {*idp.paths} == {OPENID, "/jwks.json"}


async def test_other_metadata_are_asked_for_only_where_the_first_are_not_found(idp: Idp) -> None:
    idp.describe(OAUTH)
    del idp.at[OPENID]
    async with running(idp, discover=True) as source:
        await until(lambda: kids(source) == ["a"])
    assert idp.paths == [OPENID, OAUTH, "/jwks.json"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"issuer": "https://evil.example.com"}, "foreign_issuer"),
    ({"issuer": None}, "foreign_issuer"),
    ({"jwks_uri": None}, "jwks_uri"),
    ({"jwks_uri": 7}, "jwks_uri"),
    ({"jwks_uri": "http://idp.example.com/jwks"}, "jwks_uri"),
    ({"jwks_uri": "https://u:p@idp.example.com/jwks"}, "jwks_uri"),
    ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
    ({"jwks_uri": "https://h/" + "a" * 2048}, "jwks_uri"),
]


@pytest.mark.parametrize(("changed", "problem"), REFUSED)
async def test_metadata_that_may_not_be_trusted_are_refused(
    idp: Idp, changed: dict[str, Any], problem: str
) -> None:
    idp.describe(**changed)
    idp.describe(OAUTH)  # no second chance: the first were found
    async with running(idp, discover=True) as source:
        await until(lambda: source.state().failures >= 1)
        assert source.state().problem == f"discovery_{problem}"
        assert source.current() is None
    assert {*idp.paths} == {OPENID}


FAILING: list[tuple[Handler, str]] = [
    (Idp.publish(b"", 500), "status"),
    (Idp.publish(b"<html>"), "garbage"),
    (Idp.publish(b"[]"), "garbage"),
    (Idp.publish(b" " * 10_001), "too_large"),
    (redirect_to("/jwks.json"), "redirect"),
    (hang, "timeout"),
    (drip, "timeout"),
]


@pytest.mark.parametrize(("failing", "problem"), FAILING)
async def test_a_failed_discovery_is_tried_again(idp: Idp, failing: Handler, problem: str) -> None:
    idp.at[OPENID] = failing
    async with running(idp, discover=True) as source:
        await until(lambda: source.state().failures >= 2)
        assert source.state().problem == f"discovery_{problem}"
        idp.describe()
        await until(lambda: kids(source) == ["a"])
        assert source.state().problem is None


def test_an_issuer_on_https_may_not_lead_to_plain_http() -> None:
    document = {"issuer": "https://h", "jwks_uri": "http://127.0.0.1/jwks"}
    with pytest.raises(Failed) as raised:
        _jwks_uri(json.dumps(document).encode(), "https://h")
    assert raised.value.kind == "jwks_uri"


async def test_keys_that_move_are_followed_when_the_old_place_keeps_failing(idp: Idp) -> None:
    async with running(idp, refresh=0.02, discover=True) as source:
        await until(lambda: kids(source) == ["a"])
        del idp.at["/jwks.json"]
        idp.at["/new.json"] = idp.publish(jwks("b"))
        idp.describe(jwks_uri=idp.base + "/new.json")
        await until(lambda: kids(source) == ["b"])


async def test_discovery_is_repeated_once_a_day(idp: Idp) -> None:
    clock = Clock()
    async with running(idp, refresh=0.02, discover=True, clock=clock) as source:
        await until(lambda: idp.counts["/jwks.json"] >= 3)
        assert idp.counts[OPENID] == 1
        clock.now += AGAIN_AFTER
        await until(lambda: idp.counts[OPENID] == 2)
        seen = idp.counts["/jwks.json"]
        await until(lambda: idp.counts["/jwks.json"] >= seen + 3)
        assert idp.counts[OPENID] == 2
        assert source.state().failures == 0


async def test_what_was_found_holds_while_it_cannot_be_found_anew(
    idp: Idp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.jwks")
    clock = Clock()
    async with running(idp, refresh=0.02, discover=True, clock=clock) as source:
        await until(lambda: kids(source) == ["a"])
        idp.describe(issuer="https://evil.example.com", jwks_uri="https://evil.example.com/")
        clock.now += AGAIN_AFTER
        idp.at["/jwks.json"] = idp.publish(jwks("b"))
        await until(lambda: kids(source) == ["b"])
        state = source.state()
        assert (state.failures, state.problem) == (0, "discovery_foreign_issuer")
        assert source.results["discovery_foreign_issuer"] >= 1
    assert "discovery_failed" in [record.getMessage() for record in caplog.records]
    assert "evil" not in str([vars(record) for record in caplog.records])


async def test_a_pdp_finds_the_keys_of_an_issuer_of_which_it_knows_the_name_alone(
    idp: Idp, policies: Path
) -> None:
    settings = (policies / "pdp.toml").read_text()
    settings = settings.replace('public_key_file = "issuer.pem"\n', "")
    settings = settings.replace(support.ISSUER, idp.base).replace('"EdDSA"', '"ES256"')
    (policies / "pdp.toml").write_text(settings)
    asked = {
        "token": token("a", iss=idp.base),
        "action": "GET",
        "resource": "/ghost",
        "context": {"ip": "192.0.2.7"},
    }
    async with support.pdp(policies) as server:

        async def state() -> dict[str, Any]:
            _, body = await server.ask("GET", "/readyz", admin=True)
            found: dict[str, Any] = json.loads(body)["keys"][idp.base]
            return found

        async with asyncio.timeout(5):
            while not (await state())["loaded"]:  # noqa: ASYNC110 - asked as a probe would
                await asyncio.sleep(0.01)
        _, body = await server.ask("POST", "/v1/decision", json=asked)
        assert json.loads(body)["status"] == 404  # she is known, and there is no such thing
        told = await state()
        assert (told["failures"], told["problem"], told["stale"]) == (0, None, False)
        assert told["age_seconds"] is not None
        _, body = await server.ask("GET", "/metrics", admin=True)
        assert f'pdp_jwks_loaded{{issuer="{idp.base}"}} 1.0' in body.decode()
