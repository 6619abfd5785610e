"""`pdp serve`: loads everything first, and only then opens a port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pdp.cli.cases import failing_cases
from pdp.cli.listening import cannot_listen, loop_factory
from pdp.cli.options import (
    AdminListen,
    Config,
    DecisionLog,
    Directory,
    GrpcListen,
    Listen,
    PublicUrl,
    TlsCert,
    TlsClientCa,
    TlsKey,
    TrustNetwork,
    Workers,
    policy_directory,
)
from pdp.cli.problems import show
from pdp.cli.serve import serve
from pdp.errors import Severity
from pdp.runtime.extras import extra
from pdp.runtime.load import Loaded, load
from pdp.runtime.logs import configure_logging

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("serve")
def start(  # noqa: PLR0913 - one parameter for each flag
    directory: Directory = None,
    *,
    policies: Annotated[
        Path | None,
        typer.Option("--policies", metavar="DIR", show_default=False, help="The same as DIR."),
    ] = None,
    listen: Listen = None,
    admin_listen: AdminListen = None,
    grpc_listen: GrpcListen = None,
    workers: Workers = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    public_url: PublicUrl = None,
    decision_log: DecisionLog = None,
    config: Config = None,
    trust_network: TrustNetwork = None,
) -> None:
    """Answer gateways and services until SIGTERM or Ctrl-C.

    A flag wins over its PDP_* variable, and that over the file. For example:

    pdp serve policies --listen 127.0.0.1:7373
    """
    place = policy_directory(directory, policies)
    flags = {
        "listen": listen,
        "admin_listen": admin_listen,
        "grpc_listen": grpc_listen,
        "workers": workers,
        "tls_cert": _whole(tls_cert),
        "tls_key": _whole(tls_key),
        "tls_client_ca": _whole(tls_client_ca),
        "public_url": public_url,
        "decision_log": decision_log,
        "trust_network": trust_network,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    loaded = load(place, config, os.environ, given)
    for problem in (*loaded.warnings, *failing_cases(loaded)):
        show(replace(problem, severity=Severity.WARNING), error=True)
    (run if loaded.server.workers == 1 else _run_workers)(loaded)


def _whole(path: str | None) -> str | None:
    """A path of a flag, which is relative to where one is, unlike one in a file."""
    return None if path is None else str(Path(path).absolute())


def run(loaded: Loaded, ready: Callable[[], None] | None = None) -> None:
    """Serve until told to stop; leaves with 4 if it cannot listen."""
    configure_logging(sys.stderr)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(loaded, ready=ready))
    except (OSError, ValueError) as error:  # a host's name may be none at all
        cannot_listen(loaded.server, error)


def _run_workers(loaded: Loaded) -> None:
    """The same with several processes; ConfigurationError without the extra for that."""
    with extra("workers", "server.workers", "the package for workers"):
        from pdp.cli import workers
    workers.run_workers(loaded)
