"""Checks how many rules one request can make a layer look at one by one."""

from __future__ import annotations

from pdp.errors import Problem
from pdp.policy.index.plan import most_scanned
from pdp.policy.layer import Layer
from pdp.policy.settings import LayerSettings

_HELP = (
    "compare a field of the request with one of the rules by `==`, a role or a pattern"
    " (`pdp check --plan` shows what is indexed), or raise `scan_limit`"
)


def check_scans(layer: Layer, settings: LayerSettings) -> list[Problem]:
    """A problem if a layer's index leaves too many rules to be looked at."""
    limit = settings.scan_limit
    if len(layer.rows) <= limit:
        return []
    most = most_scanned(layer.indexes)
    if most <= limit:
        return []
    message = f"a request can make this layer try {most} rules one by one, and {limit} are allowed"
    return [Problem(layer.file, None, "scans-rules", message, _HELP)]
