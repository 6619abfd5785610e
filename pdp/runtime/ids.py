"""Decision ids: UUIDs of version 7, which sort by time (RFC 9562 §5.7)."""

from __future__ import annotations

import os
import time
import uuid


def decision_id() -> str:
    """A fresh id; its first 48 bits are the Unix time in milliseconds."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
