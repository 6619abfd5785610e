"""Handshakes of TLS within bounds: they count as connections, and the oldest make room."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from pdp.surfaces.connections import BoundedServer

_AT_ONCE: Final = 20  # connections that are accepted in one go, so that others are answered
_PAUSE_SECONDS: Final = 0.5  # where no file can be opened


class Handshakes:
    """Accepts connections on a socket and gives them TLS, before `server` sees them.

    asyncio does that by itself as well, and tells nobody how many there are. `tls` is asked anew
    for each; `close` ends accepting, not what was accepted.
    """

    def __init__(
        self,
        server: BoundedServer,
        listening: socket.socket,
        tls: Callable[[], ssl.SSLContext],
        seconds: float,
    ) -> None:
        self._server, self._tls, self._seconds = server, tls, seconds
        self._listening = listening
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Accept nothing more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _begin(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._begin)
                return
            accepted.setblocking(False)
            if self._server.has_room():
                Handshake(self._server, accepted, self._tls(), self._seconds)
            else:
                self._server.bounds.closed("full")
                accepted.close()


class Handshake:
    """One of them, until it is done."""

    def __init__(
        self, server: BoundedServer, accepted: socket.socket, tls: ssl.SSLContext, seconds: float
    ) -> None:
        self._server, self._accepted = server, accepted
        self._begun = False
        server.arriving[self] = None
        self._task = asyncio.get_running_loop().create_task(self._shake(tls, seconds))

    def drop(self, reason: str | None) -> None:
        """Close it at once; counted, where there is a reason."""
        self._server.arriving.pop(self, None)
        if reason is not None:
            self._server.bounds.closed(reason)
        self._task.cancel()
        if not self._begun:
            self._accepted.close()

    async def _shake(self, tls: ssl.SSLContext, seconds: float) -> None:
        self._begun = True
        loop, accepted = asyncio.get_running_loop(), self._accepted
        try:
            await loop.connect_accepted_socket(
                self._server, accepted, ssl=tls, ssl_handshake_timeout=seconds
            )
        except OSError:
            if self in self._server.arriving:
                self._server.bounds.closed("handshake")
        finally:
            self._server.arriving.pop(self, None)
