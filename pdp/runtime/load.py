"""Loads everything a PDP needs from its directory, or says all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdp.errors import ConfigurationError, Problem, Severity
from pdp.identity.chain import Authenticator
from pdp.identity.keys import KeySource
from pdp.identity.settings import AuthenticationSettings
from pdp.policy.snapshot import Snapshot
from pdp.runtime.access import Access, load_access
from pdp.runtime.beside import Beside, load_beside
from pdp.runtime.callers import Callers
from pdp.runtime.journal_settings import DecisionLogSettings
from pdp.runtime.limits import LimitSettings
from pdp.runtime.making import Known, make_snapshot, policy_files
from pdp.runtime.sections import policy_settings, read_own, read_sections
from pdp.runtime.settings import CallerSettings, ServerSettings


@dataclass(frozen=True, slots=True)
class Origin:
    """Where else a configuration came from, so that it can be read again."""

    config: Path | None
    environment: Mapping[str, str] = field(repr=False)
    flags: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration; `warnings` are problems that keep nothing from going live.

    Those of them that the policy's own files have are `policy_warnings`.
    """

    directory: Path
    snapshot: Snapshot
    server: ServerSettings
    decision_log: DecisionLogSettings
    authentication: AuthenticationSettings
    beside: Beside
    access: Access
    callers_settings: tuple[CallerSettings, ...]
    limits_settings: LimitSettings
    warnings: tuple[Problem, ...]
    policy_warnings: tuple[Problem, ...]
    origin: Origin

    @property
    def sources(self) -> Mapping[str, KeySource]:
        """The keys of every issuer that has some, by its name."""
        return self.beside.equipment.means.keys

    @property
    def callers(self) -> Callers:
        """Who may ask the JSON APIs."""
        return self.access.callers

    @property
    def authenticator(self) -> Authenticator:
        """Who judges credentials."""
        return self.beside.authenticator

    def again(self) -> Loaded:
        """The same, read anew; ConfigurationError as `load` raises it.

        Keys, callers and revocations are those of now: they are followed on their own, and a
        mistake in them does not delay a policy.
        """
        origin = self.origin
        return load(self.directory, origin.config, origin.environment, origin.flags, live=self)

    def known(self, authentication: AuthenticationSettings) -> Known | None:
        """What need not be made again of the same files, unless it depends on other settings."""
        same = authentication == self.authentication
        return (self.snapshot, self.policy_warnings) if same else None


def load(
    directory: Path,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    live: Loaded | None = None,
) -> Loaded:
    """The configuration of a policy directory, or ConfigurationError with every problem.

    With `config`, the operator's sections come from that file and are refused in the directory.
    Values of `[server]` are taken from `flags`, then `PDP_*` of `environment`, then the file.
    What lives beside the policy is taken from `live`, if given, and else read; so is its
    snapshot, if the files are still those.
    """
    given = environment or {}
    own, problems = read_own(directory)
    operators, policy, found = read_sections(own, config, given, flags or {})
    problems += found
    settings = policy_settings(directory, policy)
    files, found = policy_files(directory, own, settings, operators.authentication)
    problems += found
    beside, found = (live.beside, []) if live else load_beside(operators, directory, config, given)
    problems += found
    base = config.parent if config else directory
    access, found = (live.access, []) if live else load_access(operators, base)
    problems += found
    known = live.known(operators.authentication) if live else None
    snapshot, found = make_snapshot(files, settings, operators.authentication, known)
    problems += found
    if snapshot is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise ConfigurationError(problems)
    return Loaded(
        directory=directory,
        snapshot=snapshot,
        server=operators.server,
        decision_log=operators.decision_log,
        authentication=operators.authentication,
        beside=beside,
        access=access,
        callers_settings=operators.callers,
        limits_settings=operators.limits,
        warnings=tuple(problems),
        policy_warnings=tuple(found),
        origin=Origin(config, given, flags or {}),
    )
