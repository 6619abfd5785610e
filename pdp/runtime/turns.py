"""Whose turn it is to write the decision log, where several processes write to one place."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import Final, Protocol

from pdp.runtime.together import Together

_AGAIN_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 0.02  # between two attempts: a turn can last, as where the disk is full


class Turn(Protocol):
    """The right to write, which one process has at a time."""

    def take(self, patient: Callable[[], bool]) -> bool:
        """Whether it is ours; waits for it as long as `patient()`. Ours already is fine."""
        ...

    def give(self) -> None:
        """It may be another's: all lines stand there whole."""
        ...

    def writing(self) -> None:
        """What is written from now on is not whole until the turn is given."""
        ...

    def found_torn(self) -> bool:
        """Whether who had it before has ended in the midst of a line; told once."""
        ...


class Alone:
    """The turn of a process that shares its log with nobody."""

    def take(self, patient: Callable[[], bool]) -> bool:  # noqa: ARG002 - the protocol's
        """It always is."""
        return True

    def give(self) -> None:
        """To nobody."""

    def writing(self) -> None:
        """Nobody is to know."""

    def found_torn(self) -> bool:
        """There is nobody else."""
        return False


class LockedTurn:
    """A lock on a file in the workers' directory; the system gives up that of whoever dies."""

    def __init__(self, together: Together) -> None:
        """To be made in the worker: a lock is whose who opened its file."""
        self._together = together
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(together.directory / "log.lock", flags, 0o600)
        self._mine = self._found_torn = False

    def take(self, patient: Callable[[], bool]) -> bool:
        """Try until it is ours; a fair queue is not needed, for each holds it for microseconds."""
        pause = _AGAIN_SECONDS
        while not self._mine:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not patient():
                    return False
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_SECONDS)
                continue
            self._mine, self._found_torn = True, self._together.torn
        return True

    def give(self) -> None:
        """To whoever comes."""
        if self._mine:
            self._together.torn = self._mine = False
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def writing(self) -> None:
        """Said in the table that all share."""
        self._together.torn = True

    def found_torn(self) -> bool:
        """As the table said when the turn was taken."""
        found, self._found_torn = self._found_torn, False
        return found


ALONE: Final = Alone()
