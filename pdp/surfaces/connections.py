"""HTTP connections within bounds: how many, how large and slow heads are, how long is unread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pdp.surfaces.certificates import NOBODY, Certified, certified
from pdp.surfaces.heads import Heads
from pdp.surfaces.parsers import fresh

LINGER_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 0.25  # deadlines are looked at together
_PAUSE_SECONDS: Final = 0.002
_SWEPT: Final = 20  # connections that are closed at once, so that others are answered in between
_EVICTED: Final = 50  # one in so many of the connections that wait, when there are too many
_HEAD: Final = 2  # times as long as its longest field may be, a head may be as a whole
_HELD: Final = 32 << 20  # bytes of memory for heads of requests that are not all here
_UNREAD: Final = 16_384  # bytes of answers that nobody reads, before no more are made
_ARRIVING: Final = 256  # connections that have no TLS yet, which cost much more than others

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Count = Callable[[str], None]  # counts connections that were closed, by why


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one listener allows its clients; `admits` says whose certificate may ask."""

    most: int
    head_seconds: float
    idle_seconds: float
    unread_seconds: float
    closed: Count
    admits: Callable[[Certified], bool] | None = None


class Arriving(Protocol):
    """A connection that has no TLS yet."""

    def drop(self, reason: str | None) -> None:
        """Close it at once; counted, where there is a reason."""
        ...


class Connection(RequestHandler):
    """aiohttp's protocol, which bounds neither a head nor an answer that nobody reads.

    `client` is what the client's certificate says, if one was asked for.
    """

    __slots__ = ("_bounded", "_unread", "client")

    def __init__(self, server: BoundedServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._bounded = server
        self._unread: asyncio.TimerHandle | None = None
        self.client = NOBODY
        most = _HEAD * self.max_field_size
        self._parser = cast(Any, Heads(partial(fresh, self), most, self, self._messages))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head, if this client may ask and there is room."""
        bounded, self.client = self._bounded, certified(transport)
        refusal = bounded.refusal(self.client, counted=bool(transport.get_extra_info("sslcontext")))
        if refusal is not None:
            bounded.bounds.closed(refusal)
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)
        cast(asyncio.WriteTransport, transport).set_write_buffer_limits(high=_UNREAD)
        bounded.await_head(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self.arrived()
        self._bounded.hold(self, 0)
        self.resume_writing_watch()
        super().connection_lost(exc)

    def arrived(self) -> None:
        """A head is whole: it is waited for no more."""
        self._bounded.heads.pop(self, None)

    def holds(self, cost: int, *, head: bool) -> None:
        """So much of a request is here that is not; a head has to be whole soon."""
        self._bounded.hold(self, cost)
        if head:
            self._bounded.await_head(self)

    def ends(self) -> None:
        """What is under way is answered, and no request behind it."""
        self._close = True

    def pause_writing(self) -> None:
        """The client does not read its answers: it may for a while."""
        super().pause_writing()
        seconds = self._bounded.bounds.unread_seconds
        self._unread = self._loop.call_later(seconds, self.drop, "unread")

    def resume_writing(self) -> None:
        """It does again."""
        self.resume_writing_watch()
        super().resume_writing()

    def resume_writing_watch(self) -> None:
        """Stop waiting for the client to read."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def takes(self, _message: Any, _content: Any, _body: bytes, /) -> bool:
        """Whether a request that is all here is answered without aiohttp's hearing of it."""
        return False

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def is_held(self) -> bool:
        """Whether nothing is read of it, because of what waits to be answered before."""
        return self._buffer_paused or self._reading_paused

    @property
    def last_active(self) -> float:
        """When it was opened or its last request was answered, on a scale of the listener's."""
        return self._next_keepalive_close_time

    def drop(self, reason: str) -> None:
        """Close it at once, whatever was not sent yet."""
        if self.transport is not None:
            self._bounded.bounds.closed(reason)
            self.transport.abort()


class BoundedServer(web.Server):
    """aiohttp's low-level server, with bounds on its connections.

    INVARIANT: there are never more than `most` connections. Where one more comes, those that have
    waited the longest make room, for they cost a client that means well a new connection at most;
    where none waits, the new one is closed. Those without TLS yet make room before them, and so
    they do for each other.
    """

    def __init__(self, handler: Handler, bounds: Bounds, **options: Any) -> None:
        super().__init__(
            handler,
            keepalive_timeout=bounds.idle_seconds,
            lingering_time=LINGER_SECONDS,
            **options,
        )
        self.bounds = bounds
        self.heads: dict[Connection, float] = {}  # by when each must have arrived, in order
        self.arriving: dict[Arriving, None] = {}  # the oldest first
        self._held: dict[Connection, int] = {}  # what requests cost that are not all here, likewise
        self._holds = 0  # all of them
        self._sweeping: asyncio.TimerHandle | None = None

    def close_waiting(self) -> bool:
        """Close connections with no request under way; whether there are others.

        aiohttp's own `pre_shutdown` would drop what is still to come of bodies under way.
        """
        connections = [*self._open]
        for connection in connections:
            if connection.is_waiting:
                connection.force_close()
        return any(not connection.is_waiting for connection in connections)

    @property
    def _open(self) -> Iterable[Connection]:
        return cast(Mapping[Connection, object], self._connections)

    def refusal(self, client: Certified, *, counted: bool) -> str | None:
        """Why a new connection is closed; None if it is not. It is `counted` if it was arriving."""
        admits = self.bounds.admits
        if admits is not None and not admits(client):
            return "certificate"
        return None if counted or self.has_room() else "full"

    def has_room(self) -> bool:
        """Whether there is room for one more connection, or some could be made."""
        full = len(self._connections) + len(self.arriving) >= self.bounds.most
        if self.arriving and (full or len(self.arriving) >= _ARRIVING):
            oldest = next(iter(self.arriving))
            del self.arriving[oldest]
            oldest.drop("full")
            return True
        return not full or self._make_room()

    def _make_room(self) -> bool:
        waiting = sorted((c for c in self._open if c.is_waiting), key=lambda c: c.last_active)
        for connection in waiting[: 1 + len(waiting) // _EVICTED]:
            self._connections.pop(connection, None)
            connection.drop("full")
        return bool(waiting)

    def hold(self, connection: Connection, cost: int) -> None:
        """What one connection's requests cost now; where all cost too much, the oldest go."""
        before = self._held.get(connection, 0)
        if cost == before:
            return
        self._holds += cost - before
        if cost:
            self._held[connection] = cost
        else:
            del self._held[connection]
        while self._holds > _HELD:
            oldest = next(iter(self._held))
            self._holds -= self._held.pop(oldest)
            oldest.drop("full")

    def await_head(self, connection: Connection) -> None:
        """Close it unless a whole head arrives in time; harmless if that was said before."""
        deadline = self._loop.time() + self.bounds.head_seconds
        self.heads.setdefault(connection, deadline)
        if self._sweeping is None:
            self._sweeping = self._loop.call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        now, self._sweeping = self._loop.time(), None
        for connection, deadline in [*islice(self.heads.items(), _SWEPT)]:
            if deadline > now:
                soonest = max(deadline, now + _SWEEP_SECONDS)
                self._sweeping = self._loop.call_at(soonest, self._sweep)
                return
            del self.heads[connection]
            if connection.is_held or not connection.is_waiting:
                self.heads[connection] = now + self.bounds.head_seconds
            else:
                connection.drop("head")
        if self.heads:
            self._sweeping = self._loop.call_later(_PAUSE_SECONDS, self._sweep)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """End every connection, requests under way within `timeout` seconds."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in [*self.arriving]:
            connection.drop(None)
        await super().shutdown(timeout)
