"""aiohttp's parser of requests, as far as a connection uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

Messages = Sequence[tuple[Any, Any]]
Found = tuple[Messages, bool, bytes]


class Parser(Protocol):
    """aiohttp's parser, as far as its protocol uses it."""

    def feed_data(self, data: bytes, /) -> Found:
        """The requests whose heads are whole by now."""
        ...

    def feed_eof(self) -> Any:
        """Nothing more comes."""
        ...

    def pause_reading(self) -> None:
        """Parse no more of a body for now."""
        ...

    def message_consumed(self) -> None:
        """One of the requests that were found is being answered."""
        ...

    def set_upgraded(self, value: Any, /) -> None:
        """Whether what follows is no HTTP."""
        ...


def fresh(handler: Any) -> Any:
    """A parser for aiohttp's protocol, as that makes its own."""
    return HttpRequestParser(
        handler,
        handler._loop,  # noqa: SLF001 - its own are private
        handler._read_bufsize,  # noqa: SLF001
        max_line_size=handler.max_line_size,
        max_field_size=handler.max_field_size,
        max_headers=handler.max_headers,
        payload_exception=web.RequestPayloadError,
        auto_decompress=False,
        # The protocol pauses at its own size. Were the parser to pause before, for it counts a
        # request that is consumed early twice, nobody would have it go on.
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE + 1,
    )
