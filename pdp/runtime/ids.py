"""Decision ids: UUIDs of version 7, which sort by time (RFC 9562 §5.7)."""

from __future__ import annotations

import time
from functools import lru_cache
from random import getrandbits
from typing import Final

_VARIANT: Final = 0x8000


def decision_id() -> str:
    """A fresh id; its first 48 bits are the Unix time in milliseconds.

    The rest are seeded by the system in every process, and by no means a secret.
    """
    prefix = _prefix(time.time_ns() // 1_000_000)
    return f"{prefix}{getrandbits(12):03x}-{_VARIANT | getrandbits(14):x}-{getrandbits(48):012x}"


@lru_cache(maxsize=2)
def _prefix(milliseconds: int) -> str:
    """The time and the version."""
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7"
