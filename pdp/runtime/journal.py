"""The decision log: what was decided is noted, made lines of, many at a time, and written.

Lines are made on the event loop, right behind the answers: what they are made of is at hand then.
A thread writes them. Where it cannot, they wait, then are dropped, or `fail_closed` makes faults of
the decisions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import Final

from pdp.errors import ConfigurationError, Problem
from pdp.model import Outcome
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.journal_record import Recorder
from pdp.runtime.journal_settings import OFF, DecisionLogSettings
from pdp.runtime.journal_shapes import Entry
from pdp.runtime.journal_sink import Sink
from pdp.runtime.journal_writer import Writer
from pdp.runtime.turns import ALONE, Turn

_TOGETHER: Final = 16  # records that are encoded in one call
_LONGEST_SECONDS: Final = 0.001  # at a time: meanwhile nobody is answered
_ALLOW: Final = Outcome.ALLOW


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
    """Records decisions, each once; for the event loop's thread."""

    def __init__(self, sink: Sink, settings: DecisionLogSettings, metrics: JournalMetrics) -> None:
        self._most, self._share = settings.queue, settings.sample_allows
        self._fails_closed = settings.on_full == "fail_closed"
        self._metrics = metrics
        self._recorder = Recorder(settings.mask, settings.sample_allows)
        self._noted: deque[Entry] = deque()
        self._writer = Writer(sink, metrics)
        self._queue = self._writer.queue
        metrics.follow(self._queue)

    @property
    def refuses(self) -> bool:
        """Whether the next decision must be a fault, because it could not be recorded."""
        return self._fails_closed and len(self._queue) + len(self._noted) >= self._most

    def put(self, entry: Entry) -> None:
        """Have a decision recorded soon; one for which there is no room is counted.

        Of allows only a share may be recorded.
        """
        noted = self._noted
        if self._share < 1 and self._leaves_out(entry):
            self._metrics.left_out()
        elif len(self._queue) + len(noted) >= self._most:
            self._writer.drop(entry.at)
        else:
            if not noted:
                asyncio.get_running_loop().call_soon(self._make)
            noted.append(entry)

    def _leaves_out(self, entry: Entry) -> bool:
        return entry.verdict.outcome is _ALLOW and random.random() >= self._share  # noqa: S311 - no secret

    def _make(self) -> None:
        """Make lines of what was noted, in turns with those who answer."""
        noted, until = self._noted, time.perf_counter() + _LONGEST_SECONDS
        while noted:
            some = [noted.popleft() for _ in range(min(_TOGETHER, len(noted)))]
            self._writer.write(self._lines(some))
            if noted and time.perf_counter() > until:
                asyncio.get_running_loop().call_soon(self._make)
                return

    def _lines(self, entries: list[Entry]) -> list[bytes]:
        try:
            return self._recorder.lines(entries)
        except Exception:  # noqa: BLE001 - one by one it shows which
            return [line for line in map(self._line, entries) if line]

    def _line(self, entry: Entry) -> bytes:
        try:
            return self._recorder.line(entry)
        except Exception as error:  # noqa: BLE001 - what can be said of it is still recorded
            self._writer.tell("a record is not whole", {"error": type(error).__name__})
        try:
            return self._recorder.least(entry)
        except Exception:  # noqa: BLE001 - and if nothing can, it is counted, and others go on
            self._writer.drop(time.time())
            return b""

    def reopen(self) -> None:
        """Go on in the file that has the path by now, for logrotate."""
        self._writer.reopen()

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    async def stop(self, seconds: float) -> None:
        """Write what waits, for so long at most, and end."""
        while self._noted:
            self._make()
        await asyncio.to_thread(self._writer.stop, seconds)

    def close(self) -> None:
        """Give up a log to which nothing was ever written."""
        self._writer.stop(0)
