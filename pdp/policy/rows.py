"""One rule of a layer, as it is judged."""

from __future__ import annotations

import msgspec

from pdp.policy.effect import Decision


class PolicyRow(msgspec.Struct, frozen=True, gc=False):
    """One rule: its values, what it decides, and the line it stands in.

    There can be a million: it holds no cycle, and the garbage collector need not look at it.
    """

    values: tuple[str, ...]
    decision: Decision
    line: int
