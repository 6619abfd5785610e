"""What is answered at once is answered as in a task of aiohttp's, and what waits is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest

from pdp.errors import RequestError
from pdp.model import Answer
from pdp.runtime.journal_asking import asking, note_request
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.answering import Answering, Server
from pdp.surfaces.bodies import TooLarge, read_body
from pdp.surfaces.connections import Bounds
from pdp.surfaces.requests import Request

IDLE: Final = 0.4
SETTINGS: Final = ServerSettings(max_body_bytes=64, body_seconds=0.3)
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
GET: Final = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
JSON: Final = b"Content-Type: application/json\r\n"
POST: Final = b"POST /p HTTP/1.1\r\nHost: x\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}"


async def echo(request: Request) -> Answer:
    """Tells what was understood, and whether that was in a task."""
    body = await read_body(request, SETTINGS) if request.method == "POST" else b""
    told = f"{request.method} {request.target} {body!r}".encode()
    how = "at once" if asyncio.current_task() is None else "in a task"
    return Answer(200, (("How", how),), told)


def serve(answer: Answering, most: int = 10) -> Server:
    bounds = Bounds(
        most=most, head_seconds=5, idle_seconds=IDLE, unread_seconds=5, closed=lambda _: None
    )
    return Server(answer, SETTINGS, bounds)


@contextlib.asynccontextmanager
async def serving(answer: Answering, most: int = 10) -> AsyncIterator[tuple[str, int]]:
    server = serve(answer, most)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()
    finally:
        listening.close()
        await server.shutdown(0.1)


async def hear(reader: asyncio.StreamReader, seconds: float = 0.15) -> bytes:
    """All that comes in that time."""
    heard = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65_536):
                heard += piece
    return heard


async def asked(place: tuple[str, int], *pieces: bytes) -> bytes:
    """What comes back for these pieces, sent one after the other; dates are made one."""
    reader, writer = await asyncio.open_connection(*place)
    await asyncio.sleep(0.02)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    heard = await hear(reader)
    writer.close()
    return re.sub(rb"Date: [^\r]+", b"Date: now", heard)


def without_how(heard: bytes) -> bytes:
    return re.sub(rb"How: [^\r]+", b"", heard)


@pytest.mark.parametrize(
    ("request_", "at_once"),
    [
        (GET, True),
        (POST, True),
        (GET.replace(b"Host", b"Expect: 100-continue\r\nHost"), True),
        (GET.replace(b"Host", b"Connection: keep-alive\r\nHost"), True),
        (GET.replace(b"Host", b"Connection: close\r\nHost"), False),
        (GET.replace(b"1.1", b"1.0"), False),
        (GET.replace(b"GET", b"HEAD"), False),
        (POST.replace(b"Content-Length: 2\r\n\r\n{}", CHUNKED), False),
        (GET + GET, False),
        (POST + POST, False),
    ],
)  # fmt: skip
async def test_an_answer_is_the_same_however_the_request_comes(
    request_: bytes, at_once: bool
) -> None:
    async with serving(echo) as place:
        whole = await asked(place, request_)
        assert (b"How: at once" in whole) is at_once
        for cut in (1, len(request_) // 2, len(request_) - 1):
            pieces = await asked(place, request_[:cut], request_[cut:])
            assert without_how(pieces) == without_how(whole)
        assert whole.count(b"HTTP/1.1 200 OK") == request_.count(b"Host") or b"1.0" in request_


async def test_requests_are_answered_in_order_while_the_first_waits() -> None:
    free = asyncio.Event()

    async def slow(request: Request) -> Answer:
        if request.target == "/slow":
            await free.wait()
        return await echo(request)

    async with serving(slow) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        await asyncio.sleep(0.02)
        for target in (b"/slow", b"/2", b"/3"):
            writer.write(GET.replace(b"/a?b", target))
            await asyncio.sleep(0.02)
        assert await hear(reader, 0.1) == b""
        free.set()
        assert re.findall(rb"GET (\S+)", await hear(reader)) == [b"/slow", b"/2", b"/3"]
        writer.close()


async def test_what_waits_goes_on_once_with_what_was_noted() -> None:
    """A request begins before its task does, and its ids and its timers go with it."""
    begun, seen = [], []

    async def waiting(request: Request) -> Answer:
        begun.append(request.target)
        note_request(request.headers)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.sleep(0.01)
        seen.append(asking().request_ids)
        return Answer(200)

    async with serving(waiting) as place:
        heard = await asked(place, GET.replace(b"Host", b"X-Request-ID: mine\r\nHost"))
    assert heard.startswith(b"HTTP/1.1 200")
    assert begun == ["/a?b"]
    assert [list(ids) for ids in seen] == [["mine"]]


async def test_what_has_begun_comes_to_its_end_once_though_its_client_is_gone() -> None:
    """It holds a turn, which nobody else would ever get, and is recorded."""
    turn, begun, ended = asyncio.Semaphore(1), list[int](), list[int]()

    async def taking_turns(request: Request) -> Answer:
        begun.append(1)
        async with turn:
            await asyncio.sleep(0.001)
        ended.append(1)
        return await echo(request)

    async with serving(taking_turns) as (host, port):
        for _ in range(10):
            crowd = [socket.create_connection((host, port)) for _ in range(10)]
            for one in crowd:
                one.sendall(GET)
                one.close()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert (await asked((host, port), GET)).startswith(b"HTTP/1.1 200")
    assert 1 < len(begun) == len(ended)


async def test_a_server_that_drains_waits_for_what_has_begun_for_nobody() -> None:
    free = asyncio.Event()

    async def slow(_: Request) -> Answer:
        await free.wait()
        return Answer(200)

    server = serve(slow)
    ours, theirs = socket.socketpair()
    _, connection = await asyncio.get_running_loop().connect_accepted_socket(server, ours)
    theirs.sendall(GET)
    theirs.close()
    await asyncio.sleep(0.05)
    assert connection.transport is None
    assert server.close_waiting()
    free.set()
    await asyncio.sleep(0.01)
    assert not server.close_waiting()


async def test_many_at_once_behind_a_body_in_pieces_are_all_answered() -> None:
    for many in (31, 32, 33, 40, 100):
        async with serving(echo) as place:
            heard = await asked(place, POST[:-1], POST[-1:], GET * many)
            assert heard.count(b"HTTP/1.1 200") == 1 + many


async def test_a_request_tells_that_nobody_waits_for_it_any_more() -> None:
    gone = asyncio.Event()

    async def patient(request: Request) -> Answer:
        while not request.is_abandoned:  # noqa: ASYNC110 - a request has no event
            await asyncio.sleep(0.01)
        gone.set()
        return Answer(200)

    async with serving(patient) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        await asyncio.sleep(0.02)
        writer.write(GET)
        await asyncio.sleep(0.05)
        assert not gone.is_set()
        writer.transport.abort()
        await asyncio.wait_for(gone.wait(), 2)


@pytest.mark.parametrize("pieces", [(GET,), (GET[:9], GET[9:])], ids=["at once", "in a task"])
async def test_a_field_that_ends_its_line_is_a_fault_and_nothing_of_it_is_sent(
    pieces: tuple[bytes, ...],
) -> None:
    async def unsound(_: Request) -> Answer:
        return Answer(200, (("X-Auth-Subject", "a\r\nX-Auth-Roles: admin"),))

    async with serving(unsound) as place:
        heard = await asked(place, *pieces)
    assert heard.startswith(b"HTTP/1.1 503 ")
    assert b"admin" not in heard


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (POST.replace(b"2\r\n\r\n{}", b"65\r\n\r\n" + b" " * 65), "TooLarge"),
        (POST.replace(b"2\r\n\r\n{}", b"65\r\n\r\n"), "TooLarge"),
        (POST.replace(b"2\r\n\r\n{}", b"3\r\n\r\n{}"), "body: did not arrive in time"),
        (POST.replace(JSON, b""), "Content-Type: must be application/json"),
        (POST.replace(JSON, b"Content-Type: application/json; charset=utf-8\r\n"), "{}"),
        (POST.replace(JSON, JSON + b"Content-Encoding: gzip\r\n"), "is not supported"),
    ],
)  # fmt: skip
async def test_bodies_are_bounded(request_: bytes, problem: str) -> None:
    async def read(request: Request) -> Answer:
        try:
            return Answer(200, body=await read_body(request, SETTINGS))
        except (TooLarge, RequestError) as error:
            return Answer(200, body=(str(error) or type(error).__name__).encode())

    async with serving(read) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        await asyncio.sleep(0.02)
        writer.write(request_)
        assert (await hear(reader, 0.6)).endswith(problem.encode())
        writer.close()


async def test_who_expects_to_be_asked_for_the_body_is_asked() -> None:
    async with serving(echo) as place:
        head, body = POST[:-2].replace(b"Host", b"Expect: 100-continue\r\nHost"), POST[-2:]
        heard = await asked(place, head, body)
    assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_connection_that_is_used_stays_and_an_idle_one_ends() -> None:
    async with serving(echo) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        await asyncio.sleep(0.02)
        for _ in range(4):
            writer.write(GET)
            assert b"at once" in await hear(reader, IDLE / 2)
        async with asyncio.timeout(IDLE * 5):
            assert await reader.read() == b""
        writer.close()


async def connected(place: tuple[str, int], count: int) -> list[socket.socket]:
    """So many connections, which the server has accepted."""
    made = [socket.create_connection(place) for _ in range(count)]
    for each in made:
        each.setblocking(False)
    await asyncio.sleep(0.05)
    return made


async def answers(connections: list[socket.socket]) -> list[bytes]:
    """What each has to read by now."""
    await asyncio.sleep(0.1)
    heard = []
    for each in connections:
        try:
            heard.append(each.recv(65_536))
        except BlockingIOError:
            heard.append(b"")
        each.close()
    return heard


async def crowd(place: tuple[str, int]) -> tuple[list[socket.socket], socket.socket]:
    """Fifteen who have asked for what takes long, and one that is known but has not asked yet."""
    *others, late = await connected(place, 16)
    for each in others:
        each.sendall(GET.replace(b"/a?b", b"/busy"))
    return others, late


async def test_who_asks_at_the_same_time_is_answered_each() -> None:
    async with serving(echo, most=70) as place:
        connections = await connected(place, 50)
        for number, each in enumerate(connections):
            each.sendall(GET.replace(b"/a?b", b"/%d." % number))
        for number, heard in enumerate(await answers(connections)):
            assert heard.count(b"HTTP/1.1 200") == 1
            assert b"GET /%d." % number in heard
            assert b"How: at once" in heard


async def test_one_that_fails_keeps_nobody_else_from_an_answer() -> None:
    """No handler raises; if one did, that would be its own connection's misfortune."""

    async def failing(request: Request) -> Answer:
        if request.target == "/5.":
            raise LookupError
        return await echo(request)

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with serving(failing, most=70) as place:
        connections = await connected(place, 40)
        for number, each in enumerate(connections):
            each.sendall(GET.replace(b"/a?b", b"/%d." % number))
        answered = [b"HTTP/1.1 200" in heard for heard in await answers(connections)]
    assert answered == [number != 5 for number in range(40)]


async def test_an_answer_waits_for_no_others_that_take_long() -> None:
    seen = []

    async def slow(request: Request) -> Answer:
        for each in connections:
            with contextlib.suppress(BlockingIOError):
                seen.append(each.recv(1, socket.MSG_PEEK))
        time.sleep(0.01)  # noqa: ASYNC251 - as a policy does that is costly to judge
        return await echo(request)

    async with serving(slow) as place:
        connections = await connected(place, 2)
        for each in connections:
            each.sendall(GET)
        first, second = await answers(connections)
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")
    assert seen == [b"H"]  # one answer, which was there when the other one was begun


@pytest.mark.parametrize("second", [GET.replace(b"/a?b", b"/second"), b"GET /sec", b"\r\n"])
async def test_what_comes_before_its_turn_keeps_its_order(second: bytes) -> None:
    """The next request, or a part of it, is read while the first one waits for others."""

    async def busy(request: Request) -> Answer:
        if request.target == "/busy":
            if seen.count("/busy") == 1:  # before this turn ends, and before the next one begins
                late.sendall(second)
            time.sleep(0.005)  # noqa: ASYNC251 - as a policy does that is costly to judge
        seen.append(request.target)
        return await echo(request)

    seen: list[str] = []
    async with serving(busy, most=20) as place:
        others, late = await crowd(place)
        late.sendall(GET.replace(b"/a?b", b"/first"))
        await asyncio.sleep(0.2)
        late.sendall(GET.replace(b"/a?b", b"/second").removeprefix(second))
        *rest, heard = await answers([*others, late])
    assert [told.count(b"HTTP/1.1 200") for told in rest] == [1] * 15
    assert re.findall(rb"GET (\S+)", heard) == [b"/first", b"/second"]
    assert heard.count(b"HTTP/1.1 200") == 2
    assert sorted(seen) == ["/busy"] * 15 + ["/first", "/second"]


async def test_who_says_that_nothing_more_comes_is_answered() -> None:
    async def busy(request: Request) -> Answer:
        if not seen:
            late.shutdown(socket.SHUT_WR)  # as some clients do behind their last request
        seen.append(request.target)
        time.sleep(0.005)  # noqa: ASYNC251
        return await echo(request)

    seen: list[str] = []
    async with serving(busy, most=20) as place:
        others, late = await crowd(place)
        late.sendall(GET.replace(b"/a?b", b"/last"))
        *rest, heard = await answers([*others, late])
    assert [told.count(b"HTTP/1.1 200") for told in rest] == [1] * 15
    assert re.findall(rb"GET (\S+)", heard) == [b"/last"]
    assert seen.count("/last") == 1


async def test_who_waits_for_its_turn_is_not_idle() -> None:
    async def busy(request: Request) -> Answer:
        if request.target == "/busy":
            time.sleep(IDLE / 10)  # noqa: ASYNC251
        return await echo(request)

    async with serving(busy, most=20) as place:
        *others, late = await connected(place, 16)
        for each in (late, *others):  # all of them are known, and idle from here on
            each.sendall(GET)
        await asyncio.sleep(IDLE / 2)
        for each in others:
            each.sendall(GET.replace(b"/a?b", b"/busy"))
        late.sendall(GET.replace(b"/a?b", b"/last"))
        await asyncio.sleep(2 * IDLE)
        *rest, heard = await answers([*others, late])
    assert [told.count(b"HTTP/1.1 200") for told in rest] == [2] * 15
    assert re.findall(rb"GET (\S+)", heard) == [b"/a?b", b"/last"]
