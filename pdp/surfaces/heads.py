"""Where heads begin and end in what a connection sends, so that each is bounded as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

_END: Final = b"\r\n\r\n"  # of a head, and of a body in chunks
_FIELD: Final = 384  # bytes of memory that the parser takes for a field, however short
_LONG: Final = 8_192  # a head that is longer, or has more fields, is not kept
_MANY: Final = 40

Messages = Sequence[tuple[Any, Any]]
Found = tuple[Messages, bool, bytes]
_NOTHING: Final[Found] = ((), False, b"")


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
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
    )


class Watch(Protocol):
    """Is told what of requests has come."""

    def arrived(self) -> None:
        """A head is whole."""
        ...

    def takes(self, message: Any, content: Any, body: bytes, /) -> bool:
        """Whether a request that is all here, and alone, is seen to: nobody else hears of it."""
        ...

    def holds(self, cost: int, *, head: bool) -> None:
        """What is here of a request that is not costs so many bytes of memory, about.

        `head` tells that it is a head that has begun, and is not whole.
        """
        ...


class Heads:
    """aiohttp's parser, with heads bounded as a whole.

    By itself it bounds single fields, does not tell whether a head has begun, and keeps the last
    one while a connection waits: where that was large, `fresh` makes another one in its place.
    """

    __slots__ = (
        *("_awaited", "_body", "_cost", "_end", "_feed", "_fresh", "_idle", "_large", "_most"),
        *("_owed", "_part", "_waiting", "_watch"),
        *("feed_eof", "message_consumed", "pause_reading", "set_upgraded"),
    )

    def __init__(
        self, fresh: Callable[[], Parser], most: int, watch: Watch, waiting: Sized
    ) -> None:
        self._fresh, self._most, self._watch = fresh, most, watch
        self._waiting = waiting  # requests that were found, and are not being answered yet
        self._idle = True  # nothing has begun
        self._awaited = True  # the first head, from the connection on
        self._part = 0  # bytes of a head that is not whole
        self._body: Any = None  # of the last request, while it is to come
        self._owed: int | None = None  # how many bytes of it are, where that is known
        self._cost = 0  # of that head, or of the head before that body
        self._end = b""  # of what came, while one of them is to come
        self._large = False  # whether the last head is not to be kept
        self._use(fresh())

    def _use(self, parser: Parser) -> None:
        self._feed, self.message_consumed = parser.feed_data, parser.message_consumed
        self.feed_eof, self.pause_reading = parser.feed_eof, parser.pause_reading
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> Found:
        """Parse it; BadHttpMessage if a head is longer than any may be."""
        found = self._feed(data)
        messages = found[0]
        if not self._idle or len(messages) != 1 or len(data) > _LONG or found[1]:
            return self._account(data, found)
        message, body = messages[0]
        begins = data.find(_END) + len(_END)
        whole = body.is_eof() and begins + body.total_bytes == len(data)
        if not whole or len(message.raw_headers) > _MANY:
            return self._account(data, found)
        if self._awaited:  # one whole request, and nothing else: as it mostly is
            self._awaited = False
            self._watch.arrived()
        if self._watch.takes(message, body, data[begins:]):
            return _NOTHING
        return found

    def _account(self, data: bytes, found: Found) -> Found:
        """Find out what of `data` belongs to a request that is not all here."""
        messages, upgraded, _ = found
        self._check(messages, len(data))
        seen, body = self._end + data, self._body
        if messages:
            self._watch.arrived()
            body = messages[-1][1]
            self._open(messages, seen)
        elif body is None:
            self._grow(self._part + len(data), data)
        else:
            self._go_on(len(data), seen)
        if upgraded:
            self._part = 0  # aiohttp keeps what follows, which is bounded, until it is answered
        if self._part > self._most:
            raise BadHttpMessage("the head is too long")
        self._settle(seen)
        # INVARIANT: it has nothing left to parse, or that would be lost.
        done = self._idle and not self._waiting and len(messages) <= 1
        if self._large and done and (body is None or body.is_eof()):
            self._large = False
            self._use(self._fresh())
        return found

    def _check(self, messages: Messages, size: int) -> None:
        if self._part + size > self._most and any(
            _size(message.raw_headers) > self._most for message, _ in messages
        ):
            raise BadHttpMessage("the head is too long")

    def _open(self, messages: Messages, seen: bytes) -> None:
        """The last of these is the one that is not all here, if any is."""
        exact = len(messages) == 1 and self._body is None
        message, body = messages[-1]
        fields = message.raw_headers
        self._large = len(fields) > _MANY or len(seen) > _LONG
        self._part, self._body, self._owed = 0, None, None
        if body is EMPTY_PAYLOAD:
            self._follow(seen)
            return
        self._body = body
        self._cost = _FIELD * len(fields) + 2 * sum(
            len(name) + len(value) for name, value in fields
        )
        at = seen.find(_END)
        if exact and at >= 0 and not message.chunked:
            self._owed = at + len(_END) + int(message.headers.get("Content-Length", "0"))
        self._go_on(len(seen), seen)

    def _go_on(self, size: int, seen: bytes) -> None:
        """So much more came of a body, or from behind it."""
        if self._owed is not None:
            self._owed -= size
            if self._owed <= 0:
                self._body, behind = None, -self._owed
                self._grow(behind, seen[len(seen) - behind :], new=True)
        elif self._body.is_eof():
            self._body = None
            self._follow(seen)

    def _follow(self, seen: bytes) -> None:
        """What stands behind the last end began another head: none holds such an end.

        Of a body of known length this is a guess, and never too little.
        """
        at = seen.rfind(_END)
        behind = min(len(seen) - at - len(_END), self._most) if at >= 0 else 1
        self._grow(behind, seen[len(seen) - behind :], new=True)

    def _grow(self, part: int, data: bytes, *, new: bool = False) -> None:
        self._part = part
        cost = _FIELD * data.count(b"\n") + 2 * len(data)
        self._cost = cost if new else self._cost + cost

    def _settle(self, seen: bytes) -> None:
        head = self._part > 0
        self._idle = not head and self._body is None
        self._end = b"" if self._idle else seen[-3:]
        if self._idle:
            self._cost = 0
        self._watch.holds(self._cost, head=head)


def _size(fields: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in fields)
