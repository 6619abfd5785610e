"""Loads the directory anew for a process that takes the place of one that died."""

from __future__ import annotations

from pdp.errors import ConfigurationError, Problem
from pdp.runtime.load import Loaded, load
from pdp.runtime.sources import SETTINGS


def load_anew(start: Loaded) -> Loaded:
    """What stands in the directory by now, with all files beside the policy; or ConfigurationError.

    INVARIANT: nobody who merely takes a place goes by other settings of the operator's than those
    who were there from the start: that takes a restart of all.
    """
    origin = start.origin
    fresh = load(start.directory, origin.config, origin.environment, origin.flags)
    file = origin.config.name if origin.config else SETTINGS
    same = {
        "server": start.server == fresh.server,
        "authentication": start.authentication == fresh.authentication,
        "callers": start.callers_settings == fresh.callers_settings,
        "limits": start.limits_settings == fresh.limits_settings,
        "decision_log": start.decision_log == fresh.decision_log,
    }
    changed = [
        Problem(
            file,
            None,
            "restart-needed",
            f"`{name}` has changed, and other workers go by what it said at the start",
            "restart the PDP",
        )
        for name, unchanged in same.items()
        if not unchanged
    ]
    if changed:
        raise ConfigurationError(changed)
    return fresh
