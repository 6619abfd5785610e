"""What each kind of credential gets, through the engine, the JSON API and gateways alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from bad_credentials import (
    BAD_COOKIES,
    BAD_KEYS,
    BAD_PASSWORDS,
    BAD_TOKENS,
    PAGE,
    allowed,
    public,
    refused,
)
from credentialed import (
    EXPIRED,
    INVALID,
    NOTHING,
    Presented,
    Row,
    Shown,
    api_key,
    api_key_scheme,
    basic,
    bearer,
    by_forward,
    by_nginx,
    session,
)
from four_ways import check_native, check_verdict
from support import Running

RESOURCES = (PAGE, "/admin", "/ghost", "/orders", "/transfers", "/news")

TABLE = [
    *(refused("1", NOTHING, "credentials_missing", resource=r) for r in RESOURCES),
    *(
        refused(f"4/6 {name}", presented, reason, INVALID, resource)
        for name, (presented, reason) in BAD_TOKENS.items()
        for resource in (PAGE, "/docs/a", "/ghost")
    ),
    refused("5", bearer(exp=1), "token_expired", EXPIRED),
    allowed("6 enabled account", bearer("bob"), "bob"),
    allowed("6 another token of hers", bearer(jti="kept"), "alice"),
    allowed("7 header", api_key("robot"), "robot"),
    allowed("7 scheme", api_key_scheme("robot"), "robot"),
    allowed("7 lower case", Presented("apikey key-of-robot-0123456789"), "robot"),
    allowed("7 role of a key", api_key("audits"), "inspector", "/audit"),
    *(
        refused(f"7 {name}", way(key), "api_key_invalid", resource=resource)
        for name, key in BAD_KEYS.items()
        for way in (api_key, api_key_scheme)
        for resource in (PAGE, "/docs/a")
    ),
    refused("7 empty", Presented(api_key=""), "api_key_invalid"),
    refused("7 padded", Presented(api_key="key-of-robot-0123456789,"), "api_key_invalid"),
    allowed("8", session(), "alice"),
    refused("8 missing", Presented(cookie="theme=dark"), "credentials_missing"),
    refused("8 prefix of the name", Presented(cookie="__Host-sessio=x"), "credentials_missing"),
    *(
        refused(f"8/20 {name}", presented, "session_invalid")
        for name, presented in BAD_COOKIES.items()
    ),
    *(public(f"20 {name}", presented) for name, presented in BAD_COOKIES.items()),
    allowed("9", basic("bea"), "local:bea"),
    *(
        refused(f"9 {name}", presented, "password_invalid", resource=resource)
        for name, presented in BAD_PASSWORDS.items()
        for resource in (PAGE, "/docs/a")
    ),
    refused("9 malformed", Presented("Basic !"), "credentials_malformed", INVALID),
    Row("10", "/audit", 403, "not_granted", bearer()),
    Row("10 key", "/audit", 403, "not_granted", api_key("robot")),
    Row("10 password", "/audit", 403, "not_granted", basic("bea")),
    Row("10 cookie", "/audit", 403, "not_granted", session()),
    *(
        Row(f"12 {name}", resource, 403, "guard_denied", presented, country="KP")
        for name, presented in {
            "nobody": NOTHING,
            "token": bearer(),
            "bad token": Presented("Bearer x"),
            "key": api_key("robot"),
            "password": basic("bea"),
            "wrong password": basic("bea", "x"),
            "cookie": session(),
        }.items()
        for resource in (PAGE, "/docs/a", "/admin")
    ),
    *(
        Row(f"15/16 {name}", resource, 404, reason, presented)
        for name, presented in {
            "key": api_key("robot"),
            "password": basic("bea"),
            "cookie": session(),
        }.items()
        for resource, reason in (("/admin", "concealed"), ("/ghost", "resource_unknown"))
    ),
    public("19", NOTHING),
    *(
        public(f"19 {name}", presented, name)
        for name, presented in {
            "alice": session(),
            "robot": api_key("robot"),
            "local:bea": basic("bea"),
        }.items()
    ),
]
rows = pytest.mark.parametrize("row", TABLE, ids=str)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@rows
async def test_four_ways_give_the_verdict(accepting: Running, row: Row) -> None:
    await check_verdict(accepting, row)
    await check_native(accepting, row)


SAME = {
    "nothing, or a bad cookie": [NOTHING, *BAD_COOKIES.values()],
    "a bad key": [way(key) for key in BAD_KEYS.values() for way in (api_key, api_key_scheme)],
    "a bad password": list(BAD_PASSWORDS.values()),
    "a bad token": [presented for presented, _ in BAD_TOKENS.values()],
}
SECLUDED = (PAGE, "/admin", "/admin/orders", "/admin/ghost", "/ghost", "/orders", "/transfers")


@pytest.mark.parametrize("ask", [by_forward, by_nginx])
@pytest.mark.parametrize("presented", SAME.values(), ids=SAME)
async def test_nothing_tells_why_a_credential_is_bad_nor_what_there_is(
    accepting: Running,
    presented: list[Presented],
    ask: Callable[[Running, Row], Awaitable[Shown]],
) -> None:
    answers = {
        await ask(accepting, Row("", resource, 401, "", given, ip=f"192.0.2.{number}"))
        for given in presented
        for number, resource in enumerate(SECLUDED)  # not ten wrong passwords from one address
    }
    (only,) = answers
    assert only.status == 401
