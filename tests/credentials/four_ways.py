"""What a row says, by each of the four ways to ask."""

from __future__ import annotations

from credentialed import Row, by_engine, by_forward, by_json, by_nginx, nginx_status
from support import Running


async def check_verdict(server: Running, row: Row) -> None:
    """The seven steps and both endpoints for gateways give it, and its challenge."""
    verdict = await by_engine(server, row)
    assert (verdict.status, verdict.reason) == (row.status, row.reason)
    assert row.subject is None or (verdict.identity and verdict.identity.id) == row.subject
    forward, nginx = await by_forward(server, row), await by_nginx(server, row)
    assert (forward.status, nginx.status) == (row.status, nginx_status(row.status))
    assert nginx.field("X-Authz-Status") == (str(row.status) if nginx.status == 403 else None)
    assert (forward.body == b"", nginx.body) == (row.status == 200, b"")
    for shown in (forward, nginx):
        assert shown.field("WWW-Authenticate") == row.challenge
        if row.status != 200 or row.subject is not None:
            told = "" if row.subject == "anonymous" else row.subject
            assert shown.field("X-Auth-Subject") == told


async def check_native(server: Running, row: Row) -> None:
    """So does the JSON API."""
    native = await by_json(server, row)
    assert (native["status"], native["reason"]) == (row.status, row.reason)
    assert native["response"]["status"] == row.status
    assert native["response"]["headers"].get("WWW-Authenticate") == row.challenge
    assert row.subject is None or native["subject"]["id"] == row.subject
