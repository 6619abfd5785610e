"""The decision log: a bounded queue of what was decided, and the thread that writes it down.

The event loop notes what was decided, and nothing else: the thread makes lines of it, many in one
go. Neither a full disk nor a slow reader delays a decision: records wait, then are dropped, or
`fail_closed` makes faults of the decisions.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from typing import Final

import msgspec

from pdp.errors import ConfigurationError, Problem
from pdp.model import Outcome
from pdp.policy.snapshot import Snapshot
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.journal_record import Recorder
from pdp.runtime.journal_settings import OFF, DecisionLogSettings
from pdp.runtime.journal_shapes import Dropped, Entry, timestamp
from pdp.runtime.journal_sink import Sink
from pdp.runtime.turns import ALONE, Turn

log = logging.getLogger("pdp.journal")

_MADE: Final = 128  # records that are made in one go: the loop waits for its turn meanwhile
_TOGETHER: Final = 16  # that are encoded in one call, in which no other thread can run
_GATHER_SECONDS: Final = 0.05  # before a batch that would be small: waking up costs more than it
_RETRY_SECONDS: Final = 0.25
_TELL_SECONDS: Final = 1.0


def open_journal(
    path: str, settings: DecisionLogSettings, metrics: JournalMetrics, turn: Turn = ALONE
) -> Journal | None:
    """The decision log at `path`, or None; ConfigurationError if it cannot be opened.

    Processes that write to one place take a `turn` each.
    """
    if path == OFF:
        return None
    try:
        return Journal(Sink(path, turn), settings, metrics)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        message = f"`{path}` cannot be opened: {why}"
        help_ = "a file in a directory that may be written, `-` for standard output, or `off`"
        problem = Problem("server.decision_log", None, "bad-decision-log", message, help_)
        raise ConfigurationError([problem]) from error


class Journal:
    """Records decisions, each once; only the event loop's thread calls it."""

    def __init__(self, sink: Sink, settings: DecisionLogSettings, metrics: JournalMetrics) -> None:
        self._most, self._share = settings.queue, settings.sample_allows
        self._fails_closed = settings.on_full == "fail_closed"
        self._metrics = metrics
        self._sink = sink
        self._recorder = Recorder(settings.mask, settings.sample_allows)
        self._queue: deque[Entry] = deque()
        self._drops = _Drops()
        self._wake = threading.Event()
        self._idle = self._reopen = False
        self._until: float | None = None  # when the end of draining is, by the monotonic clock
        self._told = 0.0
        self._thread = threading.Thread(target=self._run, name="pdp-journal", daemon=True)
        metrics.follow(self._queue)

    @property
    def refuses(self) -> bool:
        """Whether the next decision must be a fault, because it could not be recorded."""
        return self._fails_closed and len(self._queue) >= self._most

    def kept(self, snapshot: Snapshot) -> Snapshot | None:
        """What an entry has to keep of the policy, so that its record can be made."""
        return self._recorder.kept(snapshot)

    def put(self, entry: Entry) -> None:
        """Have a decision recorded soon; one for which there is no room is counted.

        Of allows only a share may be recorded.
        """
        share = self._share
        if share < 1 and entry.verdict.outcome is Outcome.ALLOW and random.random() >= share:  # noqa: S311 - no secret
            self._metrics.left_out()
            return
        if len(self._queue) >= self._most:
            self._drops.add(entry.at)
            self._metrics.dropped()
            return
        self._queue.append(entry)
        if self._idle:
            self._wake.set()

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
        lost = len(self._queue) + self._sink.left
        if lost:
            self._tell("decisions not recorded at the end", {"count": lost})
        if not self._thread.is_alive():
            self._sink.close()

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
        written = not (self._queue or self._sink.left or self._drops.any)
        return written or time.monotonic() >= self._until

    def _step(self) -> None:
        sink = self._sink
        self._metrics.written(sink.count())
        if self._reopen:
            self._reopen = False
            sink.reopen()
        if not sink.write((), self._patient):
            return
        lines = [*self._batch(), *self._drops.take()]
        sink.write(lines, self._patient)
        self._metrics.written(sink.count())
        if not self._queue and self._until is None:
            self._sleep()
        if len(self._queue) < _MADE and self._until is None and not self._reopen:
            time.sleep(_GATHER_SECONDS)

    def _batch(self) -> list[bytes]:
        queue = self._queue
        entries = [queue.popleft() for _ in range(min(_MADE, len(queue)))]
        parts = (entries[at : at + _TOGETHER] for at in range(0, len(entries), _TOGETHER))
        return [line for part in parts for line in self._lines(part)]

    def _lines(self, entries: list[Entry]) -> list[bytes]:
        try:
            return self._recorder.lines(entries)
        except Exception:  # noqa: BLE001 - one by one it shows which
            return [*map(self._line, entries)]

    def _line(self, entry: Entry) -> bytes:
        try:
            return self._recorder.line(entry)
        except Exception as error:  # noqa: BLE001 - what can be said of it is still recorded
            self._tell("a record is not whole", {"error": type(error).__name__})
            return self._recorder.least(entry)

    def _sleep(self) -> None:
        """Until there is something to do."""
        # INVARIANT: `_idle` is set before the queue is looked at, or a record could lie there.
        self._idle = True
        if not self._queue and not self._drops.any:
            self._wake.wait()
        self._idle = False
        self._wake.clear()

    def _patient(self) -> bool:
        """Whether to wait on for a slow reader: not if there is something else to do."""
        return not self._reopen and (self._until is None or time.monotonic() < self._until)

    def _failed(self, why: str) -> None:
        self._metrics.failed()
        self._tell("cannot record decisions", {"error": why, "waiting": len(self._queue)})
        time.sleep(_RETRY_SECONDS)

    def _tell(self, message: str, facts: dict[str, object]) -> None:
        """On standard error, once a second at most."""
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            log.error(message, extra={"facts": facts})


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
