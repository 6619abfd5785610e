"""One of several workers: that it lives, what it tells the others, and what it asks of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pdp.errors import ConfigurationError, Problem
from pdp.runtime.channel import Channel
from pdp.runtime.merged_metrics import counters, merge
from pdp.runtime.metrics import Metrics
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.together import BEAT_SECONDS, Row, Together, mark

log = logging.getLogger("pdp.worker")

_METRICS: Final = b"metrics\n"
_RELOAD: Final = b"reload "
_POKE_SECONDS: Final = 0.3  # after which who has not prepared it is told of it
_JOIN_SECONDS: Final = 60.0  # longer than a reload takes that rests for others
_JOIN_AGAIN_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.01  # how often is looked whether all have prepared a policy


class Worker:
    """A worker's place among the others; to be made in its own process.

    Each answers the others on a Unix socket in the directory that they share, and leaves there
    what its counters have come to, before it tells anybody: whoever takes its place goes on from
    there, so that no counter that was seen ever falls.
    """

    def __init__(self, together: Together, index: int) -> None:
        self.together = together
        self.row: Row = together.rows[index]
        self._index = index
        self._metrics: Metrics | None = None
        self._reload: Callable[[], None] = _nothing
        self._before = self._left(index)  # the counters of those who had this place
        self._leaving = asyncio.Lock()
        self._asking: asyncio.Task[bytes] | None = None
        self._channel = Channel(together.directory, index, self._reply)

    async def live(
        self, parent: int, beat: Callable[[], None], orphaned: Callable[[], None]
    ) -> None:
        """Say that it lives, for as long as it does; `orphaned` once its parent is another one."""
        while True:
            self.row.beat()
            beat()
            if os.getppid() != parent:
                orphaned()
            await asyncio.sleep(BEAT_SECONDS)

    async def answer(self, metrics: Metrics, reload: Callable[[], None]) -> None:
        """Begin to answer the other workers."""
        self._metrics, self._reload = metrics, reload
        metrics.everywhere = self.exposition
        await self._channel.start()

    async def stop(self) -> None:
        """Answer nobody any more; what was counted stays."""
        if self._metrics is not None:
            self._channel.stop()
            with contextlib.suppress(OSError):
                await self._own()
        self.row.clear()

    # metrics

    async def exposition(self) -> bytes:
        """The metrics of all workers, in the Prometheus text format.

        Put together once for all who ask meanwhile: whoever asks often makes nobody busy.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._everybodys())
        return await asyncio.shield(self._asking)

    async def _everybodys(self) -> bytes:
        others = [row for row in self.together.rows if row.index != self._index]
        own, told = await asyncio.gather(
            self._own(), asyncio.gather(*(self._channel.ask(row.index, _METRICS) for row in others))
        )
        answers = [own, *(answer for answer in told if answer is not None)]
        pairs = [*zip(others, told, strict=True)]
        left = [self._left(row.index) for row, answer in pairs if answer is None]
        silent = sum(row.live > 0 for row, answer in pairs if answer is None)
        told_by_all = await asyncio.to_thread(merge, answers, left)
        workers = sum(row.answers for row in self.together.rows)
        facts = GroupMetrics(workers, silent, self.together.restarts)
        return told_by_all + generate_latest(facts)

    async def _own(self) -> bytes:
        """What this worker tells, left in the directory before."""
        own = self._metrics.exposition() if self._metrics else b""
        async with self._leaving:
            return await asyncio.to_thread(self._leave, own)

    def _leave(self, own: bytes) -> bytes:
        whole = merge([own], [self._before]) if self._before else own
        place = self._file(self._index)
        fresh = place.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk: it is told all the same
            fresh.write_bytes(counters(whole))
            fresh.replace(place)
        return whole

    def _left(self, index: int) -> bytes:
        try:
            return self._file(index).read_bytes()
        except OSError:
            return b""

    # policies

    async def agree(self, revision: str, seconds: float) -> bool:
        """Wait, for so long at most, until all can decide by `revision`; then they do so together.

        False at once if another has read something newer: then this is to be read again.
        """
        own, ours = self.row, mark(revision)
        own.has_prepared(revision)
        started, poked = time.monotonic(), False
        while True:
            rows = [*self.together.others(self._index)]
            late = [row for row in rows if ours not in (row.live, row.prepared[0])]
            if not late:
                return True
            if any(_is_newer(row, own) for row in late):
                return False
            waited = time.monotonic() - started
            if waited > seconds:
                pids = [row.pid for row in late]
                log.warning("workers are late", extra={"facts": {"pids": pids}})
                return True
            if waited > _POKE_SECONDS and not poked:
                poked = True
                # They may have missed the edit.
                ask, line = self._channel.ask, _RELOAD + b"%d\n" % ours
                await asyncio.gather(*(ask(row.index, line) for row in late))
            await asyncio.sleep(_LOOK_SECONDS)

    def gives_up(self) -> None:
        """What was prepared does not go live."""
        self.row.gives_up()

    def decides_by(self, revision: str) -> None:
        """What was prepared is live."""
        self.row.decides_by(revision)

    def leaves(self) -> None:
        """It is about to end: nobody is to wait for it."""
        self.row.leaves()

    def agrees(self, revision: str) -> bool:
        """Whether every other worker decides by this revision."""
        return all(row.live == mark(revision) for row in self.together.others(self._index))

    async def _reply(self, asked: bytes) -> bytes:
        if asked == _METRICS:
            return await self._own()
        if asked.startswith(_RELOAD):
            revision = int(asked.removeprefix(_RELOAD))
            if revision not in (self.row.live, self.row.prepared[0]):
                self._reload()
        return b""

    def _file(self, index: int) -> Path:
        return self.together.directory / f"{index}.metrics"


async def join(worker: Worker, service: Service, reloader: Reloader) -> None:
    """Decide by what the others decide by; ConfigurationError if the directory has something else.

    Then it holds what they did not let live, or it is about to be read by them, too.
    """
    end = asyncio.get_running_loop().time() + _JOIN_SECONDS
    while not worker.agrees(service.snapshot.revision):
        if asyncio.get_running_loop().time() > end:
            directory = str(service.loaded.directory)
            message = "holds a policy that other workers do not decide by"
            help_ = "`/readyz` tells why it is not live; they go on without this one"
            raise ConfigurationError([Problem(directory, None, "workers-differ", message, help_)])
        await reloader.reload()
        await asyncio.sleep(_JOIN_AGAIN_SECONDS)
    worker.decides_by(service.snapshot.revision)


class GroupMetrics(Collector):
    """What is told of all workers together."""

    def __init__(self, workers: int, silent: int, restarts: int) -> None:
        self._metrics: Sequence[Metric] = (
            GaugeMetricFamily("pdp_workers", "Workers that decide.", value=workers),
            GaugeMetricFamily(
                "pdp_workers_silent",
                "Workers that did not tell their metrics in time: older ones count for them.",
                value=silent,
            ),
            CounterMetricFamily(
                "pdp_worker_restarts", "Workers that were replaced.", value=restarts
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return iter(self._metrics)


def _is_newer(row: Row, own: Row) -> bool:
    """Whether another has prepared something else than we, and later."""
    revision, at = row.prepared
    ours, since = own.prepared
    return revision not in (0, ours) and at > since


def _nothing() -> None:
    """Until there is something to reload."""
