"""Where records go: a file, a pipe or standard output; writing waits, and never for ever."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pdp.runtime.journal_settings import STDOUT
from pdp.runtime.turns import ALONE, Turn

_STDOUT: Final = 1
_ATOMIC: Final = select.PIPE_BUF  # bytes that a pipe takes as one, and at once where it is ready
_LOOK_MILLISECONDS: Final = 100
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_MODE: Final = 0o600
_OPEN_SECONDS: Final = 1.0  # for a turn to open the file: another process may write just then
_END: Final = b"\n"  # of what somebody else has left of a line


class _Piece(NamedTuple):
    """What is written in one go, and how many of our lines end in it: counting them takes long."""

    data: bytes
    ends: int


class Sink:
    """One open destination. Not for several threads; processes that share it take `turn`s."""

    def __init__(self, path: str, turn: Turn = ALONE) -> None:
        """OSError if it cannot be opened; a FIFO that nobody reads is such."""
        self._path = path
        self._turn = turn
        self._torn = b""  # what stands there of a line that is not written to its end
        self._descriptor = self._open()
        self._whole = _is_file(self._descriptor)
        self._rest: list[_Piece] = []
        self._count = 0

    def reopen(self) -> None:
        """Go on in what has the path by now, as after a rotation; OSError leaves all as it is.

        A line that is half written is begun again there.
        """
        if self._path == STDOUT:
            return
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor, self._whole = descriptor, _is_file(descriptor)
        if self._rest:
            data, ends = self._rest[0]
            self._rest[0] = _Piece(self._torn + data, ends)
        self._torn = b""
        self._turn.give()

    def write(self, lines: Sequence[bytes], patient: Callable[[], bool]) -> bool:
        """Write all lines behind what was left last time; True if all are written.

        Waits for a slow reader as long as `patient()`. OSError says why it cannot go on; either
        way the rest is kept for the next attempt, so that nothing is written twice or torn.
        """
        self._rest += self._pieces(lines)
        if not self._rest:
            return True
        if not self._turn.take(patient):
            return False
        try:
            return self._write(patient)
        finally:
            if not self._torn:  # else nobody else may write: it would stand within our line
                self._turn.give()

    def _write(self, patient: Callable[[], bool]) -> bool:
        if self._turn.found_torn() and (not self._whole or _ends_within_line(self._path)):
            data, ends = self._rest[0]
            self._rest[0] = _Piece(_END + data, ends)
        while self._rest:
            if not self._whole and not self._ready():
                if not patient():
                    return False
                continue
            piece = self._rest[0]
            # A pipe takes a piece of whole lines as one.
            if self._whole or self._torn or not piece.data.endswith(_END):
                self._turn.writing()
            try:
                written = os.write(self._descriptor, piece.data)
            except BlockingIOError:
                if not patient():
                    return False
                continue
            self._took(piece, written)
        return True

    def _took(self, piece: _Piece, written: int) -> None:
        data, ends = piece
        done = data[:written]
        _, feed, behind = done.rpartition(_END)
        if written == len(data):
            del self._rest[0]
        else:
            ended_anothers = not self._torn and done.startswith(_END)  # no record begins with that
            ends = done.count(_END) - ended_anothers
            self._rest[0] = _Piece(data[written:], piece.ends - ends)
        self._count += ends
        self._torn = behind if feed else self._torn + done

    def count(self) -> int:
        """How many lines were written since this was asked last."""
        count, self._count = self._count, 0
        return count

    @property
    def left(self) -> int:
        """How many records are not written, or not to their end."""
        return sum(piece.ends for piece in self._rest)

    def close(self) -> None:
        """Give the destination up."""
        os.close(self._descriptor)

    def _open(self) -> int:
        """Opened with the turn: what another process writes just now does not lack its end."""
        until = time.monotonic() + _OPEN_SECONDS
        self._turn.take(lambda: time.monotonic() < until)
        try:
            return _open(self._path)
        finally:
            if not self._torn:
                self._turn.give()

    def _pieces(self, lines: Sequence[bytes]) -> list[_Piece]:
        """Lines together; for a pipe no more than it takes at once, so that lines do not mix."""
        if self._whole:
            return [_Piece(b"".join(lines), len(lines))] if lines else []
        pieces: list[bytes] = []
        for line in lines:
            if pieces and len(pieces[-1]) + len(line) <= _ATOMIC:
                pieces[-1] += line
            else:
                pieces += [line[at : at + _ATOMIC] for at in range(0, len(line), _ATOMIC)]
        return [_Piece(piece, piece.count(_END)) for piece in pieces]

    def _ready(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(_LOOK_MILLISECONDS))


def _open(path: str) -> int:
    if path == STDOUT:
        return os.dup(_STDOUT)
    descriptor = os.open(path, _FLAGS, _MODE)
    try:
        if _is_file(descriptor) and _ends_within_line(path):
            os.write(descriptor, b"\n")  # what a crash or a full disk has left is a line by itself
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _ends_within_line(path: str) -> bool:
    """Whether a file's last line lacks its end; not if it may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            size = file.seek(0, os.SEEK_END)
            return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
    except OSError:
        return False


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
