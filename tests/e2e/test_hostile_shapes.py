"""Requests that two servers could read differently, and what becomes of what stands behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from pathlib import Path

import pytest
import support
from support import Running

QUESTION = b'{"action":"GET","resource":"/docs/a","context":{"ip":"::1"}}'
SIZE = b"%d" % len(QUESTION)
POST = b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GATEWAY = (
    b"GET /authz/forward HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Method: GET\r\n"
    b"X-Forwarded-Uri: /docs/a\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-For: 203.0.113.9\r\n"
    b"X-Forwarded-Proto: https\r\n"
)
BEHIND = b"GET /livez HTTP/1.1\r\nHost: pdp\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"


def chunks(data: bytes, line: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n0\r\n\r\n" % (len(data), line, data)


async def said(server: Running, *pieces: bytes, seconds: float = 0.5) -> tuple[list[int], bool]:
    """The statuses of all answers, and whether the connection was closed."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.05)
    data, closed = b"", False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not closed:
                more = await reader.read(65_536)
                data, closed = data + more, not more
    writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+)", data)], closed


def length(value: bytes) -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + QUESTION + BEHIND


REFUSED = {
    "both lengths": POST + b"Content-Length: " + SIZE + b"\r\n" + CHUNKED + b"\r\n" + BEHIND,
    "both, turned": POST + CHUNKED + b"Content-Length: 4\r\n\r\n" + chunks(QUESTION) + BEHIND,
    "two lengths": length(SIZE + b"\r\nContent-Length: 0"),
    "twice the same": length(SIZE + b"\r\nContent-Length: " + SIZE),
    "a list": length(SIZE + b", " + SIZE),
    "plus": length(b"+" + SIZE),
    "minus": length(b"-1"),
    "hexadecimal": length(b"0x10"),
    "underscore": length(b"5_9"),
    "other digits": length("\u0665".encode()),
    "endless": length(b"9" * 30),
    "a space before the colon": length(SIZE).replace(b"Length:", b"Length :"),
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + chunks(QUESTION) + BEHIND,
    "not chunked last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + BEHIND,
    "two codings": POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + BEHIND,
    "a vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + BEHIND,
    "a folded line": POST + b"X: a\r\n b\r\n\r\n" + BEHIND,
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + BEHIND,
    "bare line feeds": BEHIND.replace(b"\r\n", b"\n") + BEHIND,
    "one line feed": POST + b"X: a\n" + CHUNKED + b"\r\n" + BEHIND,
    "a carriage return": POST + b"X: a\r" + CHUNKED + b"\r\n" + BEHIND,
    "a NUL": POST + b"X: a\0\r\n\r\n" + BEHIND,
    "a line in a chunk's extension": POST + CHUNKED + b"\r\n" + chunks(QUESTION, b";a\nb") + BEHIND,
    "a negative chunk": POST + CHUNKED + b"\r\n-1\r\n" + BEHIND,
    "a chunk in another base": POST + CHUNKED + b"\r\n0x10\r\n" + BEHIND,
    "an endless chunk": POST + CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n" + BEHIND,
    "a chunk that is not ended": POST + CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n" + BEHIND,
    "HTTP/1.0 in chunks": POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + BEHIND,
    "no host": b"GET /livez HTTP/1.1\r\n\r\n" + BEHIND,
    "no name": b"GET /livez HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n" + BEHIND,
    "a space in a name": b"GET /livez HTTP/1.1\r\nHost: a\r\nX Y: x\r\n\r\n" + BEHIND,
    "only a host": b"GET pdp:80 HTTP/1.1\r\nHost: pdp\r\n\r\n" + BEHIND,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + BEHIND,
    "a bad chunk to a gateway": GATEWAY + CHUNKED + b"\r\nzz\r\n" + BEHIND,
}


@pytest.mark.parametrize("shape", REFUSED)
async def test_what_two_servers_could_read_differently_is_a_400_and_the_end(
    server: Running, shape: str
) -> None:
    assert await said(server, REFUSED[shape]) == ([400], True)


ANSWERED = {
    "a body to a gateway": (GATEWAY + b"Content-Length: %d\r\n\r\n" % len(BEHIND) + BEHIND, 200),
    "an upgrade": (GATEWAY + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    "a tunnel": (b"CONNECT pdp:80 HTTP/1.1\r\nHost: pdp\r\n\r\n", 404),
    "a proxy's target": (BEHIND.replace(b"/livez", b"http://pdp/livez"), 404),
    "no target": (b"OPTIONS * HTTP/1.1\r\nHost: pdp\r\n\r\n", 404),
    "a fragment": (BEHIND.replace(b"/livez", b"/livez#a"), 404),
    "HEAD": (BEHIND.replace(b"GET", b"HEAD"), 200),
    "no JSON": (POST + b"Content-Length: 3\r\n\r\n{{{", 400),
    "compressed": (POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 400),
    "another expectation": (length(SIZE).removesuffix(BEHIND), 200),
}


@pytest.mark.parametrize("shape", ANSWERED)
async def test_what_stands_behind_is_the_next_request_and_no_other(
    server: Running, shape: str
) -> None:
    """Once in one piece, and once after it: never is a body, or a part of it, taken for one."""
    asked, status = ANSWERED[shape]
    for pieces in ((asked + BEHIND,), (asked, BEHIND), (asked[:-9], asked[-9:] + BEHIND)):
        assert await said(server, *pieces) == ([status, 200], False)


ENDING = {
    "chunks": POST + CHUNKED + b"\r\n" + chunks(QUESTION),
    "a chunk's extension": POST + CHUNKED + b"\r\n" + chunks(QUESTION, b";a=b"),
    "chunks to a gateway": GATEWAY + CHUNKED + b"\r\n" + chunks(BEHIND),
    "an unknown upgrade": GATEWAY + UPGRADE + b"\r\n",
    "an unknown upgrade with a body": GATEWAY
    + UPGRADE
    + b"Content-Length: %d\r\n\r\n" % len(BEHIND)
    + BEHIND,
}


@pytest.mark.parametrize("shape", ENDING)
async def test_what_may_not_end_where_it_seems_to_is_the_last_if_more_came_with_it(
    server: Running, shape: str
) -> None:
    asked = ENDING[shape]
    for pieces in ((asked + BEHIND,), (asked[:-9], asked[-9:] + BEHIND)):
        assert await said(server, *pieces) == ([200], True)
    assert await said(server, asked, BEHIND) == ([200, 200], False)


@pytest.mark.parametrize("path", ["/livez", "/v1/decision", "/authz/forward", "/nowhere"])
@pytest.mark.parametrize("field", ["Authorization: Bearer {token}", "X-Forwarded-Uri: /docs/a"])
async def test_no_trailer_becomes_a_field_of_the_next_request(
    server: Running, path: str, field: str
) -> None:
    """aiohttp's parser adds the last one to whatever comes next, were that by another client."""
    trailer = field.format(token="a.b.c").encode()
    asked = b"POST %s HTTP/1.1\r\nHost: pdp\r\n%s\r\n" % (path.encode(), CHUNKED)
    asked += chunks(b"{}").removesuffix(b"\r\n") + trailer + b"\r\n\r\n"
    for pieces in ((asked + BEHIND,), (asked, BEHIND), (asked[:-20], asked[-20:], BEHIND)):
        statuses, ended = await said(server, *pieces)
        assert (len(statuses), ended) == (1, True)


@pytest.mark.parametrize("many", [1, *range(29, 36), 64, 65, 66])
async def test_no_trailer_does_so_among_many_requests_at_once(server: Running, many: int) -> None:
    asked = POST + CHUNKED + b"\r\n" + chunks(QUESTION)
    trailer = asked.removesuffix(b"\r\n") + b"Authorization: Bearer a.b.c\r\n\r\n"
    statuses, ended = await said(server, BEHIND * many + trailer + asked)
    assert (set(statuses), ended) == ({200}, True)  # a bad token would be a 401
    assert len(statuses) <= many + 1


@pytest.mark.parametrize("size", [b"2000000", b"9223372036854775808"], ids=["2 MB", "8 EiB"])
async def test_a_body_that_is_too_long_is_not_waited_for(server: Running, size: bytes) -> None:
    asked = POST + b"Expect: 100-continue\r\nContent-Length: " + size + b"\r\n\r\n{"
    assert await said(server, asked, seconds=3) == ([413], True)


async def test_who_goes_away_within_a_body_is_no_fault_of_ours(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(3):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(POST + b"Content-Length: 9\r\n\r\n{")
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_chunk_that_breaks_off_later_is_a_400(
    policies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with support.pdp(policies, body_seconds=0.5) as server:
        pieces = POST + CHUNKED + b"\r\n2\r\n{}", b"\r\nzz\r\n"
        assert await said(server, *pieces, seconds=5) == ([400], True)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
