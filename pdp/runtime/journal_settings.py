"""The section `[decision_log]`: what is masked, sampled and queued, and what happens when full."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from pdp.config import suggest
from pdp.errors import Problem

STDOUT: Final = "-"
OFF: Final = "off"
# What can be masked as a whole; below the last two also single names, as `context.user_agent`.
MASKABLE: Final = (
    *("subject", "roles", "resource", "ip", "country", "issuer", "kid", "key_id", "token"),
    *("caller", "request_id", "trace_id", "detail", "attributes", "context"),
)
ENTITIES: Final = ("subject", "resource", "action")


class DecisionLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[decision_log]`: what decisions are recorded with; where to is `server.decision_log`."""

    mask: tuple[str, ...] = ()  # values that are replaced by a marker
    sample_allows: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # the share that is recorded
    queue: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000  # records that may wait
    on_full: Literal["drop", "fail_closed"] = "drop"  # what becomes of a decision then


def check_decision_log(settings: DecisionLogSettings, file: str) -> list[Problem]:
    """Names to mask that no record has, so that a misspelt one masks nothing unnoticed."""
    return [
        Problem(
            file,
            None,
            "unknown-mask",
            f"`decision_log.mask`: `{name}` is no value of a record that can be masked",
            suggest(name, (*MASKABLE, "attributes.NAME", "context.NAME")),
        )
        for name in settings.mask
        if not _maskable(name)
    ]


def _maskable(name: str) -> bool:
    root, dot, rest = name.partition(".")
    if not dot:
        return name in MASKABLE
    return root in {"attributes", "context"} and all(rest.split("."))
