"""Clients that send next to nothing: the short form of `benchmarks/hostile.py`, and each bound."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import support
from support import Running

HOSTILE = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: pdp\r\n\r\n"
POST = (
    b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 9\r\n\r\n"
)


@pytest.fixture(scope="module")
def short_forms() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Over TLS and not, side by side: both mostly wait."""
    running = {
        name: subprocess.Popen(  # noqa: S603
            [sys.executable, str(HOSTILE), "--short", *flags], stdout=PIPE, stderr=PIPE, text=True
        )
        for name, flags in {"http": [], "https": ["--tls"]}.items()
    }
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


def test_slow_connections_are_closed_and_cost_little(
    short_forms: dict[str, subprocess.Popen[str]],
) -> None:
    told, errors = short_forms["http"].communicate(timeout=120)
    for name in ("slow heads", "slow bodies", "silent"):
        line = rf"^{name}: 100 opened, 100 closed, the last after (.*) s$"
        found = re.search(line, told, re.MULTILINE)
        assert found, told + errors
        assert float(found[1]) <= 15
    assert "kept: 100 opened, 0 closed" in told
    memory = re.search(r"at most ([\d.]+) MB more", told)
    assert memory, told
    assert float(memory[1]) <= 50
    waited = re.search(r"^hostile: .* median second ([\d.]+) ms", told, re.MULTILINE)
    assert waited, told
    assert float(waited[1]) <= 200  # a machine that runs other tests beside this; alone it is 10


def test_handshakes_that_do_not_go_on_are_closed_and_cost_little(
    short_forms: dict[str, subprocess.Popen[str]],
) -> None:
    told, errors = short_forms["https"].communicate(timeout=120)
    for name in ("handshakes", "silent"):
        line = rf"^{name}: 100 opened, 100 closed, the last after (.*) s$"
        found = re.search(line, told, re.MULTILINE)
        assert found, told + errors
        assert float(found[1]) <= 15
    memory = re.search(r"at most ([\d.]+) MB more", told)
    assert memory, told
    assert float(memory[1]) <= 50


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(server: Running, *, admin: bool = False) -> Streams:
    url = server.admin if admin else server.url
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def closed_after(streams: Streams, limit: float = 5) -> float:
    """Seconds until the PDP has closed it."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            while await streams[0].read(65_536):
                pass
    except ConnectionError:
        pass
    finally:
        streams[1].close()
    return time.monotonic() - began


async def is_open(streams: Streams) -> bool:
    """Whether it still answers."""
    streams[1].write(LIVEZ)
    try:
        return (await asyncio.wait_for(streams[0].read(4_096), 5)).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


async def closings(server: Running, reason: str, listener: str = "main") -> float:
    _, body = await server.ask("GET", "/metrics", admin=True)
    name = f'pdp_connections_closed_total{{listener="{listener}",reason="{reason}"}} '
    lines = [line for line in body.decode().splitlines() if line.startswith(name)]
    return float(lines[0].removeprefix(name)) if lines else 0.0


@pytest.fixture
async def hasty(policies: Path) -> AsyncIterator[Running]:
    """A PDP with a short patience and three connections."""
    bounds = {"header_seconds": 0.3, "body_seconds": 0.5, "idle_seconds": 1.0, "max_connections": 3}
    async with support.pdp(policies, **bounds) as running:
        yield running


async def test_a_head_that_drips_is_not_waited_for(hasty: Running) -> None:
    streams = await connect(hasty)

    async def drip() -> None:
        for byte in LIVEZ * 100:
            streams[1].write(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert 0.2 < await closed_after(streams) < 1
    dripping.cancel()
    assert await closings(hasty, "head") == 1


async def test_nor_is_the_head_of_a_second_request(hasty: Running) -> None:
    streams = await connect(hasty)
    assert await is_open(streams)
    streams[1].write(LIVEZ[:10])
    assert 0.2 < await closed_after(streams) < 0.9


async def test_a_client_that_says_nothing_is_not_waited_for(hasty: Running) -> None:
    assert 0.2 < await closed_after(await connect(hasty)) < 0.9


async def test_a_kept_connection_may_wait_longer_and_not_for_ever(hasty: Running) -> None:
    streams = await connect(hasty)
    assert await is_open(streams)
    await asyncio.sleep(0.7)
    assert await is_open(streams)
    assert 0.9 < await closed_after(streams) < 2


async def test_a_head_in_two_pieces_is_answered(hasty: Running) -> None:
    streams = await connect(hasty)
    for _ in range(3):
        streams[1].write(LIVEZ[:20])
        await asyncio.sleep(0.15)
        streams[1].write(LIVEZ[20:])
        assert (await streams[0].read(4_096)).startswith(b"HTTP/1.1 200 ")
    streams[1].close()


async def test_a_body_that_drips_is_not_waited_for(hasty: Running) -> None:
    streams = await connect(hasty)
    streams[1].write(POST + b"{")
    await asyncio.sleep(0.4)
    streams[1].write(b" ")  # no head: it is not judged by how long a head may take
    assert (await streams[0].readline()).startswith(b"HTTP/1.1 400 ")
    assert await closed_after(streams) < 2


async def test_a_client_that_reads_no_answer_is_not_waited_for(hasty: Running) -> None:
    host, port = hasty.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, (host, int(port)))
        many = LIVEZ * 500

        async def ask_for_ever() -> None:
            while True:
                await loop.sock_sendall(client, many)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), 30)
    assert await closings(hasty, "unread") == 1


async def test_whoever_waits_longest_makes_room(hasty: Running) -> None:
    kept = [await connect(hasty) for _ in range(3)]
    assert [await is_open(streams) for streams in kept] == [True] * 3
    assert await is_open(kept[0])  # so that the second one waits longest
    newest = await connect(hasty)
    assert await is_open(newest)
    assert [await is_open(streams) for streams in kept] == [True, False, True]
    assert await closings(hasty, "full") == 1
    for _, writer in (*kept, newest):
        writer.close()


async def test_requests_under_way_are_never_closed_for_a_new_connection(hasty: Running) -> None:
    busy = [await connect(hasty) for _ in range(3)]
    for _, writer in busy:
        writer.write(POST + b"{")
    await asyncio.sleep(0.1)
    refused, admin = await connect(hasty), await connect(hasty, admin=True)
    assert not await is_open(refused)
    assert await is_open(admin)  # a listener of its own
    for streams in (refused, admin):
        streams[1].close()
    for streams in busy:
        streams[1].write(b'"":1}   ')
        assert (await streams[0].readline()).startswith(b"HTTP/1.1 400 ")
        streams[1].close()


async def test_grpc_connections_are_bounded_too(policies: Path) -> None:
    port = support.free_port()
    bounds = {"header_seconds": 0.5, "max_connections": 2}
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    async with support.pdp(policies, grpc_listen=f"127.0.0.1:{port}", **bounds):
        silent = await asyncio.open_connection("127.0.0.1", port)
        assert 0.4 < await closed_after(silent) < 3
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(preface)
            assert await asyncio.wait_for(reader.read(9), 5)
        assert await closed_after(await asyncio.open_connection("127.0.0.1", port)) < 0.4
        for reader, writer in kept:
            assert not reader.at_eof()
            writer.close()
