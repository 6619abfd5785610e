"""What the workers of one PDP share: a table in memory with a row for each, and a directory.

A word of the table is written whole, and by one process only: a worker writes its own row, the
supervisor what is about them all. Nobody waits for a lock, and whoever dies leaves none behind.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

BEAT_SECONDS: Final = 0.25  # how often a worker says that it lives
_SILENT_SECONDS: Final = 3.0  # after which it is not counted upon any more
_WORD: Final = 8
_ROW: Final = 8  # words, one cache line
_PID, _BEAT, _LIVE, _PREPARED, _PREPARED_AT = range(5)
_LONGEST: Final = 90  # bytes of a path that still fits a socket's address with a name behind it


class Row:
    """What a worker says of itself; zeros where there is none."""

    def __init__(self, words: memoryview, index: int) -> None:
        self._words = words
        self.index = index

    @property
    def pid(self) -> int:
        """Its process, or 0."""
        return int(self._words[_PID])

    @property
    def answers(self) -> bool:
        """Whether it has been heard of lately, and decides."""
        silent = time.monotonic_ns() - self._words[_BEAT]
        return bool(self._words[_LIVE]) and silent < _SILENT_SECONDS * 1e9

    @property
    def live(self) -> int:
        """The mark of the revision that it decides by; 0 while it does not decide yet."""
        return int(self._words[_LIVE])

    @property
    def prepared(self) -> tuple[int, int]:
        """The mark of the revision that it has built beside that, and when that began to stand."""
        return int(self._words[_PREPARED]), int(self._words[_PREPARED_AT])

    def begin(self, pid: int) -> None:
        """A worker is at work on its start."""
        self.clear()
        self._words[_PID] = pid
        self.beat()

    def beat(self) -> None:
        """It lives."""
        self._words[_BEAT] = time.monotonic_ns()

    def decides_by(self, revision: str) -> None:
        """From now on it decides by this revision."""
        self._words[_LIVE] = mark(revision)
        self._words[_PREPARED] = 0

    def has_prepared(self, revision: str) -> None:
        """It could decide by this revision at once."""
        self._words[_PREPARED_AT] = time.monotonic_ns()
        self._words[_PREPARED] = mark(revision)

    def gives_up(self) -> None:
        """What it had prepared is not to go live."""
        self._words[_PREPARED] = 0

    def leaves(self) -> None:
        """It is about to end."""
        self._words[_LIVE] = self._words[_PREPARED] = 0

    def clear(self) -> None:
        """There is no worker any more."""
        for word in range(_ROW):
            self._words[word] = 0


class Together:
    """The table and the directory, made before there are workers."""

    def __init__(self, count: int, directory: Path) -> None:
        size = (count + 1) * _ROW
        words = memoryview(mmap.mmap(-1, size * _WORD)).cast("Q")
        self.directory = directory
        # What clears away old files of /tmp leaves a directory alone on which there is a lock.
        fcntl.flock(os.open(directory, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
        self.page_key = os.urandom(32)  # of the tokens that one gives and another is shown
        self._own = words[:_ROW]
        self.rows = [
            Row(words[at : at + _ROW], index) for index, at in enumerate(range(_ROW, size, _ROW))
        ]

    @property
    def restarts(self) -> int:
        """How many workers were replaced."""
        return int(self._own[0])

    def replaced(self) -> None:
        """One more was; the supervisor says so."""
        self._own[0] += 1

    @property
    def torn(self) -> bool:
        """Whether a line of the decision log is being written; if nobody does, it is not whole."""
        return bool(self._own[1])

    @torn.setter
    def torn(self, now: bool) -> None:
        """Only whoever has the turn to write says so."""
        self._own[1] = now

    def others(self, index: int) -> Iterator[Row]:
        """Every other worker that decides."""
        return (row for row in self.rows if row.index != index and row.answers)


def mark(revision: str) -> int:
    """A word for a revision; never 0."""
    return int.from_bytes(blake2b(revision.encode(), digest_size=_WORD).digest()) | 1


def make_directory(environment: Mapping[str, str]) -> Path:
    """A directory that only this user may look into; OSError if none can be made.

    In systemd's RUNTIME_DIRECTORY, else in TMPDIR or what stands for it, else in shared memory:
    that is there where a container's own files cannot be written.
    """
    given = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    for parent in filter(None, (given, _temporary(), "/dev/shm")):  # noqa: S108 - 0700, by mkdtemp
        try:
            made = tempfile.mkdtemp(prefix="pdp-", dir=parent)
        except OSError:
            continue
        if len(os.fsencode(made)) <= _LONGEST:
            return Path(made)
        os.rmdir(made)  # noqa: PTH106 - as it was made
    raise FileNotFoundError("no directory for what workers share can be made")


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return None


def remove_directory(directory: Path) -> None:
    """Remove it with all that is in it; harmless if it is gone."""
    shutil.rmtree(directory, ignore_errors=True)
