"""Answers requests: at once where nothing has to be waited for, else in a task of aiohttp's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http import RawRequestMessage

from pdp.model import Answer
from pdp.runtime.journal_asking import Asking, asking, go_on_asking
from pdp.runtime.patience import Begun, Work, begin
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.connections import BoundedServer, Bounds, Connection
from pdp.surfaces.context import failed
from pdp.surfaces.exchange import Exchange, handle
from pdp.surfaces.replies import FAULT, RARE, response, written
from pdp.surfaces.requests import Request

log = logging.getLogger("pdp.http")

MOST_HEADERS: Final = 1_024  # aiohttp's 128 would make a 400 of what gateways let through

_TOGETHER: Final = 16  # answers that are sent in one go
_LONGEST_SECONDS: Final = 0.001  # after which those that are made do not wait for more
_UNREADABLE: Final = failed(400, "invalid_request", "The request cannot be read.")

Answering = Callable[[Request], Work[Answer]]  # which never fails
Made = tuple["Protocol", asyncio.Transport, bytes, bool]  # an answer, and whether all goes on


class Protocol(Connection):
    """A connection whose requests are answered; no error page quotes what was asked.

    Most requests come alone and whole, and their answers wait for nothing: these are sent without
    aiohttp's hearing of the request. All others take its way, through a queue and two tasks.
    """

    __slots__ = ("_asked", "_begun", "_finished", "_server")

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._asked: tuple[RawRequestMessage, StreamReader, bytes] | None = None
        self._begun: tuple[Begun[Answer], Asking] | None = None
        self._finished = 0  # of the requests that aiohttp heard of

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self._asked is None and super().is_waiting

    def takes(self, message: RawRequestMessage, content: StreamReader, body: bytes, /) -> bool:
        """Whether a request that is all here will be answered without aiohttp's hearing of it.

        It waits for its turn among those of other connections.
        """
        if (
            self._asked is not None
            or self._finished != self._request_count
            or self.writing_paused
            or message.should_close
            or message.version != HttpVersion11
            or message.method in RARE
        ):
            return False
        self._asked = message, content, body
        self._keepalive = False  # it is not idle, however long it has to wait for its turn
        self._server.take(self)
        return True

    def data_received(self, data: bytes) -> None:
        """More came before the request had its turn: from here on aiohttp keeps them in order."""
        if self._asked is not None:
            (message, content, _), self._asked = self._asked, None
            self._hand_over(message, content)
        super().data_received(data)

    def eof_received(self) -> None:
        """Nothing more comes: what can be answered at once is, then the connection ends.

        Who asks nothing more cannot be told from who is gone, for whom nobody shall work long.
        """
        answer = self.answer()
        if answer is not None:
            _send(answer)
        super().eof_received()

    def answer(self) -> Made | None:
        """What is to be sent; None where that is not known yet, or nobody is there any more."""
        asked, transport = self._asked, self.transport
        if asked is None or transport is None or transport.is_closing():
            return None
        message, content, body = asked
        request = Request(message.method, message.path, message.headers, self, body)
        answer = begin(self._server.answer(request))
        self._asked = None
        if isinstance(answer, Begun):
            self._begun = answer, asking()
            self._hand_over(message, content)
            return None
        return self, transport, *written(answer, keep_alive=True)

    def answered(self) -> None:
        """A request was answered that aiohttp did not hear of: wait for the next one."""
        if self._parser is not None:
            self._parser.message_consumed()
        self._keepalive = True
        self._next_keepalive_close_time = end = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(end, self._process_keepalive)

    def _hand_over(self, message: RawRequestMessage, content: StreamReader) -> None:
        """Let aiohttp go on with it, before whatever has come meanwhile."""
        self._messages.appendleft((message, content))
        self._request_count += 1
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def rest(self, exchange: web.BaseRequest) -> Answer:
        """The answer to a request that aiohttp hands over, which may have begun before."""
        if self._begun is not None:
            (begun, asked), self._begun = self._begun, None
            return await _go_on(begun, asked)
        if self.transport is None:
            return FAULT  # which nobody reads, as nobody would what was asked
        method, target = exchange.method, exchange.raw_path
        request = Request(method, target, exchange.headers, self, exchange.content)
        return await self._server.answer(request)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what aiohttp has asked for; only then is there room for the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._finished += 1

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading: nothing to do where nobody paused it, as the end of every body does."""
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits any more for what was asked; what has begun comes to its end."""
        self._asked, begun, self._begun = None, self._begun, None
        if begun is not None:
            self._server.finish(_go_on(*begun))
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """An answer of ours to bytes that are no request; the connection ends."""
        log.info("unreadable request", extra={"facts": {"error": type(exc).__name__}})
        told = response(FAULT if status >= 500 else _UNREADABLE)  # noqa: PLR2004
        told.force_close()
        return told


class Server(BoundedServer):
    """aiohttp's low-level server, within bounds; `answer` is for every request.

    Requests that came at the same time, by whatever connections, are read, then answered, then
    their answers sent: the same work again and again is quicker than all of it in turns, and a
    client that sleeps is woken once for many answers.
    """

    def __init__(self, answer: Answering, server: ServerSettings, bounds: Bounds) -> None:
        self.answer = answer
        self._asked: deque[Protocol] = deque()
        self._left = set[asyncio.Task[Answer]]()  # what has begun for clients that are gone
        super().__init__(
            handle,
            bounds,
            request_factory=partial(Exchange, loop=asyncio.get_running_loop()),
            access_log=None,
            max_line_size=server.max_header_bytes,
            max_field_size=server.max_header_bytes,
            max_headers=MOST_HEADERS,
            auto_decompress=False,
        )

    def finish(self, work: Work[Answer]) -> None:
        """Do it, though the client is gone: it holds turns, and what it decides is recorded."""
        task = self._loop.create_task(work)
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    def close_waiting(self) -> bool:
        """Close connections with no request under way; whether anything is."""
        return super().close_waiting() or bool(self._left)

    def take(self, protocol: Protocol) -> None:
        """Answer its request soon."""
        if not self._asked:
            self._loop.call_soon(self._answer_some)
        self._asked.append(protocol)

    def _answer_some(self) -> None:
        asked, made = self._asked, list[Made]()
        until = time.perf_counter() + _LONGEST_SECONDS
        try:
            while asked and len(made) < _TOGETHER:
                answer = asked.popleft().answer()
                if answer is not None:
                    made.append(answer)
                if time.perf_counter() > until:
                    break
        finally:  # whatever befell one of them
            if asked:
                self._loop.call_soon(self._answer_some)
            for each in made:
                _send(each)

    def __call__(self) -> Protocol:
        """One connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)


async def _go_on(begun: Begun[Answer], asked: Asking) -> Answer:
    go_on_asking(asked)
    return await begun


def _send(made: Made) -> None:
    protocol, transport, data, goes_on = made
    transport.write(data)
    if goes_on:
        protocol.answered()
    else:
        transport.close()
