"""Loads a policy directory for commands that serve nobody."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdp.config import parse_toml
from pdp.errors import ConfigurationError, Problem, Severity
from pdp.runtime.load import Loaded, load
from pdp.runtime.sources import SETTINGS, read_file

_PLACEHOLDER = "a secret that is set where the policy is served, and signs nothing here. " * 2
_UNSET = "no-secret"


def load_strictly(directory: Path, config: Path | None) -> Loaded:
    """The directory as `serve` would load it; ConfigurationError with every problem."""
    return load(directory, config, os.environ)


def load_leniently(directory: Path, config: Path | None) -> Loaded:
    """The same, but a secret that only the serving environment has is a warning.

    INVARIANT: what this returns verifies no token and is never served.
    """
    try:
        return load_strictly(directory, config)
    except ConfigurationError as error:
        downgraded = downgrade(error.problems)
        if any(problem.severity is Severity.ERROR for problem in downgraded):
            raise ConfigurationError(downgraded) from None
    unset = dict.fromkeys(_secret_names(directory, config), _PLACEHOLDER)
    given = {name: value for name, value in os.environ.items() if value}
    loaded = load(directory, config, {**unset, **given})
    warnings = [problem for problem in downgraded if problem.code == _UNSET]
    return replace(loaded, warnings=(*warnings, *loaded.warnings))


def downgrade(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, unset secrets among them as warnings."""
    return [replace(p, severity=Severity.WARNING) if p.code == _UNSET else p for p in problems]


def _secret_names(directory: Path, config: Path | None) -> list[str]:
    """The environment variables that the configuration, which is known to be good, names."""
    data, _ = read_file(config or directory / SETTINGS, SETTINGS)
    tables: dict[str, Any] = parse_toml(data or b"", SETTINGS)[0]
    issuers = tables.get("authentication", {}).get("issuers", ())
    keys = ("secret_env", "client_secret_env")
    return [issuer[key] for issuer in issuers for key in keys if key in issuer]
