"""Keeps the garbage collector from stopping the service for the sake of a large policy.

A full collection walks all that lives, with every other thread waiting. What is live holds few
objects that the collector has to look at; what a build is about to throw away can be very many.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 1 << 30
_lock = threading.Lock()
_found: list[tuple[int, int, int]] = []  # the thresholds before, once for each build under way


@contextmanager
def only_young() -> Iterator[None]:
    """Within, only young objects are looked at.

    Those are few at a time, and among them is what requests leave behind; tuples of plain values
    are put out of the collector's sight for good.
    """
    with _lock:
        before = _found[0] if _found else gc.get_threshold()
        _found.append(before)
        gc.set_threshold(*before[:2], _NEVER)
    try:
        yield
    finally:
        with _lock:
            _found.pop()
            if not _found:
                gc.set_threshold(*before)


def set_aside() -> None:
    """From now on, no collection walks what lives at this moment; it goes with its last holder.

    For once, after the start: cycles that are garbage by then stay for good.
    """
    gc.freeze()


def take_back() -> None:
    """Let collections walk everything again."""
    gc.unfreeze()
