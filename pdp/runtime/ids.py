"""Decision ids: UUIDs of version 7, which sort by time (RFC 9562 §5.7)."""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import Final

# By a random digit: its upper bits are the variant, its lower ones random.
_VARIANT: Final = {f"{digit:x}": f"{0x8 | digit & 0x3:x}" for digit in range(16)}


def decision_id() -> str:
    """A fresh id; its first 48 bits are the Unix time in milliseconds.

    The rest are seeded by the system in every process, and by no means a secret.
    """
    milliseconds, drawn = time.time_ns() // 1_000_000, f"{random.getrandbits(76):019x}"
    variant = _VARIANT[drawn[3]]
    return f"{_prefix(milliseconds)}{drawn[:3]}-{variant}{drawn[4:7]}-{drawn[7:]}"


@lru_cache(maxsize=2)
def _prefix(milliseconds: int) -> str:
    """The time and the version."""
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7"
