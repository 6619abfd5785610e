"""HTTP connections within bounds: how many, how long a head takes, how long answers stay unread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pdp.surfaces.certificates import NOBODY, Certified, certified

LINGER_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 0.25  # deadlines are looked at together
_PAUSE_SECONDS: Final = 0.002
_SWEPT: Final = 20  # connections that are closed at once, so that others are answered in between
_EVICTED: Final = 50  # one in so many of the connections that wait, when there are too many

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Count(Protocol):
    """Counts connections that were closed, by why."""

    def __call__(self, reason: str) -> None:
        """One more."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one listener allows its clients; `admits` says whose certificate may ask."""

    most: int
    head_seconds: float
    idle_seconds: float
    unread_seconds: float
    closed: Count
    admits: Callable[[Certified], bool] | None = None


class Connection(RequestHandler):
    """aiohttp's protocol, which bounds neither a head nor an answer that nobody reads.

    `client` is what the client's certificate says, if one was asked for.
    """

    __slots__ = ("_bounded", "_heads", "_unread", "client")

    def __init__(self, server: BoundedServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._bounded = server
        self._heads = 0  # that have arrived
        self._unread: asyncio.TimerHandle | None = None
        self.client = NOBODY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head, if this client may ask and there is room."""
        bounded, self.client = self._bounded, certified(transport)
        refusal = bounded.refusal(self)
        if refusal is not None:
            bounded.bounds.closed(refusal)
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)
        bounded.await_head(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._bounded.heads.pop(self, None)
        self.resume_writing_watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it; what is no whole head by now has to be one soon."""
        super().data_received(data)
        if self._request_count != self._heads:
            self._heads = self._request_count
            self._bounded.heads.pop(self, None)
        elif self.is_waiting:
            self._bounded.await_head(self)

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

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self._waiter is not None and not self._waiter.done()

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
    where none waits, the new one is closed.
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

    def refusal(self, connection: Connection) -> str | None:
        """Why a new connection is closed; None if it is not."""
        admits = self.bounds.admits
        if admits is not None and not admits(connection.client):
            return "certificate"
        full = len(self._connections) >= self.bounds.most
        return "full" if full and not self._make_room() else None

    def _make_room(self) -> bool:
        waiting = sorted((c for c in self._open if c.is_waiting), key=lambda c: c.last_active)
        for connection in waiting[: 1 + len(waiting) // _EVICTED]:
            self._connections.pop(connection, None)
            connection.drop("full")
        return bool(waiting)

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
            connection.drop("head")
        if self.heads:
            self._sweeping = self._loop.call_later(_PAUSE_SECONDS, self._sweep)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """End every connection, requests under way within `timeout` seconds."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super().shutdown(timeout)
