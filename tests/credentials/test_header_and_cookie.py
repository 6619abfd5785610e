"""A header beside a cookie, which the browser sends unasked: who is believed, and when neither."""

from __future__ import annotations

import pytest
from bad_credentials import BAD_COOKIES, PAGE, STRANGER, allowed, refused
from credentialed import (
    EXPIRED,
    INVALID,
    MISSING,
    Presented,
    Row,
    api_key,
    api_key_scheme,
    basic,
    bearer,
    by_json,
    session,
)
from four_ways import check_verdict
from support import Running

BOTH = [
    *(
        allowed(f"20 good header, cookie {name}", bearer() | presented, "alice")
        for name, presented in BAD_COOKIES.items()
    ),
    allowed("the same subject twice", bearer() | session(), "alice"),
    allowed("key and a bad cookie", api_key("robot") | BAD_COOKIES["forged"], "robot"),
    allowed("password and a bad cookie", basic("bea") | BAD_COOKIES["expired"], "local:bea"),
    *(
        Row(f"two subjects: {name}", resource, 400, "request_invalid", presented | session())
        for name, presented in {
            "token": bearer("bob"),
            "key": api_key("robot"),
            "scheme": api_key_scheme("robot"),
            "password": basic("bea"),
        }.items()
        for resource in (PAGE, "/docs/a", "/ghost")
    ),
    refused("bad token, good cookie", bearer(exp=1) | session(), "token_expired", EXPIRED),
    *(
        refused(f"opens nothing {i}, good cookie", presented | session(), reason, challenge, to)
        for i, (presented, reason, challenge) in enumerate(
            (
                (api_key("off"), "api_key_invalid", MISSING),
                (api_key_scheme("posing"), "api_key_invalid", MISSING),
                (basic("off"), "password_invalid", MISSING),
                (bearer("off"), "account_disabled", INVALID),
                (bearer("member"), "token_invalid", INVALID),
            )
        )
        for to in (PAGE, "/docs/a")
    ),
    *(
        refused(f"bad header, good cookie {reason}", presented | session(), reason, challenge, to)
        for presented, reason, challenge in (
            (bearer(key=STRANGER), "token_invalid", INVALID),
            (bearer("bob", jti="stolen"), "token_revoked", INVALID),
            (api_key("shut"), "api_key_invalid", MISSING),
            (basic("bea", "x"), "password_invalid", MISSING),
            (Presented("Digest a=b"), "scheme_unsupported", MISSING),
        )
        for to in (PAGE, "/docs/a")
    ),
]
both = pytest.mark.parametrize("row", BOTH, ids=str)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@both
async def test_three_ways_give_the_verdict(accepting: Running, row: Row) -> None:
    await check_verdict(accepting, row)


# JSON callers choose what they send: two are one too many.
@both
async def test_the_json_api_takes_one_credential_only(accepting: Running, row: Row) -> None:
    assert (await by_json(accepting, row))["error"] == "invalid_request"
