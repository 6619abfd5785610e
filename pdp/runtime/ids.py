"""Decision ids: UUIDs of version 7, which sort by time (RFC 9562 §5.7)."""

from __future__ import annotations

import random
import time


def decision_id() -> str:
    """A fresh id; its first 48 bits are the Unix time in milliseconds.

    The rest are seeded by the system in every process, and by no means a secret.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
