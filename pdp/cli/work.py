"""What one of several workers does, from its fork to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Final

import typer

from pdp.cli.ending import Ending
from pdp.cli.listening import cannot_listen, loop_factory
from pdp.cli.problems import show_refusal
from pdp.cli.serve import Place, serve_until
from pdp.errors import ConfigurationError
from pdp.runtime.load import Loaded
from pdp.runtime.replacing import load_anew
from pdp.runtime.together import Together, remove_directory
from pdp.runtime.worker import Worker
from pdp.surfaces.reserved import Reserved

log = logging.getLogger("pdp.worker")

SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Group:
    """What workers are forked with: all that was loaded and opened before."""

    loaded: Loaded
    together: Together
    reserved: Mapping[str, Reserved]
    supervisor: int = field(default_factory=os.getpid)


def work(group: Group, index: int, beat: Callable[[], None], *, first: bool) -> int:
    """Serve until told to end; the exit code.

    Of the first workers, one that cannot start ends all: 3 or 4, as without workers. One that
    has served, or takes a place, is replaced: 1.
    """
    serving = Event()
    for number in (*SIGNALS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)  # not the supervisor's
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_work(group, index, beat, serving.set, first=first))
    except Exception as error:  # noqa: BLE001 - told; exit 1, 3 or 4: the stack below is another's
        if serving.is_set() or not first:
            log.error("worker cannot go on", extra={"facts": {"problems": _told(error)}})  # noqa: TRY400
            return 1
        return _refuse(group, error)
    return 0


def _told(error: Exception) -> list[str]:
    """What is wrong; of a bug, its kind only."""
    if isinstance(error, ConfigurationError):
        return [*map(str, error.problems)]
    return [error.strerror or str(error) if isinstance(error, OSError) else type(error).__name__]


def _refuse(group: Group, error: Exception) -> int:
    """Say, once for all workers, why there will be none; with which code all end."""
    try:
        (group.together.directory / "refused").touch(exist_ok=False)
        if isinstance(error, ConfigurationError):
            show_refusal(error)
        elif isinstance(error, (OSError, ValueError)):
            cannot_listen(group.loaded.server, error)
        else:
            log.error("worker failed", extra={"facts": {"problems": _told(error)}})
    except (FileExistsError, typer.Exit):
        pass  # told by another; told
    return 4 if isinstance(error, (OSError, ValueError)) else 3


async def _work(
    group: Group,
    index: int,
    beat: Callable[[], None],
    ready: Callable[[], None],
    *,
    first: bool,
) -> None:
    ending, loop = Ending(), asyncio.get_running_loop()
    orphaned = asyncio.Event()
    # Ctrl-C reaches every process, and so may SIGTERM: it is the supervisor who knows of haste.
    for number, handle in (
        (signal.SIGTERM, ending.ask_once),
        (signal.SIGQUIT, ending.hurry),
        (signal.SIGINT, _nothing),
        (signal.SIGHUP, _nothing),
    ):
        loop.add_signal_handler(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    worker = Worker(group.together, index)
    worker.row.begin(os.getpid())
    living = asyncio.create_task(worker.live(group.supervisor, beat, orphaned.set))
    following = asyncio.create_task(_follow(orphaned, ending))
    try:
        loaded = group.loaded if first else await asyncio.to_thread(load_anew, group.loaded)
        if not ending.asked.is_set():
            await serve_until(ending, loaded, Place(worker, group.reserved), ready=ready)
    finally:
        for task in (living, following):
            task.cancel()
        await asyncio.gather(living, following, return_exceptions=True)
        if orphaned.is_set():
            remove_directory(group.together.directory)


async def _follow(orphaned: asyncio.Event, ending: Ending) -> None:
    """Without a supervisor nobody is replaced or told to end: then all end."""
    await orphaned.wait()
    log.error("the supervisor is gone")
    ending.ask_once()


def _nothing() -> None:
    """Not ours to heed, or not yet."""
