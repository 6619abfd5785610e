"""Keeps revocations and key files live on a path of their own, whatever becomes of the policy.

stat → read in a thread → assign one reference. Every file is followed by a task of its own, so
that none waits for another one, nor for a policy that is being built.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Gauge

from pdp.errors import Problem
from pdp.identity.chain import Authenticator
from pdp.identity.keys import KeySource
from pdp.identity.revocation import FILE, NONE, Revocations, read_revocations
from pdp.runtime.keys import FileKeys
from pdp.runtime.sources import read_file

log = logging.getLogger("pdp.revocations")

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


def load_revocations(directory: Path) -> tuple[Revocations | None, list[Problem]]:
    """What a directory's `revoked.csv` revokes, and everything wrong with it; None without one."""
    path = directory / FILE
    if not os.path.lexists(path):
        return None, []
    data, problems = read_file(path, FILE)
    return (NONE, problems) if data is None else read_revocations(data)


class RevocationFile:
    """The `revoked.csv` of a directory, and who judges by it.

    INVARIANT: what is revoked stays so until a file without problems, and which stands still,
    does not say so any more. What is added counts at once.
    """

    def __init__(self, directory: Path, authenticator: Authenticator, *, expected: bool) -> None:
        self.path = directory / FILE
        self.problems: Problems = ()
        self._authenticator = authenticator
        self._expected = expected  # there was such a file, so there must be one

    def read(self) -> Take:
        """A good file replaces what is revoked; a bad one adds to it what could be read."""
        found, problems = load_revocations(self.path.parent)
        if found is None:
            return self._absent
        # INVARIANT: nobody else replaces these. The sets may be large, so compare them here.
        before = self._authenticator.revocations
        added = before | found
        added, found = (before if after == before else after for after in (added, found))
        exact = added if problems else found
        return lambda settled: self._take(exact if settled else added, tuple(problems))

    def _absent(self, _settled: bool) -> None:
        self.problems = (_gone(),) if self._expected else ()

    def _take(self, revocations: Revocations, problems: Problems) -> str | None:
        self._expected, self.problems = True, problems
        if revocations is self._authenticator.revocations:
            return None
        self._authenticator.revocations = revocations
        return f"{revocations.size} revocations"


def _gone() -> Problem:
    help_ = "write it again; only a restart accepts that there is none"
    return Problem(FILE, None, "missing-file", "is gone: what it said goes on to hold", help_)


class Watch:
    """Follows `revoked.csv` and the key files of one PDP, and tells how they are.

    `registry` gets the gauges `pdp_revocations`, `pdp_revocations_stale` and `pdp_keys_stale`.
    """

    def __init__(
        self,
        revocations: RevocationFile,
        sources: Mapping[str, KeySource],
        authenticator: Authenticator,
        registry: CollectorRegistry,
    ) -> None:
        self._revocations = revocations
        self._keys = [source for source in sources.values() if isinstance(source, FileKeys)]
        self._tasks: list[asyncio.Task[None]] = []
        for name, help_, value in (
            ("pdp_revocations", "Rows that are revoked.", lambda: authenticator.revocations.size),
            (
                "pdp_revocations_stale",
                "1 while `revoked.csv` has a problem: earlier revocations hold, good rows count.",
                lambda: bool(self.revocation_problems),
            ),
            (
                "pdp_keys_stale",
                "1 while a key file has a problem: the last good keys serve.",
                lambda: bool(self.key_problems),
            ),
        ):
            Gauge(name, help_, registry=registry).set_function(value)

    @property
    def revocation_problems(self) -> Problems:
        """Why not all that stands in `revoked.csv` is live, and nothing else."""
        return self._revocations.problems

    @property
    def key_problems(self) -> Problems:
        """Why the keys that stand in files are not those that serve."""
        return tuple(problem for keys in self._keys for problem in keys.problems)

    def start(self) -> None:
        """Begin to follow the files."""
        files: list[Followed] = [self._revocations, *self._keys]
        self._tasks = [asyncio.create_task(follow(file)) for file in files]

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
            still, seen = now == seen, now
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
