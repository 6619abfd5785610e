"""The composition root: a loaded configuration, its listeners, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.cli.cases import failing_cases
from pdp.cli.ending import Ending, Listener
from pdp.errors import ConfigurationError, Problem
from pdp.runtime.extras import extra
from pdp.runtime.journal import open_journal
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.load import Loaded
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import ServerSettings, is_local
from pdp.runtime.turns import ALONE, LockedTurn
from pdp.runtime.worker import Worker, join
from pdp.surfaces.context import Context, make_context
from pdp.surfaces.listening import http_listeners
from pdp.surfaces.reserved import Reserved
from pdp.surfaces.sockets import OpenSocket, open_sockets, remove_stale

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
    "grpc_listen": "gRPC is spoken without TLS, and knows no certificates: listen on 127.0.0.1 or "
    "unix:/path, or say --trust-network if nobody else is on the network",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of several workers stands: among the others, and on sockets of all of them."""

    worker: Worker
    reserved: Mapping[str, Reserved]  # by what `[server]` says

    async def sockets(self, listen: str, _: ServerSettings) -> list[OpenSocket]:
        """What it listens on there."""
        return self.reserved[listen].open()


def listeners(context: Context, place: Place | None = None) -> list[Listener]:
    """Every listener that is configured; ConfigurationError if gRPC is, and is not installed."""
    server = context.service.loaded.server
    found: list[Listener] = [*http_listeners(context, place.sockets if place else open_sockets)]
    if server.grpc_listen is not None:
        listen = place.reserved[server.grpc_listen].listen if place else server.grpc_listen
        found.append(_grpc(context, listen, shared=place is not None))
    return found


def _grpc(context: Context, listen: str, *, shared: bool) -> Listener:
    with extra("grpc", "server.grpc_listen", "the packages for gRPC"):
        from pdp.surfaces import grpc_server
    if listen.startswith("unix:"):
        remove_stale(Path(listen.removeprefix("unix:")))
    return grpc_server.Listener(context, listen, shared=shared)


async def serve(loaded: Loaded, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once every listener accepts.

    ConfigurationError if it would listen in the open, OSError if it cannot listen.
    """
    check_exposure(loaded)
    ending = Ending()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)
    await serve_until(ending, loaded, ready=ready)


async def serve_until(
    ending: Ending,
    loaded: Loaded,
    place: Place | None = None,
    *,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve until `ending` is asked for, alone or at a `place` among workers."""
    # A reload computes in a thread beside the loop, and must hand over more often than every 5 ms.
    sys.setswitchinterval(0.001)
    async with running(loaded, ending, place) as context:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _again, context)
        which = {"worker": place.worker.row.index} if place else {}
        log.info("serving", extra={"facts": {**_facts(context.service), **which}})
        if ready:
            ready()
        await ending.asked.wait()
        context.service.stopping = True
        log.info("stopping")
        await ending.wait(loaded.server.shutdown_delay_seconds)


@contextlib.asynccontextmanager
async def running(
    loaded: Loaded, ending: Ending | None = None, place: Place | None = None
) -> AsyncIterator[Context]:
    """A service whose listeners accept; at the end requests under way are waited for.

    Unless `ending` is in haste.
    """
    service, worker = Service(loaded), place.worker if place else None
    metrics = JournalMetrics(service.metrics.registry)
    turn = LockedTurn(worker.together) if worker else ALONE
    service.journal = open_journal(loaded.server.decision_log, loaded.decision_log, metrics, turn)
    if worker:
        service.page_key = worker.together.page_key
    reloader = Reloader(service, failing_cases, worker)
    context = make_context(service, reloader)
    started: list[Listener] = []
    try:
        planned = listeners(context, place)
        await service.start()
        if worker:
            await worker.answer(service.metrics, reloader.soon)
            await join(worker, service, reloader)
        for listener in planned:
            started.append(listener)
            await listener.start()
        reloader.start()
        yield context
    finally:
        if worker:
            worker.leaves()
        await reloader.stop()
        await (ending or Ending()).stop(started)
        await service.stop()
        if worker:
            await worker.stop()


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
