"""Heads and handshakes that never end: what they may take, and that others are answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import support
from support import Running
from tls_made import Authority, Pair

from pdp.surfaces.connections import Connection

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: pdp\r\n\r\n"
FIELD = b"X-%03d: " + b"a" * 60_000 + b"\r\n"
TINY = LIVEZ[:-2] + b"".join(b"%03x:%03x\r\n" % (n, n) for n in range(1_000))

BODY = b'{"action":"GET","resource":"/docs/a","context":{"ip":"::1"}}'
QUESTION = (
    b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY

OPEN = 'pdp_connections{listener="main"}'
FULL, HEAD, HANDSHAKE = (
    f'pdp_connections_closed_total{{listener="main",reason="{reason}"}}'
    for reason in ("full", "head", "handshake")
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def place(server: Running) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


async def until_closed(streams: Streams, limit: float = 5) -> bytes:
    """What the PDP said before it closed the connection."""
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(limit):
            while data := await streams[0].read(65_536):
                said += data
    streams[1].close()
    return said


async def metric(server: Running, line: str) -> float:
    _, body = await server.ask("GET", "/metrics", admin=True)
    found = re.search(rf"^{re.escape(line)} (\S+)$", body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def until(server: Running, line: str, least: float) -> None:
    """Wait until a metric has come so far."""
    for _ in range(100):
        if await metric(server, line) >= least:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(line)


@pytest.fixture
async def hasty(policies: Path) -> AsyncIterator[Running]:
    async with support.pdp(policies, header_seconds=0.5) as running:
        yield running


async def test_of_a_head_without_an_end_no_more_is_taken_than_a_head_may_be(
    server: Running,
) -> None:
    reader, writer = await asyncio.open_connection(*place(server))
    writer.write(LIVEZ[:-2])
    sent = 0
    with contextlib.suppress(ConnectionError):
        for number in range(500):
            writer.write(FIELD % number)
            await writer.drain()
            sent += 60_000
            if reader.at_eof() or b"HTTP" in getattr(reader, "_buffer", b""):
                break
            await asyncio.sleep(0)
    assert b" 400 " in (await until_closed((reader, writer)))[:20]
    assert sent < 10_000_000  # most of it in the system's own buffers


@pytest.mark.parametrize("ahead", [LIVEZ, LIVEZ * 40], ids=["one", "many"])
@pytest.mark.parametrize("upgrade", [False, True], ids=["plain", "upgrade"])
async def test_a_head_behind_a_request_is_waited_for_no_longer(
    hasty: Running, ahead: bytes, upgrade: bool
) -> None:
    if upgrade:
        ahead += LIVEZ[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    streams = await asyncio.open_connection(*place(hasty))
    streams[1].write(ahead + LIVEZ[:-2] + b"X-Held: " + b"a" * 30_000)
    began = time.monotonic()
    said = await until_closed(streams)
    assert said.count(b"HTTP/1.1 200 ") == ahead.count(b"\r\n\r\n")
    assert 0.3 < time.monotonic() - began < 2
    assert await metric(hasty, HEAD) == 1


@pytest.mark.parametrize("asked", [LIVEZ + QUESTION, QUESTION * 3], ids=["a body last", "bodies"])
async def test_whoever_asks_several_at_once_is_answered_and_stays(
    hasty: Running, asked: bytes
) -> None:
    reader, writer = await asyncio.open_connection(*place(hasty))
    writer.write(asked)
    await asyncio.sleep(1.2)
    assert (await reader.read(65_536)).count(b"HTTP/1.1 200 ") == asked.count(b"HTTP/1.1")
    assert not reader.at_eof()
    assert await metric(hasty, HEAD) == 0
    writer.close()


async def test_trailers_of_many_connections_take_no_more_than_all_may(server: Running) -> None:
    chunked = QUESTION.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    held = [await asyncio.open_connection(*place(server)) for _ in range(120)]
    for _, writer in held:
        writer.write(chunked + b"2\r\n{}\r\n0\r\n" + TINY.partition(b"pdp\r\n")[2])
    await until(server, FULL, 20)
    assert (await server.ask("GET", "/livez"))[0].status == 200
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("size", [1, 700])
async def test_whoever_asks_by_and_by_is_answered_and_stays(hasty: Running, size: int) -> None:
    reader, writer = await asyncio.open_connection(*place(hasty))
    for _ in range(3):
        for request in (LIVEZ, QUESTION):
            for at in range(0, len(request), size):
                writer.write(request[at : at + size])
                await asyncio.sleep(0)
            assert (await reader.read(65_536)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.3)
    await asyncio.sleep(0.6)
    assert not reader.at_eof()
    writer.close()


async def test_short_fields_of_many_connections_take_no_more_than_all_may(
    server: Running,
) -> None:
    """Each takes 400 kB of memory for 9 kB on the wire."""
    held = [await asyncio.open_connection(*place(server)) for _ in range(120)]
    for _, writer in held:
        writer.write(TINY)
    await until(server, FULL, 20)
    assert not held[-1][0].at_eof()  # the oldest make room
    async with asyncio.timeout(1):
        assert (await server.ask("GET", "/livez"))[0].status == 200
    for _, writer in held:
        writer.close()


# Answers


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("path", [b"/openapi.json", b"/livez"])
async def test_no_more_answers_are_made_than_are_read(
    policies: Path, path: bytes, version: bytes
) -> None:
    kept = b"Connection: keep-alive\r\n"
    asked = b"GET " + path + b" HTTP/" + version + b"\r\nHost: pdp\r\n" + kept + b"\r\n"

    def unread() -> int:
        found = [o.transport for o in gc.get_objects() if isinstance(o, Connection)]
        return sum(transport.get_write_buffer_size() for transport in found if transport)

    bounds = {"header_seconds": 0.5, "body_seconds": 1.5}
    async with support.pdp(policies, **bounds) as server:
        loop, most = asyncio.get_running_loop(), 0
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            await loop.sock_connect(client, place(server))
            sending = asyncio.create_task(loop.sock_sendall(client, asked * 400_000))
            while not sending.done():
                most = max(most, unread())
                await asyncio.sleep(0.02)
            assert isinstance(sending.exception(), ConnectionError)
        assert most < 300_000  # one answer, and what came before it
        assert await metric(server, FULL.replace("full", "unread")) == 1


# Handshakes


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Authority, Pair]:
    authority = Authority(tmp_path)
    return authority, authority.server()


async def is_served(server: Running, tls: ssl.SSLContext) -> bool:
    url = server.url.replace("http:", "https:") + "/livez"
    async with asyncio.timeout(2), server.session.get(url, ssl=tls) as answer:
        return answer.status == 200


@pytest.mark.parametrize("most", [20, 5_000])
async def test_handshakes_that_do_not_go_on_keep_nobody_out(
    policies: Path, pair: tuple[Authority, Pair], most: int
) -> None:
    authority, files = pair
    tls = {"tls_cert": str(files.cert), "tls_key": str(files.key)}
    bounds = {"header_seconds": 2, "max_connections": most}
    client = authority.client()
    async with support.pdp(policies, **tls, **bounds) as server:
        held = []
        for number in range(400):
            held.append(await asyncio.open_connection(*place(server)))
            held[-1][1].write(b"\x16\x03\x01\x02\x00\x01")
            if number % 100 == 99:
                await asyncio.sleep(0.05)
                assert await is_served(server, client)
        there = await metric(server, OPEN)
        assert there <= min(most, 256 + 5)  # those that are kept, and handshakes
        full = await metric(server, FULL)
        assert full >= 400 - there
        for streams in held:
            await until_closed(streams)
        assert await metric(server, HANDSHAKE) >= 400 - full - 5
        assert await metric(server, OPEN) < 5
        assert await is_served(server, client)


async def test_handshakes_that_fail_leave_nothing_behind(
    policies: Path, pair: tuple[Authority, Pair]
) -> None:
    tls = {"tls_cert": str(pair[1].cert), "tls_key": str(pair[1].key)}
    async with support.pdp(policies, **tls) as server:
        for said in (LIVEZ, b"", b"\x16\x03\x01"):
            _, writer = streams = await asyncio.open_connection(*place(server))
            writer.write(said)
            writer.write_eof()
            assert b"HTTP" not in await until_closed(streams)
        await until(server, HANDSHAKE, 3)
        assert await metric(server, OPEN) == 0
