"""The thread that writes the decision log: neither a full disk nor a slow reader delays anybody."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.journal_shapes import Dropped, timestamp
from pdp.runtime.journal_sink import Sink

log = logging.getLogger("pdp.journal")

_BATCH: Final = 128  # lines that are written in one go
_GATHER_SECONDS: Final = 0.05  # before a batch that would be small: waking up costs more than it
_RETRY_SECONDS: Final = 0.25
_TELL_SECONDS: Final = 1.0


class Writer:
    """Writes lines in their order, each once. Only the event loop's thread adds to them."""

    def __init__(self, sink: Sink, metrics: JournalMetrics) -> None:
        self._sink, self._metrics = sink, metrics
        self.queue: deque[bytes] = deque()
        self._drops = _Drops()
        self._wake = threading.Event()
        self._idle = self._reopen = False
        self._until: float | None = None  # when the end of draining is, by the monotonic clock
        self._told = 0.0
        self._thread = threading.Thread(target=self._run, name="pdp-journal", daemon=True)

    def write(self, lines: Iterable[bytes]) -> None:
        """Have whole lines written soon."""
        self.queue.extend(lines)
        if self._idle:
            self._wake.set()

    def drop(self, at: float) -> None:
        """Have it recorded that a record of `at`, in Unix seconds, is missing."""
        self._drops.add(at)
        self._metrics.dropped()

    def reopen(self) -> None:
        """Go on in the file that has the path by now, for logrotate."""
        self._reopen = True
        self._wake.set()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what waits, for so long at most, and end; blocks meanwhile."""
        if not self._thread.is_alive():
            self._sink.close()
            return
        self._until = time.monotonic() + seconds
        self._wake.set()
        self._thread.join(seconds + 1.0)
        lost = len(self.queue) + self._sink.left
        if lost:
            self.tell("decisions not recorded at the end", {"count": lost})
        if not self._thread.is_alive():
            self._sink.close()

    def tell(self, message: str, facts: dict[str, object]) -> None:
        """On standard error, once a second at most."""
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            log.error(message, extra={"facts": facts})

    # What follows runs in the thread.

    def _run(self) -> None:
        while not self._done():
            try:
                self._step()
            except OSError as error:
                self._failed(error.strerror or type(error).__name__)
            except Exception as error:  # noqa: BLE001 - told; nothing but the end ends the thread
                self._failed(type(error).__name__)

    def _done(self) -> bool:
        """At the end all is written, or there is no time left for it."""
        if self._until is None:
            return False
        written = not (self.queue or self._sink.left or self._drops.any)
        return written or time.monotonic() >= self._until

    def _step(self) -> None:
        sink, queue = self._sink, self.queue
        self._metrics.written(sink.count())
        if self._reopen:
            self._reopen = False
            sink.reopen()
        if not sink.write((), self._patient):
            return
        lines = [queue.popleft() for _ in range(min(_BATCH, len(queue)))]
        sink.write([*lines, *self._drops.take()], self._patient)
        self._metrics.written(sink.count())
        if not queue and self._until is None:
            self._sleep()
        if len(queue) < _BATCH and self._until is None and not self._reopen:
            time.sleep(_GATHER_SECONDS)

    def _sleep(self) -> None:
        """Until there is something to do."""
        # INVARIANT: `_idle` is set before the queue is looked at, or a record could lie there.
        self._idle = True
        if not self.queue and not self._drops.any:
            self._wake.wait()
        self._idle = False
        self._wake.clear()

    def _patient(self) -> bool:
        """Whether to wait on for a slow reader: not if there is something else to do."""
        return not self._reopen and (self._until is None or time.monotonic() < self._until)

    def _failed(self, why: str) -> None:
        self._metrics.failed()
        self.tell("cannot record decisions", {"error": why, "waiting": len(self.queue)})
        time.sleep(_RETRY_SECONDS)


class _Drops:
    """Counts what is dropped until that is recorded; for two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count, self._since = 0, 0.0

    @property
    def any(self) -> bool:
        return self._count > 0

    def add(self, at: float) -> None:
        with self._lock:
            if not self._count:
                self._since = at
            self._count += 1

    def take(self) -> list[bytes]:
        """The line that stands for what was dropped since the last one, if anything was."""
        with self._lock:
            count, since, self._count = self._count, self._since, 0
        if not count:
            return []
        told = Dropped(timestamp=timestamp(time.time()), count=count, since=timestamp(since))
        return [msgspec.json.encode(told) + b"\n"]
