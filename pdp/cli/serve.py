"""The composition root: a loaded configuration, its listeners, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from pdp.cli.cases import failing_cases
from pdp.errors import ConfigurationError, Problem
from pdp.runtime.journal import open_journal
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.load import Loaded
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import is_local
from pdp.surfaces.context import Context, make_context
from pdp.surfaces.listening import http_listeners
from pdp.surfaces.sockets import remove_stale

log = logging.getLogger("pdp.serve")


def check_exposure(loaded: Loaded) -> None:
    """Refuse to listen where strangers could ask; ConfigurationError says what to do."""
    server = loaded.server
    if server.trust_network:
        return
    places = [("grpc_listen", server.grpc_listen or "unix:/")]
    if server.tls_client_ca is None:  # else no stranger has a certificate
        places.insert(0, ("listen", server.listen))
    problems = [
        Problem(
            f"server.{key}",
            None,
            "open-gateway-endpoints",
            f"`{place}` is not loopback: anybody who reaches it could ask what gateways ask",
            _TRUSTED[key],
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
                "add [[callers]] with a key or certificate, or say --trust-network if it is yours",
            )
        )
    if problems:
        raise ConfigurationError(problems)


_TRUSTED: Final = {
    "listen": "listen on 127.0.0.1 or unix:/path, demand certificates with --tls-client-ca, "
    "or say --trust-network if the network is yours",
    "grpc_listen": "listen on 127.0.0.1 or unix:/path, or say --trust-network if it is yours",
}


class Listener(Protocol):
    """What accepts questions until it is stopped."""

    async def start(self) -> None:
        """Accept; OSError if that is not possible."""
        ...

    async def stop(self) -> None:
        """Answer what is under way, and end."""
        ...


def listeners(context: Context) -> list[Listener]:
    """Every listener that is configured; ConfigurationError if gRPC is, and is not installed."""
    server = context.service.loaded.server
    found: list[Listener] = [*http_listeners(context)]
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
        remove_stale(Path(listen.removeprefix("unix:")))
    return grpc_server.Listener(context, listen)


class Ending:
    """How serving ends: asked once, in order; asked again, at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._haste = asyncio.Event()

    def ask(self) -> None:
        """End, as a signal asks for."""
        (self._haste if self.asked.is_set() else self.asked).set()

    async def wait(self, seconds: float) -> None:
        """Let so much time pass, unless in haste."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._haste.wait()

    async def stop(self, listeners: Iterable[Listener]) -> None:
        """Stop all of them; in haste, without waiting for what is under way."""
        stopping = asyncio.gather(*(listener.stop() for listener in listeners))
        haste = asyncio.ensure_future(self._haste.wait())
        await asyncio.wait((stopping, haste), return_when=asyncio.FIRST_COMPLETED)
        for one in (stopping, haste):
            one.cancel()
        (stopped, _) = await asyncio.gather(stopping, haste, return_exceptions=True)
        if isinstance(stopped, Exception):
            raise stopped


async def serve(loaded: Loaded, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once every listener accepts.

    ConfigurationError if it would listen in the open, OSError if it cannot listen.
    """
    check_exposure(loaded)
    # A reload computes in a thread beside the loop, and must hand over more often than every 5 ms.
    sys.setswitchinterval(0.001)
    ending = Ending()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)
    async with running(loaded, ending) as context:
        loop.add_signal_handler(signal.SIGHUP, _again, context)
        log.info("serving", extra={"facts": _facts(context.service)})
        if ready:
            ready()
        await ending.asked.wait()
        context.service.stopping = True
        log.info("stopping")
        await ending.wait(loaded.server.shutdown_delay_seconds)


@contextlib.asynccontextmanager
async def running(loaded: Loaded, ending: Ending | None = None) -> AsyncIterator[Context]:
    """A service whose listeners accept; at the end requests under way are waited for.

    Unless `ending` is in haste.
    """
    service = Service(loaded)
    metrics = JournalMetrics(service.metrics.registry)
    service.journal = open_journal(loaded.server.decision_log, loaded.decision_log, metrics)
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
        await (ending or Ending()).stop(started)
        await service.stop()


def _again(context: Context) -> None:
    """What SIGHUP asks for: the decision log's file is opened anew, and the policy is read anew."""
    if context.service.journal is not None:
        context.service.journal.reopen()
    context.reloader.soon()


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
