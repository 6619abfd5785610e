"""Points in time and durations as people write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

_END_OF_9999: Final = 253_402_300_799
_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)?")
_SECONDS: Final = {None: 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_time(value: object) -> float:
    """Unix seconds from an RFC 3339 or YAML timestamp, or from a number; else ValueError.

    A timestamp without an offset is UTC, as YAML has it.
    """
    try:
        seconds = _seconds(value)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= _END_OF_9999:
        raise ValueError("must be an RFC 3339 time, or Unix seconds")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return math.nan
    try:
        return float(value)
    except ValueError:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str) -> int:
    """Seconds from `90`, `90s`, `15m`, `1h` or `7d`; ValueError for all else, nothing included."""
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _END_OF_9999:
        raise ValueError("must be a duration such as `90s`, `15m`, `1h` or `7d`")
    return seconds
