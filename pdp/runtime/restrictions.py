"""What only a restart may change: a reload never takes protection away."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pdp.errors import Problem, Severity
from pdp.policy.effect import Decision
from pdp.policy.entities import FILE as ENTITIES
from pdp.policy.layer import Layer
from pdp.policy.snapshot import Snapshot
from pdp.runtime.load import Loaded
from pdp.runtime.sources import CASES, MANIFEST, SETTINGS

# Optional files that protect: once one was there, a directory without it is not believed.
PROTECTING = (SETTINGS, MANIFEST, CASES, ENTITIES)


def protecting(directory: Path) -> frozenset[str]:
    """Those of the protecting files that are there, broken links included."""
    return frozenset(name for name in PROTECTING if os.path.lexists(directory / name))


def restrictions(
    live: Loaded, snapshot: Snapshot, loaded: Loaded, held: Iterable[str]
) -> list[Problem]:
    """Why `loaded` must not follow `snapshot` without a restart; `held` are files once seen."""
    gone = sorted(set(held) - protecting(live.directory))
    operators = live.origin.config.name if live.origin.config else SETTINGS
    return [
        *(_needs_restart(name, f"`{name}` is gone") for name in gone),
        *_changed(live, loaded, operators),
        *_weakened(snapshot, loaded.snapshot),
    ]


def _needs_restart(file: str, what: str, code: str = "restart-needed") -> Problem:
    help_ = "a reload takes no protection away; restart the PDP if it is meant"
    return Problem(file, None, code, f"{what}, which takes a restart", help_)


def _changed(live: Loaded, loaded: Loaded, file: str) -> list[Problem]:
    sections = {
        "authentication": live.authentication == loaded.authentication,
        "callers": live.callers_settings == loaded.callers_settings,
    }
    return [
        _needs_restart(file, f"`{name}` has changed") for name, same in sections.items() if not same
    ]


def unheeded(live: Loaded, read: Loaded) -> list[Problem]:
    """Sections that a reload does not take over, though it keeps nothing from going live."""
    file = live.origin.config.name if live.origin.config else SETTINGS
    sections = {
        "server": live.server == read.server,
        "limits": live.limits_settings == read.limits_settings,
        "decision_log": live.decision_log == read.decision_log,
    }
    help_ = "what was read at the start goes on to hold; restart the PDP"
    return [
        Problem(
            file,
            None,
            "restart-needed",
            f"`{name}` has changed, which counts after a restart",
            help_,
            Severity.WARNING,
        )
        for name, same in sections.items()
        if not same
    ]


def _weakened(old: Snapshot, new: Snapshot) -> list[Problem]:
    guards = {layer.name: layer for layer in new.layers if layer.kind == "guard"}
    problems = []
    for guard in (layer for layer in old.layers if layer.kind == "guard"):
        other = guards.get(guard.name)
        if other is None:
            what = f"the guard `{guard.name}` is gone"
            problems.append(_needs_restart(SETTINGS, what, "guard-removed"))
        elif not _is_idle(guard) and (lost := _lost(guard, other)):
            what = f"the guard `{guard.name}` {lost}"
            problems.append(_needs_restart(other.file, what, "guard-removed"))
    if old.hidden and not new.hidden:
        problems.append(_needs_restart(SETTINGS, "nothing is concealed any more"))
    return problems


def _lost(old: Layer, new: Layer) -> str:
    """What protection a guard has no more, in words; empty if none."""
    if _is_idle(new):
        return "refuses nobody any more"
    return "has no deny row any more" if _denies(old) and not _denies(new) else ""


def _is_idle(guard: Layer) -> bool:
    """Whether a guard says the same to every question, or denies nothing that it could."""
    allows_rest = not guard.effect.requires_allow
    return not guard.depends or (allows_rest and not _denies(guard))


def _denies(guard: Layer) -> bool:
    """Whether there is a deny row that its effect honours."""
    rows = guard.rows if guard.effect.honours_deny else ()
    return any(row.decision is Decision.DENY for row in rows)
