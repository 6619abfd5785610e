"""The composition root: a loaded configuration, two listeners, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web

from pdp.cli.cases import failing_cases
from pdp.errors import ConfigurationError, Problem
from pdp.runtime.load import Loaded
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import is_local, parse_listen
from pdp.surfaces.app import Server, admin_routes, public_routes
from pdp.surfaces.context import Context, make_context

log = logging.getLogger("pdp.serve")


def check_exposure(loaded: Loaded) -> None:
    """Refuse to listen where strangers could ask; ConfigurationError says what to do."""
    server = loaded.server
    if server.trust_network or is_local(server.listen):
        return
    problems = [
        Problem(
            "server.listen",
            None,
            "open-gateway-endpoints",
            f"`{server.listen}` is not loopback: anybody who reaches it could ask /authz/*",
            "listen on 127.0.0.1 or unix:/path, or say --trust-network if the network is yours",
        )
    ]
    if not loaded.callers.known:
        problems.append(
            Problem(
                "server.listen",
                None,
                "open-json-api",
                f"`{server.listen}` is not loopback, and no [[callers]] are configured",
                "add [[callers]] with a key, or say --trust-network if the network is yours",
            )
        )
    raise ConfigurationError(problems)


async def serve(loaded: Loaded, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once both listeners accept.

    ConfigurationError if it would listen in the open, OSError if it cannot listen.
    """
    check_exposure(loaded)
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
    server = loaded.server
    plans = ((server.listen, public_routes(context)), (server.admin_listen, admin_routes(context)))
    runners = [
        web.ServerRunner(Server(routes, context), shutdown_timeout=server.drain_seconds)
        for _, routes in plans
    ]
    try:
        await service.start()
        for runner, (listen, _) in zip(runners, plans, strict=True):
            await runner.setup()
            await _site(runner, listen).start()
        reloader.start()
        yield context
    finally:
        await reloader.stop()
        for runner in runners:
            await runner.cleanup()
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
        "policy_revision": service.snapshot.revision,
        "layers": [layer.name for layer in service.snapshot.layers],
        "authentication": service.authenticator.configured,
    }
