"""Answers on the wire: ordinary ones in one write, whatever is rare by aiohttp's own response."""

from __future__ import annotations

import logging
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, cast

from aiohttp import HttpVersion11, web

from pdp.model import Answer
from pdp.surfaces.context import failed

log = logging.getLogger("pdp.http")

FAULT: Final = failed(503, "unavailable", "The request could not be answered.")

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
        """Send it; ConnectionResetError if nobody is there any more."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        data, self.keep_alive = written(self._answer, keep_alive=request.keep_alive)
        transport.write(data)

    async def write_eof(self) -> None:
        """Nothing is left to send."""


def written(answer: Answer, *, keep_alive: bool) -> tuple[bytes, bool]:
    """The bytes of an answer, and whether the connection goes on.

    A header field that would end its line is a fault of ours: the client sees a 503, and an end.
    """
    try:
        return wire(answer, keep_alive=keep_alive), keep_alive
    except ValueError as error:
        log.error("no answer", extra={"facts": {"error": str(error)}})  # noqa: TRY400 - a fixed text
        return wire(FAULT, keep_alive=False), False


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
