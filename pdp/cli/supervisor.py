"""The supervisor of workers: gunicorn's, without its listeners, its reloads and its banners.

What it does here: fork, notice who dies or hangs, replace them, and end all of them in order.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, ClassVar, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker as GunicornWorker

from pdp.cli.work import SIGNALS, Group, work

log = logging.getLogger("pdp.supervisor")

HUNG_SECONDS: Final = 30  # without a sign of life: it is ended, and replaced
_MARGIN_SECONDS: Final = 5  # beyond what the settings let an end take
_GOOD_SECONDS: Final = 10.0  # a worker that lived so long is replaced at once
_LONGEST_PAUSE: Final = 30.0


class _Logger(Logger):
    """What the supervisor has to say goes where all logs go, from warnings on."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log = log
        self.error_log.setLevel(logging.WARNING)
        self.access_log = self.error_log


class _Process(GunicornWorker):
    """One worker: made before the fork, at work behind it."""

    app: _Application

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.born = time.monotonic()
        self.index = self.app.place()

    def init_process(self) -> None:
        """Never returns: what is below it on the stack is the supervisor's."""
        self.booted = True
        code = 1
        try:
            code = work(self.app.group, self.index, self.notify, first=self.app.is_first(self.age))
        finally:
            logging.shutdown()
            sys.stderr.flush()
            os._exit(code)


class _Application(BaseApplication):
    """Gunicorn's settings, and what workers are forked with."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.supervisor: Supervisor | None = None
        super().__init__()

    def load_config(self) -> None:
        """No listeners, no control socket, no files but in the directory of the workers."""
        server = self.group.loaded.server
        grace = server.shutdown_delay_seconds + 2 * server.drain_seconds + _MARGIN_SECONDS
        for name, value in {
            "workers": server.workers,
            "worker_class": _Process,
            "logger_class": _Logger,
            "bind": [],
            "reuse_port": True,  # with no address: then it opens nothing itself
            "control_socket_disable": True,
            "worker_tmp_dir": str(self.group.together.directory),
            "timeout": HUNG_SECONDS,
            "graceful_timeout": int(grace),
            "child_exit": _child_exit,
        }.items():
            self.cfg.set(name, value)

    def is_first(self, age: int) -> bool:
        """Whether a worker is one of those that there were from the start."""
        return age <= self.group.loaded.server.workers

    def place(self) -> int:
        """One that no worker has."""
        workers = self.supervisor.WORKERS.values() if self.supervisor else ()
        taken = {worker.index for worker in workers if isinstance(worker, _Process)}
        return next(row.index for row in self.group.together.rows if row.index not in taken)


def _child_exit(supervisor: Supervisor, worker: _Process) -> None:
    supervisor.died(worker)


class Supervisor(Arbiter):
    """Keeps as many workers as are wanted; SIGHUP is for them, and ends none."""

    SIGNALS: ClassVar = [*SIGNALS]

    def __init__(self, group: Group) -> None:
        application = _Application(group)
        self._group = group
        self._pause = self._not_before = 0.0
        self._asked_to_end = self._stops = False
        super().__init__(application)
        application.supervisor = self

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """Whoever asks a second time is in a hurry."""
        ends = sig in {signal.SIGTERM, signal.SIGINT}
        number = signal.SIGQUIT if ends and self._asked_to_end else sig
        self._asked_to_end |= ends
        super().signal(signal.SIGTERM if number == signal.SIGINT else number, frame)

    def handle_hup(self) -> None:
        """The workers open their log anew, and read the policy."""
        self.kill_workers(signal.SIGHUP)

    def stop(self, graceful: bool = True) -> None:
        """End all workers; one that could not start meanwhile is only one more that ends."""
        self._stops = True
        super().stop(graceful)

    def reap_workers(self) -> None:
        """Bury who died; HaltServer if one of the first could not start."""
        try:
            super().reap_workers()
        except HaltServer:
            if not self._stops:
                raise

    def died(self, worker: _Process) -> None:
        """Its place is free; after a pause, the longer the more often it does not live long."""
        self._group.together.rows[worker.index].clear()
        self._wait(time.monotonic() - worker.born)

    def _wait(self, lived: float) -> None:
        self._pause = (
            0.0 if lived > _GOOD_SECONDS else min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)
        )
        self._not_before = time.monotonic() + self._pause

    def spawn_workers(self) -> None:
        """Fill the free places, unless it is too early for that."""
        if time.monotonic() < self._not_before:
            return
        try:
            super().spawn_workers()
        except (OSError, RuntimeError) as error:  # no process or file to be had: the others go on
            log.error("cannot start a worker", extra={"facts": {"error": str(error)}})  # noqa: TRY400
            self._wait(0)

    def spawn_worker(self) -> Any:
        """Fork one; a signal that comes meanwhile is for who has handlers for it by then."""
        if self.worker_age >= self._group.loaded.server.workers:
            self._group.together.replaced()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            if os.getpid() != self.pid:
                os._exit(1)  # INVARIANT: nobody but the supervisor cleans up what is above this
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
