"""Where heads begin and end in what a connection sends, so that each is bounded as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, Final, Protocol, cast

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from pdp.surfaces.parsers import Found, Messages, Parser

_END: Final = b"\r\n\r\n"  # of a head
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"  # and nothing behind it: no trailer is without a colon
_FIELD: Final = 384  # bytes of memory that the parser takes for a field, however short
_SHORTEST_FIELD: Final = 4  # bytes
_TOGETHER: Final = 2_048  # fields of all requests that wait on one connection
_LONG: Final = 8_192  # a head that is longer, or has more fields, is not kept
_MANY: Final = 40
_BLANK: Final = frozenset((b"\r", b"\n"))  # what may stand before a request
_NOTHING: Final[Found] = ((), False, b"")


class Watch(Protocol):
    """Is told what of requests has come."""

    def arrived(self) -> None:
        """A head is whole."""
        ...

    def takes(self, message: Any, content: Any, body: bytes, /) -> bool:
        """Whether a request that is all here, and alone, is seen to: nobody else hears of it."""
        ...

    def ends(self) -> None:
        """No other request may follow: the parser does not tell cleanly where it would begin."""
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
    Worse, the last trailer of a body in chunks becomes a field of the next request, and what stands
    behind an upgrade that it does not know is lost up to the end of the packet. So the connection
    ends behind chunks with trailers, and behind either of these if more came in the same packet.
    """

    __slots__ = (
        *("_awaited", "_body", "_cost", "_decoded", "_end", "_feed", "_fresh", "_idle"),
        *("_large", "_last", "_most", "_owed", "_part", "_trail", "_waiting", "_watch"),
        *("feed_eof", "message_consumed", "pause_reading", "set_upgraded"),
    )

    def __init__(
        self,
        fresh: Callable[[], Parser],
        most: int,
        watch: Watch,
        waiting: Collection[tuple[Any, Any]],
    ) -> None:
        self._fresh, self._most, self._watch = fresh, most, watch
        self._waiting = waiting  # requests that were found, and are not being answered yet
        self._idle = True  # nothing has begun
        self._awaited = True  # the first head, from the connection on
        self._part = 0  # bytes of a head that is not whole
        self._body: Any = None  # of the last request, while it is to come
        self._last: Any = None  # the request that this is of
        self._owed: int | None = None  # how many bytes of it are, where that is known
        self._decoded = self._trail = 0  # bytes of a body in chunks, and of framing since it grew
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
        empty = body is not EMPTY_PAYLOAD or message.headers.get("Content-Length", "0") == "0"
        if not whole or not empty or len(message.raw_headers) > _MANY:
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
            self._open(messages, data, seen)
        elif body is None:
            self._grow(self._part + len(data), data)
        else:
            self._go_on(data, seen)
        if self._body is None and self._last is not None:
            behind = self._owed is None or self._owed < 0
            if behind and self._last.upgrade and not upgraded:
                self._watch.ends()
            self._last = None
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
        if len(messages) > 1 or self._waiting:
            waiting = chain(self._waiting, messages)
            if sum(len(getattr(m, "raw_headers", ())) for m, _ in waiting) > _TOGETHER:
                cast(list[Any], messages).clear()  # the error is kept, with all that is at hand
                raise BadHttpMessage("too much is asked at once")

    def _open(self, messages: Messages, data: bytes, seen: bytes) -> None:
        """The last of these is the one that is not all here, if any is."""
        last, body = messages[-1]
        begins = self._find(messages, seen)
        if self._hides_an_end(messages):
            self._watch.ends()
        fields = last.raw_headers
        self._large = len(fields) > _MANY or len(seen) > _LONG
        self._cost = _FIELD * len(fields) + 2 * _size(fields)
        self._decoded = self._trail = 0
        self._last, self._body = last, body
        self._owed = None if begins is None or last.chunked else _length(last)
        self._go_on(data if begins is None else seen[begins:], seen)
        if self._body is not None:
            self._part = 0
            if body is EMPTY_PAYLOAD:
                raise BadHttpMessage("Content-Length is too large")

    def _hides_an_end(self, messages: Messages) -> bool:
        """Whether something stands behind chunks, or may: the parser keeps what has no room."""
        full = len(self._waiting) + len(messages) >= MAX_MSG_QUEUE_SIZE
        before = self._last is not None and self._last.chunked
        return before or any(m.chunked for m, _ in (messages if full else messages[:-1]))

    def _find(self, messages: Messages, seen: bytes) -> int | None:
        """Where the body of the last of these begins.

        None where it cannot be told: behind chunks, and where the parser had kept it for later.
        """
        at: int | None = 0
        if self._body is not None:
            at = None if self._owed is None else len(self._end) + self._owed
        begins = None
        for message, _ in messages:
            begins = None if at is None else _head_end(seen, at)
            at = None if begins is None or message.chunked else begins + _length(message)
        return begins

    def _go_on(self, data: bytes, seen: bytes) -> None:
        """More came of a body, or from behind it."""
        if self._owed is not None:
            self._owed -= len(data)
            if self._owed <= 0:
                self._body = None
                self._follow(data[len(data) + self._owed :])
        elif not self._body.is_eof():
            if self._last.chunked:
                self._frame(data)
        else:
            self._body = None
            if self._last.chunked:
                self._part = 0
                if not seen.endswith(_LAST_CHUNK):
                    self._watch.ends()
            elif data:  # a guess, and never too little
                self._follow(seen[-self._most :])

    def _follow(self, behind: bytes) -> None:
        """What stands behind a request begins a head, behind those for which there was no room."""
        _, _, begun = behind.rpartition(_END)
        self._grow(len(begun), begun, new=True)

    def _frame(self, data: bytes) -> None:
        """Of chunks, what is not the body itself: once that grows no more, it is trailers."""
        decoded, before = self._body.total_bytes, self._decoded
        framing, self._decoded = len(data) - (decoded - before), decoded
        self._trail = 0 if decoded > before else self._trail + framing
        if self._trail > self._most:
            raise BadHttpMessage("the trailers are too long")
        fields = min(data.count(b"\n"), framing // _SHORTEST_FIELD)
        self._cost += _FIELD * fields + 2 * framing

    def _grow(self, part: int, data: bytes, *, new: bool = False) -> None:
        self._part = part
        cost = _FIELD * data.count(b"\n") + 2 * len(data)
        self._cost = cost if new else self._cost + cost

    def _settle(self, seen: bytes) -> None:
        head = self._part > 0
        self._idle = not head and self._body is None
        self._end = b"" if self._idle else seen[1 - len(_LAST_CHUNK) :]
        if self._idle:
            self._cost = 0
        self._watch.holds(self._cost, head=head)


def _size(fields: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in fields)


def _head_end(seen: bytes, at: int) -> int | None:
    """Where the head ends that begins at `at`, maybe behind empty lines; None if it is not here."""
    while seen[at : at + 1] in _BLANK:
        at += 1
    end = seen.find(_END, at)
    return None if end < 0 else end + len(_END)


def _length(message: Any) -> int:
    return int(message.headers.get("Content-Length", "0"))
