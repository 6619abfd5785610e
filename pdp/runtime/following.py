"""Keeps files live on a path of their own, whatever becomes of the policy.

stat → read in a thread → assign one reference. Every file is followed by a task of its own, so
that none waits for another one, nor for a policy that is being built.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Gauge

from pdp.errors import Problem

log = logging.getLogger("pdp.files")

Problems = tuple[Problem, ...]
Signature = tuple[int, ...]  # empty where there is no file
Take = Callable[[bool], str | None]

INTERVAL_SECONDS: Final = 0.5
_UNREAD: Final = frozenset({"missing-file", "unreadable-file", "no-key-file", "internal-error"})


class Followed(Protocol):
    """A file whose content is live soon after it is written; FileKeys is one, too."""

    path: Path
    problems: Problems  # why not all that stands in the file is live, and nothing else

    def read(self) -> Take:
        """Read the file, which may block; what is returned makes it live in the event loop.

        That is told whether the file has stood still, and tells what is live now, if it is new.
        """
        ...


class Watch:
    """Follows files by kind, and tells how they are.

    `registry` gets a gauge `pdp_KIND_stale` for each kind: 1 while a file of it has a problem, so
    that what it said before holds.
    """

    def __init__(
        self, files: Mapping[str, Sequence[Followed]], registry: CollectorRegistry
    ) -> None:
        self._files = files
        self._tasks: list[asyncio.Task[None]] = []
        for kind in files:
            help_ = f"1 while a file of {kind} has a problem: what was good before holds."
            gauge = Gauge(f"pdp_{kind}_stale", help_, registry=registry)
            gauge.set_function(partial(self._is_stale, kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What kinds of files are followed."""
        return tuple(self._files)

    def problems(self, kind: str) -> Problems:
        """Why not all that stands in the files of a kind is live, and nothing else."""
        return tuple(problem for file in self._files[kind] for problem in file.problems)

    def _is_stale(self, kind: str) -> bool:
        return bool(self.problems(kind))

    def start(self) -> None:
        """Begin to follow the files."""
        every = (file for files in self._files.values() for file in files)
        self._tasks = [asyncio.create_task(follow(file)) for file in every]

    async def stop(self) -> None:
        """End that; what is live stays. Harmless if never started, or stopped before."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(file: Followed) -> None:
    """Read a file when it has changed, and once more when it then has stood still.

    That second time nobody is in the midst of writing it, and an edit in the same tick of the
    file system's clock is seen, too. What could not be read is tried again every time.
    """
    seen: Signature = ()
    settled: Signature = ()
    while True:
        now, take = await asyncio.to_thread(_glance, file, settled)
        if take is not None:
            # Written to while it was read, a file has no signature, and did not stand still.
            still, seen = bool(now) and now == seen, now
            _live(file, take, still=still)
            unread = any(problem.code in _UNREAD for problem in file.problems)
            settled = now if still and not unread else ()
        await asyncio.sleep(INTERVAL_SECONDS)


def _glance(file: Followed, settled: Signature) -> tuple[Signature, Take | None]:
    """In a thread: the file's signature, and its content unless it is settled."""
    now = signature(file.path)
    if now and now == settled:
        return now, None
    try:
        take = file.read()
        # Written to while it was read: not to be taken for an edit that has stood still.
        return (now if signature(file.path) == now else ()), take
    except Exception as error:  # noqa: BLE001 - a bug keeps what is live, and says so
        message = f"could not be read: {type(error).__name__}"
        return now, _failing(file, Problem(file.path.name, None, "internal-error", message))


def _failing(file: Followed, problem: Problem) -> Take:
    def take(_settled: bool) -> None:
        file.problems = (problem,)

    return take


def _live(file: Followed, take: Take, *, still: bool) -> None:
    before = file.problems
    news = take(still)
    facts = {"file": str(file.path)}
    if news is not None:
        log.info("now live: %s", news, extra={"facts": facts})
    if file.problems != before:
        listed = [str(problem) for problem in file.problems]
        level, what = (logging.ERROR, "has problems") if listed else (logging.INFO, "is good again")
        log.log(level, "file %s", what, extra={"facts": {**facts, "problems": listed}})


def signature(path: Path) -> Signature:
    """Cheap evidence of change, of the file that a link leads to; empty where there is none."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return ()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
