"""`pdp serve --workers N`: all is checked and opened once, before there are workers."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from prometheus_client import CollectorRegistry

from pdp.cli.listening import cannot_listen
from pdp.cli.serve import check_exposure
from pdp.cli.supervisor import Supervisor
from pdp.cli.terminal import give_up
from pdp.cli.work import Group
from pdp.runtime.journal import open_journal
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.load import Loaded
from pdp.runtime.logs import configure_logging
from pdp.runtime.together import Together, make_directory, remove_directory
from pdp.surfaces.reserved import Reserved


def run_workers(loaded: Loaded) -> None:
    """Serve until told to stop; leaves as a single process does: 3, or 4 if it cannot listen."""
    check_exposure(loaded)
    _check_log(loaded)
    configure_logging(sys.stderr)
    try:
        directory = make_directory(os.environ)
    except OSError as error:
        help_ = "set TMPDIR to a directory that may be written, with a short path"
        give_up(f"{getattr(error, 'strerror', None) or error}", 3, help_)
    with contextlib.ExitStack() as opened:
        opened.callback(remove_directory, directory)
        reserved = _reserve(loaded, opened)
        group = Group(loaded, Together(loaded.server.workers, directory), reserved)
        gc.collect()
        gc.freeze()  # what was loaded is not written to by collections: workers share its memory
        Supervisor(group).run()


def _check_log(loaded: Loaded) -> None:
    """ConfigurationError if it cannot be opened; workers open it each for themselves."""
    metrics = JournalMetrics(CollectorRegistry())
    journal = open_journal(loaded.server.decision_log, loaded.decision_log, metrics)
    if journal is not None:
        journal.close()


def _reserve(loaded: Loaded, opened: contextlib.ExitStack) -> dict[str, Reserved]:
    """Every place to listen at, before anybody listens."""
    server, reserved = loaded.server, dict[str, Reserved]()
    try:
        for listen in filter(None, (server.listen, server.admin_listen, server.grpc_listen)):
            found = Reserved(listen, server)
            opened.callback(found.close)
            reserved[listen] = found
    except (OSError, ValueError) as error:
        cannot_listen(server, error)
    return reserved
