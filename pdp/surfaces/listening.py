"""HTTP listeners: their sockets, their TLS, and how they end."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from pdp.runtime.settings import ServerSettings, is_local
from pdp.runtime.tls import Certificates
from pdp.surfaces.answering import Server
from pdp.surfaces.app import Routes, admin_routes, dispatcher, public_routes
from pdp.surfaces.certificates import Certified
from pdp.surfaces.connections import Bounds, Count
from pdp.surfaces.context import Context
from pdp.surfaces.handshakes import Handshakes
from pdp.surfaces.sockets import BACKLOG, OpenSocket, open_sockets, room_for

Open = Callable[[str, ServerSettings], Awaitable[list[OpenSocket]]]

Accepting = asyncio.AbstractServer | Handshakes

_LAST_SECONDS: Final = 0.1
_ANSWERED_SECONDS: Final = 0.05  # how often a listener that ends looks whether all is answered


class Connections:
    """Metrics of all listeners' connections."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge("pdp_connections", "Open connections.", ("listener",), registry=registry)
        self.closed = Counter(
            "pdp_connections_closed",
            "Connections that were closed for a bound, or for want of a certificate.",
            ("listener", "reason"),
            registry=registry,
        )

    def count(self, listener: str, reason: str) -> None:
        """One more that was closed."""
        self.closed.labels(listener, reason).inc()


class HttpListener:
    """One HTTP listener with its routes; with `certificates` it speaks TLS."""

    def __init__(
        self,
        context: Context,
        listen: str,
        routes: Routes,
        bounds: Bounds,
        certificates: Certificates | None = None,
        *,
        operators: bool = False,
        sockets: Open = open_sockets,
    ) -> None:
        self._open = sockets
        self._operators = operators
        self._settings = context.service.loaded.server
        self._listen = listen
        self._server = partial(Server, dispatcher(routes), self._settings, bounds)
        self._certificates = certificates
        self._sockets: list[OpenSocket] = []
        self._accepting: list[Accepting] = []
        self._connections: Server | None = None

    def count(self) -> int:
        """How many connections there are."""
        server = self._connections
        return 0 if server is None else len(server.connections) + len(server.arriving)

    async def start(self) -> None:
        """Accept connections; OSError if that is not possible."""
        self._connections = self._server()
        self._sockets = await self._open(self._listen, self._settings)
        self._accepting = [await self._accept(self._connections, found) for found in self._sockets]

    async def _accept(self, connections: Server, found: OpenSocket) -> Accepting:
        loop, listening = asyncio.get_running_loop(), found.socket.dup()
        certificates, operators = self._certificates, self._operators
        if certificates is None:
            return await (loop.create_unix_server if found.is_unix else loop.create_server)(
                connections, sock=listening, backlog=BACKLOG
            )

        def tls() -> ssl.SSLContext:
            """That of now: its files are followed."""
            contexts = certificates.contexts
            return contexts.operators if operators else contexts.gateways

        return Handshakes(connections, listening, tls, self._settings.header_seconds)

    async def stop(self) -> None:
        """Accept nothing more, wait for requests under way, and close all connections."""
        sockets, self._sockets = self._sockets, []
        for server in self._accepting:
            server.close()
        for found in sockets:
            found.close()
        if self._connections is not None:
            await self._drain(self._connections)

    async def _drain(self, connections: Server) -> None:
        await asyncio.sleep(0)  # what was accepted just now is handled
        end = time.monotonic() + self._settings.drain_seconds
        # aiohttp tells of no answer that is done; and with 0, it would wait for ever.
        while connections.close_waiting() and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(_ANSWERED_SECONDS)
        await connections.shutdown(_LAST_SECONDS)


def http_listeners(context: Context, sockets: Open = open_sockets) -> list[HttpListener]:
    """The listener that gateways and services ask, and the one for operators.

    They listen on what `sockets` opens.
    """
    service = context.service
    server, access = service.loaded.server, service.loaded.access
    counted = Connections(service.metrics.registry)
    known = frozenset(server.client_certificates) | access.callers.certificates

    def admits(client: Certified) -> bool:
        return not client.names.isdisjoint(known)

    # Without names, whoever has a certificate of that authority may ask.
    only = admits if server.client_certificates else None
    most = room_for(server.max_connections, listeners=2 + (server.grpc_listen is not None))
    main = make_bounds(server, most, partial(counted.count, "main"), only)
    admin = make_bounds(server, most, partial(counted.count, "admin"), None)
    secret = None if is_local(server.admin_listen) else access.certificates
    found = {
        "main": HttpListener(
            context,
            server.listen,
            public_routes(context),
            main,
            access.certificates,
            sockets=sockets,
        ),
        "admin": HttpListener(
            context,
            server.admin_listen,
            admin_routes(context),
            admin,
            secret,
            operators=True,
            sockets=sockets,
        ),
    }
    for name, listener in found.items():
        counted.open.labels(name).set_function(listener.count)
    return [*found.values()]


def make_bounds(
    server: ServerSettings, most: int, closed: Count, admits: Callable[[Certified], bool] | None
) -> Bounds:
    """The bounds of a listener, as `[server]` says."""
    return Bounds(
        most=most,
        head_seconds=server.header_seconds,
        idle_seconds=server.idle_seconds,
        unread_seconds=server.body_seconds,
        closed=closed,
        admits=admits,
    )
