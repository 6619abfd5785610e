"""Keeps the live policy equal to the directory's, as long as what stands there is good.

watch → read → build aside → check → the policy's own cases → assign one reference. A problem
anywhere keeps the last good snapshot and is told in the log, in `/readyz` and in metrics.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from watchfiles import awatch

from pdp.errors import ConfigurationError, Problem, Severity
from pdp.identity.revocation import FILE as REVOCATIONS
from pdp.runtime.load import Loaded
from pdp.runtime.restrictions import protecting, restrictions
from pdp.runtime.service import Service

log = logging.getLogger("pdp.reload")

Result = Literal["activated", "unchanged", "rejected"]
Verify = Callable[[Loaded], list[Problem]]
Signature = tuple[tuple[str, int, int, int, int], ...]

POLL_MILLISECONDS = 500  # where events are missed (network file systems), this finds the edit
SETTLE_SECONDS = 0.1  # a directory that still changes is not read


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of one attempt; `problems` hold errors only if it was rejected."""

    result: Result
    revision: str
    problems: tuple[Problem, ...] = ()


class Reloader:
    """Reloads the policy of one service; attempts never overlap."""

    def __init__(self, service: Service, verify: Verify) -> None:
        self._service = service
        self._verify = verify
        self._lock = asyncio.Lock()
        self._seen: Signature | None = None  # so that an edit during the start is seen
        self._held = protecting(service.loaded.directory)
        self._tasks = set[asyncio.Task[Reload]]()
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the directory."""
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End watching."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def soon(self) -> None:
        """Reload without waiting for it, as a signal handler must."""
        task = asyncio.create_task(self.reload())
        self._tasks.add(task)  # a task that nobody holds may be collected
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> Reload:
        """Read the directory now and make it live if it is good; never raises."""
        async with self._lock:
            attempt = await asyncio.to_thread(self._candidate)
            if isinstance(attempt, Loaded):
                attempt = self._activate(attempt)
        self._record(attempt)
        return attempt

    async def _watch(self) -> None:
        """INVARIANT: nothing but being cancelled ends this, whatever goes wrong in one round."""
        directory, wrong = self._service.loaded.directory, ""
        while True:
            try:
                await self._look(directory)
                async for _ in awatch(
                    directory,
                    rust_timeout=POLL_MILLISECONDS,
                    yield_on_timeout=True,
                    recursive=False,
                ):
                    wrong = ""
                    await self._look(directory)
            except Exception as error:  # noqa: BLE001 - told, and tried again
                if type(error).__name__ != wrong:
                    wrong = type(error).__name__
                    log.warning("cannot watch", extra={"facts": {"error": wrong}})
                await asyncio.sleep(POLL_MILLISECONDS / 1000)

    async def _look(self, directory: Path) -> None:
        if await asyncio.to_thread(signature, directory) != self._seen:
            self._seen = await _settled(directory)
            await self.reload()

    def _candidate(self) -> Loaded | Reload:
        """In a thread: what stands in the directory, or why it must not go live; never raises."""
        try:
            return self._examine()
        except ConfigurationError as error:
            return self._rejected(error.problems)
        except Exception as error:  # noqa: BLE001 - a bug here keeps the last good policy, and says so
            message = f"could not be read: {type(error).__name__}"
            directory = str(self._service.loaded.directory)
            return self._rejected([Problem(directory, None, "internal-error", message)])

    def _examine(self) -> Loaded | Reload:
        live, snapshot = self._service.loaded, self._service.snapshot
        # The gate is the operator's: an edit does not choose by which server settings it is judged.
        loaded = replace(live.again(), server=live.server)
        problems = restrictions(live, snapshot, loaded, self._held)
        changed = loaded.snapshot.revision != snapshot.revision
        if changed and not problems:
            problems = self._verify(loaded)
        if any(problem.severity is Severity.ERROR for problem in problems):
            return self._rejected(problems)
        self._held |= protecting(live.directory)
        return loaded if changed else Reload("unchanged", snapshot.revision, loaded.warnings)

    def _activate(self, loaded: Loaded) -> Reload:
        self._service.activate(loaded.snapshot, time.time())
        return Reload("activated", loaded.snapshot.revision, loaded.warnings)

    def _rejected(self, problems: Iterable[Problem]) -> Reload:
        return Reload("rejected", self._service.snapshot.revision, tuple(problems))

    def _record(self, attempt: Reload) -> None:
        self._service.reloaded(attempt.result, attempt.problems)
        facts = {
            "result": attempt.result,
            "policy_revision": attempt.revision,
            "problems": [f"{p} ({p.help})" if p.help else str(p) for p in attempt.problems],
        }
        level = logging.ERROR if attempt.result == "rejected" else logging.INFO
        log.log(level, "policy %s", attempt.result, extra={"facts": facts})


async def _settled(directory: Path) -> Signature:
    """The directory's signature once it has not changed for a moment, or for a bounded time."""
    seen = await asyncio.to_thread(signature, directory)
    for _ in range(10):
        await asyncio.sleep(SETTLE_SECONDS)
        now = await asyncio.to_thread(signature, directory)
        if now == seen:
            break
        seen = now
    return seen


def signature(directory: Path) -> Signature:
    """Cheap evidence of change: what each file really is, how long, and when it was written."""
    found = []
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        return (("", error.errno or 0, 0, 0, 0),)
    for path in paths:
        if path.name == REVOCATIONS:  # watched on its own path
            continue
        with suppress(OSError):
            stat = path.stat()
            found.append((path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)
