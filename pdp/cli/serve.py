"""The composition root: a loaded configuration, its listeners, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from pdp.cli.cases import failing_cases
from pdp.errors import ConfigurationError, Problem
from pdp.runtime.load import Loaded
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import is_local, parse_listen
from pdp.surfaces.app import Routes, Server, admin_routes, public_routes
from pdp.surfaces.context import Context, make_context

log = logging.getLogger("pdp.serve")


def check_exposure(loaded: Loaded) -> None:
    """Refuse to listen where strangers could ask; ConfigurationError says what to do."""
    server = loaded.server
    if server.trust_network:
        return
    places = (("listen", server.listen), ("grpc_listen", server.grpc_listen or "unix:/"))
    problems = [
        Problem(
            f"server.{key}",
            None,
            "open-gateway-endpoints",
            f"`{place}` is not loopback: anybody who reaches it could ask what gateways ask",
            "listen on 127.0.0.1 or unix:/path, or say --trust-network if the network is yours",
        )
        for key, place in places
        if not is_local(place)
    ]
    if not is_local(server.listen) and not loaded.callers.known:
        problems.append(
            Problem(
                "server.listen",
                None,
                "open-json-api",
                f"`{server.listen}` is not loopback, and no [[callers]] are configured",
                "add [[callers]] with a key, or say --trust-network if the network is yours",
            )
        )
    if problems:
        raise ConfigurationError(problems)


class Listener(Protocol):
    """What accepts questions until it is stopped."""

    async def start(self) -> None:
        """Accept; OSError if that is not possible."""
        ...

    async def stop(self) -> None:
        """Answer what is under way, and end."""
        ...


class HttpListener:
    """One HTTP listener with its routes."""

    def __init__(self, context: Context, listen: str, routes: Routes) -> None:
        drain = context.service.loaded.server.drain_seconds
        self._listen = listen
        self._runner = web.ServerRunner(Server(routes, context), shutdown_timeout=drain)

    async def start(self) -> None:
        """Accept connections."""
        await self._runner.setup()
        await _site(self._runner, self._listen).start()

    async def stop(self) -> None:
        """Wait for requests under way."""
        await self._runner.cleanup()


def listeners(context: Context) -> list[Listener]:
    """Every listener that is configured; ConfigurationError if gRPC is, and is not installed."""
    server = context.service.loaded.server
    found: list[Listener] = [
        HttpListener(context, server.listen, public_routes(context)),
        HttpListener(context, server.admin_listen, admin_routes(context)),
    ]
    if server.grpc_listen is not None:
        found.append(_grpc(context, server.grpc_listen))
    return found


def _grpc(context: Context, listen: str) -> Listener:
    try:
        from pdp.surfaces import grpc_server
    except Exception as error:  # a version that does not fit raises anything: exit code 3
        lines = str(error).splitlines() or [type(error).__name__]
        problem = Problem(
            "server.grpc_listen",
            None,
            "missing-extra",
            f"the packages for gRPC cannot be imported: {lines[0]}",
            "install this project with its extra: in its directory, `pip install '.[grpc]'`",
        )
        raise ConfigurationError([problem]) from error
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).unlink(missing_ok=True)
    return grpc_server.Listener(context, listen)


async def serve(loaded: Loaded, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once every listener accepts.

    ConfigurationError if it would listen in the open, OSError if it cannot listen.
    """
    check_exposure(loaded)
    # A reload computes in a thread beside the loop, and must hand over more often than every 5 ms.
    sys.setswitchinterval(0.001)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(loaded) as context:
        loop.add_signal_handler(signal.SIGHUP, context.reloader.soon)
        log.info("serving", extra={"facts": _facts(context.service)})
        if ready:
            ready()
        await stop.wait()
        context.service.stopping = True


@contextlib.asynccontextmanager
async def running(loaded: Loaded) -> AsyncIterator[Context]:
    """A service whose listeners accept; at the end requests under way are waited for."""
    service = Service(loaded)
    reloader = Reloader(service, failing_cases)
    context = make_context(service, reloader)
    started: list[Listener] = []
    try:
        planned = listeners(context)
        await service.start()
        for listener in planned:
            started.append(listener)
            await listener.start()
        reloader.start()
        yield context
    finally:
        await reloader.stop()
        await asyncio.gather(*(listener.stop() for listener in started))
        await service.stop()


def _site(runner: web.ServerRunner, listen: str) -> web.BaseSite:
    place = parse_listen(listen)
    if isinstance(place, str):
        Path(place).unlink(missing_ok=True)
        return web.UnixSite(runner, place)
    return web.TCPSite(runner, place[0], place[1])


def _facts(service: Service) -> dict[str, object]:
    server = service.loaded.server
    return {
        "listen": server.listen,
        "admin_listen": server.admin_listen,
        "grpc_listen": server.grpc_listen,
        "policy_revision": service.snapshot.revision,
        "layers": [layer.name for layer in service.snapshot.layers],
        "authentication": service.authenticator.configured,
    }
