"""Loads everything a PDP needs from its directory, or says all that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pdp.config import decode, parse_toml, unknown_keys
from pdp.errors import ConfigurationError, Problem, Severity
from pdp.identity.chain import Authenticator
from pdp.identity.keys import KeySource
from pdp.identity.revocation import NONE, Revocations
from pdp.identity.settings import AuthenticationSettings, check
from pdp.policy.settings import CASBIN_PAIR, ConcealmentSettings, LayerSettings, PolicySettings
from pdp.policy.snapshot import Snapshot
from pdp.runtime.callers import Callers, load_callers
from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.keys import key_sources
from pdp.runtime.making import Known, make_snapshot, policy_files
from pdp.runtime.revocations import load_revocations
from pdp.runtime.settings import (
    CallerSettings,
    ServerSettings,
    check_callers,
    check_server,
    from_environment,
)
from pdp.runtime.sources import SETTINGS, read_file

S = TypeVar("S", bound=msgspec.Struct)
OPERATOR = ("server", "authentication", "callers")
POLICY = ("layers", "concealment")
PAIR = (CASBIN_PAIR.model, CASBIN_PAIR.policy)


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
    authentication: AuthenticationSettings
    authenticator: Authenticator
    sources: Mapping[str, KeySource]
    revocations: Revocations | None  # at start; None without a `revoked.csv`
    callers: Callers
    callers_settings: tuple[CallerSettings, ...]
    warnings: tuple[Problem, ...]
    policy_warnings: tuple[Problem, ...]
    origin: Origin

    def again(self) -> Loaded:
        """The same, read anew; ConfigurationError as `load` raises it.

        Keys and revocations are those of now: they are followed on their own, and a mistake in
        them does not delay a policy.
        """
        origin = self.origin
        return load(self.directory, origin.config, origin.environment, origin.flags, live=self)

    def known(self, authentication: AuthenticationSettings) -> Known | None:
        """What need not be made again of the same files, unless it depends on other settings."""
        same = authentication == self.authentication
        return (self.snapshot, self.policy_warnings) if same else None


class _Operator(msgspec.Struct, frozen=True, kw_only=True):
    server: ServerSettings = ServerSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    callers: tuple[CallerSettings, ...] = ()


class _Policy(msgspec.Struct, frozen=True, kw_only=True):
    layers: tuple[LayerSettings, ...] = ()
    concealment: ConcealmentSettings = ConcealmentSettings()


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
    Keys and revocations are taken from `live`, if given, and else read; so is its snapshot, if
    the files are still those.
    """
    operators, policy, problems = _settings(directory, config, environment or {}, flags or {})
    file = config.name if config else SETTINGS
    base = config.parent if config else directory
    settings = _policy_settings(directory, policy)
    files, found = policy_files(directory, settings)
    problems += found
    sources, found = _sources(operators.authentication, file, base, environment or {}, live)
    problems += found
    revocations, found = load_revocations(directory) if live is None else (live.revocations, [])
    problems += found
    callers, found = load_callers(operators.callers, base)
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
        authentication=operators.authentication,
        authenticator=Authenticator(operators.authentication, sources, revocations or NONE),
        sources=sources,
        revocations=revocations,
        callers=callers,
        callers_settings=operators.callers,
        warnings=tuple(problems),
        policy_warnings=tuple(found),
        origin=Origin(config, environment or {}, flags or {}),
    )


def _sources(
    authentication: AuthenticationSettings,
    file: str,
    base: Path,
    environment: Mapping[str, str],
    live: Loaded | None,
) -> tuple[Mapping[str, KeySource], list[Problem]]:
    """The sources of keys: the live ones, where the settings are still those."""
    if live is not None and live.authentication == authentication:
        return live.sources, []
    return key_sources(authentication, file, base, environment)


def _settings(
    directory: Path,
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
) -> tuple[_Operator, _Policy, list[Problem]]:
    """All sections, checked one by one and against each other."""
    tables, file, problems = _read_tables(directory, config)
    overrides, found = from_environment(environment)
    problems += found
    server = tables.get("server", {})
    if isinstance(server, Mapping):
        tables = {**tables, "server": {**server, **overrides, **flags}}
    operator, found = _section(_Operator, _only(tables, OPERATOR), file)
    problems += found
    policy, found = _section(_Policy, _only(tables, POLICY), SETTINGS)
    problems += found
    problems += check_server(operator.server, file) + check_gateways(operator.server, file)
    problems += check(operator.authentication, file)
    problems += check_callers(operator.callers, file)
    return operator, policy, problems


def _read_tables(directory: Path, config: Path | None) -> tuple[dict[str, Any], str, list[Problem]]:
    """The tables of the directory's file and of `config`, each with only its own sections."""
    if not directory.is_dir():
        raise ConfigurationError(
            [Problem(str(directory), None, "missing-directory", "is no policy directory")]
        )
    pair = all((directory / name).exists() for name in PAIR)
    if not pair and not (directory / SETTINGS).exists():
        held = f"holds neither `{SETTINGS}` nor both `{PAIR[0]}` and `{PAIR[1]}`"
        help_ = "`pdp init DIR` writes a policy to begin with"
        raise ConfigurationError([Problem(str(directory), None, "no-policy", held, help_)])
    own, problems = _read_toml(directory / SETTINGS, SETTINGS, optional=True)
    known = POLICY if config else (*POLICY, *OPERATOR)
    moved = [name for name in OPERATOR if config and name in own]
    problems += [
        Problem(
            SETTINGS,
            None,
            "operators-section",
            f"`[{name}]` is the operator's: it belongs in {config and config.name}",
            "with --config, policy authors cannot change it here",
        )
        for name in moved
    ]
    problems += unknown_keys({k: v for k, v in own.items() if k not in moved}, known, SETTINGS)
    if config is None:
        return own, SETTINGS, problems
    outer, found = _read_toml(config, config.name, optional=False)
    problems += found + unknown_keys(outer, OPERATOR, config.name)
    return {**_only(own, POLICY), **_only(outer, OPERATOR)}, config.name, problems


def _read_toml(path: Path, name: str, *, optional: bool) -> tuple[dict[str, Any], list[Problem]]:
    if optional and not os.path.lexists(path):
        return {}, []
    data, problems = read_file(path, name)
    if not data:
        empty = Problem(name, None, "empty-file", "is empty", "write a comment, or leave it out")
        return {}, problems or [empty]
    return parse_toml(data, name)


def _only(table: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: table[name] for name in names if name in table}


def _section(kind: type[S], table: Mapping[str, Any], file: str) -> tuple[S, list[Problem]]:
    """The sections, each replaced by its default if it has a problem, so that all are found."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in table.items():
        decoded, found = decode(kind, {name: value}, file, "")
        problems += found
        if decoded is not None:
            values[name] = getattr(decoded, name)
    return kind(**values), problems


def _policy_settings(directory: Path, policy: _Policy) -> PolicySettings:
    layers = policy.layers
    if not layers and all((directory / name).exists() for name in PAIR):
        layers = (CASBIN_PAIR,)
    return PolicySettings(layers=layers, concealment=policy.concealment)
