"""Answers on the wire: ordinary ones in one write, whatever is rare by aiohttp's own response."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, cast

from aiohttp import HttpVersion11, web

from pdp.model import Answer

# To these methods, answers have no body, or no length.
RARE: Final = frozenset({"HEAD", "CONNECT"})
_FIRST_LINE: Final = {
    status.value: f"HTTP/1.1 {status} {status.phrase}\r\n" for status in HTTPStatus
}


def reply(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """What aiohttp's protocol sends to who asked `request`."""
    if request.version == HttpVersion11 and request.method not in RARE:
        # The protocol asks for no more of a response than a `Written` has.
        return cast(web.StreamResponse, Written(answer))
    return response(answer)


def response(answer: Answer) -> web.Response:
    """The answer as aiohttp's own response."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)


class Written:
    """An answer to an ordinary request of HTTP/1.1, which is sent as a whole."""

    __slots__ = ("_answer", "keep_alive")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it; ConnectionResetError if nobody is there any more, ValueError as in `wire`."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self.keep_alive = request.keep_alive
        transport.write(wire(self._answer, keep_alive=self.keep_alive))

    async def write_eof(self) -> None:
        """Nothing is left to send."""


def wire(answer: Answer, *, keep_alive: bool) -> bytes:
    """The bytes of an answer (RFC 9112 §4 to §6); ValueError if a field would end its line."""
    headers, body = answer.headers, answer.body
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # INVARIANT: no value begins a line of its own.
    if not fields.count("\r") == fields.count("\n") == len(headers) or "\0" in fields:
        raise ValueError("a header field holds a line break")
    close = "" if keep_alive else "Connection: close\r\n"
    head = (
        f"{_FIRST_LINE[answer.status]}{fields}Content-Length: {len(body)}\r\n"
        f"Date: {_date(int(time.time()))}\r\n{close}\r\n"
    )
    return head.encode() + body


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
