"""What every problem code means: the table in `codes.toml`, which is read by whoever shows it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import msgspec

from pdp.errors import Severity

FILE = "codes.toml"


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One code: what it says of a file, why that matters, and what to write instead."""

    severity: Severity = Severity.ERROR
    what: str
    why: str
    instead: str
    bad: str
    good: str


def read_codes(data: bytes) -> Mapping[str, Code]:
    """The codes of `codes.toml`, in its order; it is ours, so that a mistake in it is a bug."""
    return msgspec.convert(tomllib.loads(data.decode()), dict[str, Code])
