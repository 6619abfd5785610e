"""Keeps the live policy equal to the directory's, as long as what stands there is good.

watch → read → build aside → check → the policy's own cases → assign one reference. A problem
anywhere keeps the last good snapshot and is told in the log, in `/readyz` and in metrics.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from watchfiles import awatch

from pdp.errors import ConfigurationError, Problem, Severity
from pdp.gently import is_held_elsewhere, stepping_aside, take_apart
from pdp.policy.snapshot import Snapshot
from pdp.runtime.edits import Signature, settled, signature
from pdp.runtime.garbage import only_young, set_aside, take_back
from pdp.runtime.load import Loaded
from pdp.runtime.pacing import Pace, at_most
from pdp.runtime.restrictions import protecting, restrictions, unheeded
from pdp.runtime.service import Service

log = logging.getLogger("pdp.reload")

Result = Literal["activated", "unchanged", "rejected"]
Verify = Callable[[Loaded], list[Problem]]

POLL_MILLISECONDS = 500  # where events are missed (network file systems), this finds the edit
RETIRE_SECONDS = 0.05  # how often a policy that was replaced is asked whether it still judges
RETIRE_ROUNDS = 200
AGREE_SECONDS = 2.0  # for other workers to see an edit; they may then rest more than this one did
AGREE_ROUNDS = 5
MOST_TOLD = 1_000  # problems of one attempt: they are written and read on the event loop


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of one attempt; `problems` hold errors only if it was rejected.

    Of very many problems the first ones are told, and how many were left out.
    """

    result: Result
    revision: str
    problems: tuple[Problem, ...] = ()
    left_out: int = 0


class Others(Protocol):
    """Workers that serve the same directory: a policy goes live in all of them together."""

    async def agree(self, revision: str, seconds: float) -> bool:
        """Wait until they can do so, but not for longer; False if one has read what is newer."""
        ...

    def gives_up(self) -> None:
        """What was to go live does not."""
        ...

    def decides_by(self, revision: str) -> None:
        """It is live here."""
        ...


class Reloader:
    """Reloads the policy of one service; attempts never overlap."""

    def __init__(self, service: Service, verify: Verify, others: Others | None = None) -> None:
        self._others = others
        self._service = service
        self._verify = verify
        self._lock = asyncio.Lock()
        self._seen: Signature | None = None  # so that an edit during the start is seen
        self._worked = 0.0  # seconds on a core, for the last attempt
        self._held = protecting(service.loaded.directory)
        self._tasks = set[asyncio.Task[Any]]()  # a task that nobody holds may be collected
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the directory."""
        set_aside()  # modules, settings, the policy of the start
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End watching."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        take_back()

    def soon(self) -> None:
        """Reload without waiting for it, as a signal handler must."""
        self._begin(self.reload())

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> Reload:
        """Read the directory now and make it live if it is good; never raises."""
        async with self._lock:
            attempt = await self._agreed()
            if isinstance(attempt, Loaded):
                attempt = self._activate(attempt)
        self._record(attempt)
        return attempt

    async def _agreed(self) -> Loaded | Reload:
        """What stands in the directory, once all workers that there are have read it."""
        others, rounds = self._others, AGREE_ROUNDS
        while True:
            rounds -= 1
            attempt = await asyncio.to_thread(self._candidate)
            if others is None:
                return attempt
            if not isinstance(attempt, Loaded):
                others.gives_up()
                return attempt
            seconds = AGREE_SECONDS + at_most(self._worked)
            if await others.agree(attempt.snapshot.revision, seconds) or not rounds:
                return attempt
            held = [attempt]
            del attempt
            await asyncio.to_thread(_let_go, held)

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
            self._seen = await settled(directory)
            await self.reload()

    def _candidate(self) -> Loaded | Reload:
        """In a thread: what stands in the directory, or why it must not go live; never raises."""
        began = time.thread_time()
        try:
            with only_young(), stepping_aside(Pace()):
                return self._examine()
        except ConfigurationError as error:
            problems = list(error.problems)
        except Exception as error:  # noqa: BLE001 - a bug here keeps the last good policy, and says so
            message = f"could not be read: {type(error).__name__}"
            directory = str(self._service.loaded.directory)
            return self._rejected([Problem(directory, None, "internal-error", message)])
        finally:
            self._worked = time.thread_time() - began
        rejected = self._rejected(problems)
        _let_go(problems)  # every row can have one
        return rejected

    def _examine(self) -> Loaded | Reload:
        live, snapshot = self._service.loaded, self._service.snapshot
        # The gate is the operator's: an edit does not choose by which server settings it is judged.
        read = live.again()
        told = (*read.warnings, *unheeded(live, read))
        loaded = replace(read, server=live.server, warnings=told)
        del read
        problems = restrictions(live, snapshot, loaded, self._held)
        changed = loaded.snapshot.revision != snapshot.revision
        if changed and not problems:
            problems = self._verify(loaded)
        rejected = any(problem.severity is Severity.ERROR for problem in problems)
        if not rejected:
            self._held |= protecting(live.directory)
        if changed and not rejected:
            return loaded
        held, warnings = [loaded], loaded.warnings
        del loaded
        take_apart(held)
        return self._rejected(problems) if rejected else self._told("unchanged", warnings)

    def _activate(self, loaded: Loaded) -> Reload:
        service = self._service
        replaced = [service.snapshot]
        service.activate(loaded.snapshot, time.time())
        if self._others is not None:
            self._others.decides_by(loaded.snapshot.revision)
        # What was loaded at the start does not keep its snapshot, nor is it compared with that.
        service.loaded = replace(
            service.loaded, snapshot=loaded.snapshot, policy_warnings=loaded.policy_warnings
        )
        self._begin(_retire(replaced))
        return self._told("activated", loaded.warnings)

    def _rejected(self, problems: Iterable[Problem]) -> Reload:
        return self._told("rejected", tuple(problems))

    def _told(self, result: Result, problems: tuple[Problem, ...]) -> Reload:
        left_out = max(0, len(problems) - MOST_TOLD)
        return Reload(result, self._service.snapshot.revision, problems[:MOST_TOLD], left_out)

    def _record(self, attempt: Reload) -> None:
        self._service.reloaded(attempt.result, attempt.problems)
        facts: dict[str, Any] = {
            "result": attempt.result,
            "policy_revision": attempt.revision,
            "problems": [f"{p} ({p.help})" if p.help else str(p) for p in attempt.problems],
        }
        if attempt.left_out:
            facts["problems_left_out"] = attempt.left_out
        level = logging.ERROR if attempt.result == "rejected" else logging.INFO
        log.log(level, "policy %s", attempt.result, extra={"facts": facts})


def _let_go(held: list[Any]) -> None:
    with stepping_aside(Pace()):
        take_apart(held)


async def _retire(replaced: list[Snapshot]) -> None:
    """Free a policy that was replaced, once no request is judged by it and no record needs it.

    In a thread and piece by piece: freed at once, a large one would stop the loop for long.
    """
    for _ in range(RETIRE_ROUNDS):
        if not is_held_elsewhere(replaced):
            break
        await asyncio.sleep(RETIRE_SECONDS)
    await asyncio.to_thread(_let_go, replaced)
