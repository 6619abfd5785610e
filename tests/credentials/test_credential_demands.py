"""Guards that want a stronger login or a further scope, and how they say so."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from credentialed import (
    BEARER,
    HOME,
    METADATA,
    MISSING,
    NOTHING,
    Presented,
    Row,
    api_key,
    asking,
    basic,
    bearer,
    by_forward,
    by_nginx,
    serving,
    session,
)
from four_ways import check_native, check_verdict
from support import Running, token

STRONGER = asking(
    "insufficient_user_authentication",
    "A stronger or more recent login is required",
    ', acr_values="urn:mfa", max_age="300"',
)


def strong(sub: str = "alice", seconds_ago: float = -3600, **claims: Any) -> Presented:
    """A login that stays recent for as long as the tests may take after this table is made."""
    login: dict[str, Any] = {"acr": "urn:mfa", "auth_time": int(time.time() - seconds_ago)}
    return bearer(sub, **(login | claims))


ADMIN: dict[str, Any] = {"roles": ["administrator"]}


def wanting(number: str, presented: Presented, resource: str = "/transfers") -> Row:
    return Row(number, resource, 401, "step_up_required", presented, STRONGER)


def scoped(number: str, scope: object, status: int, claim: str = "scope") -> Row:
    reason = "granted" if status == 200 else "insufficient_scope"
    claims: dict[str, Any] = {claim: scope}
    return Row(f"scope {number}", "/orders", status, reason, bearer(**claims))


TABLE = [
    Row("22 strong", "/transfers", 200, "granted", strong()),
    wanting("22 weak", bearer()),
    wanting("22 another acr", strong(acr="urn:pwd")),
    wanting("22 a part of the acr", strong(acr="urn:mf")),
    wanting("22 list of acr", strong(acr=["urn:mfa"])),
    wanting("22 too long ago", strong(seconds_ago=400)),
    wanting("22 no auth_time", bearer(acr="urn:mfa")),
    wanting("22 auth_time as text", strong(auth_time=str(int(time.time())))),
    wanting("22 key", api_key("robot")),
    wanting("22 password", basic("bea")),
    wanting("22 cookie", session()),
    wanting("22 concealed, but granted", bearer("root", **ADMIN), "/admin/transfers"),
    wanting("22 public, known", bearer("nobody-special"), "/news"),
    Row("22 public, strong", "/news", 200, "public", strong("nobody-special")),
    Row("22 not granted", "/transfers", 403, "not_granted", bearer("eve")),
    Row("22 strong, not granted", "/transfers", 403, "not_granted", strong("eve")),
    Row("22 concealed, not granted", "/admin/transfers", 404, "concealed", bearer()),
    Row("22 nobody", "/transfers", 401, "credentials_missing", NOTHING, MISSING),
    Row("22 nobody, public", "/news", 401, "credentials_missing", NOTHING, MISSING),
    Row("22 bad cookie", "/transfers", 401, "session_invalid", session(exp=1), MISSING),
    scoped("alone", "orders:read", 200),
    scoped("among others", "openid orders:read", 200),
    scoped("in a list", ["openid", "orders:read"], 200),
    scoped("as scp", "openid orders:read", 200, "scp"),
    scoped("as scp list", ["openid", "orders:read"], 200, "scp"),
    scoped("another", "orders:write", 403),
    scoped("a longer one", "orders:readwrite", 403),
    scoped("behind a prefix", "my-orders:read", 403),
    scoped("another case", "Orders:Read", 403),
    scoped("with commas", "openid,orders:read", 403),
    scoped("with tabs", "openid\torders:read", 403),
    scoped("spaced within a list", ["openid orders:read"], 403),
    scoped("mixed list", ["orders:read", 7], 403),
    scoped("empty", "", 403),
    scoped("empty list", [], 403),
    scoped("number", 7, 403),
    scoped("null", None, 403),
    scoped("object", {"orders:read": True}, 403),
    Row(
        "scope beats scp", "/orders", 403, "insufficient_scope", bearer(scope="", scp="orders:read")
    ),
    Row("scope none", "/orders", 403, "insufficient_scope", bearer()),
    Row("scope of a key", "/orders", 403, "insufficient_scope", api_key("robot")),
    Row("scope of a password", "/orders", 403, "insufficient_scope", basic("bea")),
    Row("scope of a cookie", "/orders", 200, "granted", session(scope="orders:read")),
    Row("scope nobody", "/orders", 401, "credentials_missing", NOTHING, MISSING),
    Row("scope, not granted", "/orders", 403, "not_granted", bearer("eve", scope="orders:read")),
    Row("scope concealed", "/admin/orders", 404, "concealed", bearer(scope="orders:read")),
    Row("scope concealed, granted", "/admin/orders", 404, "concealed", bearer("root", **ADMIN)),
]
rows = pytest.mark.parametrize("row", TABLE, ids=str)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@rows
async def test_four_ways_give_the_verdict(accepting: Running, row: Row) -> None:
    await check_verdict(accepting, row)
    await check_native(accepting, row)


INSUFFICIENT = (
    ', error="insufficient_scope",'
    ' error_description="The access token lacks a scope that this needs"'
)
TELLING = ('realm = "tests"', 'realm = "tests"\nchallenge_on_403 = true')


@pytest.mark.parametrize("changes", [(), (TELLING,)], ids=["by default", "telling"])
async def test_a_403_for_want_of_a_scope_says_so(
    tmp_path: Path, changes: tuple[tuple[str, str], ...]
) -> None:
    whole = f'{BEARER}{INSUFFICIENT}, scope="orders:read"{METADATA}' if changes else None
    async with serving(tmp_path, *changes) as live:
        row = Row("", "/orders", 403, "", bearer())
        forward, nginx = await by_forward(live, row), await by_nginx(live, row)
        assert (forward.status, nginx.status, nginx.body) == (403, 403, b"")
        assert forward.field("WWW-Authenticate") == nginx.field("WWW-Authenticate") == whole
        assert forward.body.startswith(b'{"error":"insufficient_scope",')
        ungranted = await by_forward(live, Row("", "/audit", 403, "", bearer()))
        assert (ungranted.status, ungranted.field("WWW-Authenticate")) == (403, None)


@pytest.mark.parametrize("ask", [by_forward, by_nginx])
async def test_a_concealed_page_tells_no_scope(tmp_path: Path, ask: Any) -> None:
    async with serving(tmp_path, TELLING) as live:
        answers = {
            await ask(live, Row("", resource, 404, "", bearer("root", **ADMIN)))
            for resource in ("/admin/orders", "/admin/ghost", "/ghost")
        }
    (only,) = answers
    assert only.field("WWW-Authenticate") is None


@pytest.mark.parametrize(
    ("subject", "status", "context"),
    [("root", 404, {"token": token("root", **ADMIN)}), ("anonymous", 401, {})],
)
async def test_authzen_tells_no_scope_of_what_is_hidden(
    accepting: Running, subject: str, status: int, context: dict[str, str]
) -> None:
    for resource in ("/admin/orders", "/admin/ghost", "/ghost"):
        question = {
            "subject": {"type": "user", "id": subject},
            "action": {"name": "GET"},
            "resource": {"type": "resource", "id": resource},
            "context": {"ip": HOME, "country": "DE", **context},
        }
        _, body = await accepting.ask("POST", "/access/v1/evaluation", json=question)
        told = json.loads(body)["context"]
        assert told["status"] == status
        assert told.keys() <= {"status", "decision_id", "reason", "reason_user", "reason_admin"}
