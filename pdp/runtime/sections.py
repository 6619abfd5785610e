"""Reads the sections of `pdp.toml` and of the operator's file, each checked on its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pdp.config import decode, parse_toml, unknown_keys
from pdp.errors import ConfigurationError, Problem
from pdp.identity.settings import AuthenticationSettings, check
from pdp.policy.settings import CASBIN_PAIR, ConcealmentSettings, LayerSettings, PolicySettings
from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.journal_settings import DecisionLogSettings, check_decision_log
from pdp.runtime.limits import LimitSettings, check_guesses, check_limits
from pdp.runtime.listener_settings import check_caller_certificates, check_workers
from pdp.runtime.settings import (
    CallerSettings,
    ServerSettings,
    check_callers,
    check_server,
    from_environment,
)
from pdp.runtime.sources import SETTINGS, read_file

S = TypeVar("S", bound=msgspec.Struct)
OPERATOR = ("server", "authentication", "callers", "limits", "decision_log")
POLICY = ("layers", "concealment")
PAIR = (CASBIN_PAIR.model, CASBIN_PAIR.policy)


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """What only the operator says, where there is a file for that."""

    server: ServerSettings = ServerSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    callers: tuple[CallerSettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    decision_log: DecisionLogSettings = DecisionLogSettings()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy directory says."""

    layers: tuple[LayerSettings, ...] = ()
    concealment: ConcealmentSettings = ConcealmentSettings()


def read_own(directory: Path) -> tuple[bytes | None, list[Problem]]:
    """The directory's own `pdp.toml`; None where it has none, or a problem with it.

    INVARIANT: of one load, settings and revision are those of the same bytes, read here once.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            [Problem(str(directory), None, "missing-directory", "is no policy directory")]
        )
    pair = all((directory / name).exists() for name in PAIR)
    if not pair and not (directory / SETTINGS).exists():
        held = f"holds neither `{SETTINGS}` nor both `{PAIR[0]}` and `{PAIR[1]}`"
        help_ = "`pdp init DIR` writes a policy to begin with"
        raise ConfigurationError([Problem(str(directory), None, "no-policy", held, help_)])
    there = os.path.lexists(directory / SETTINGS)
    return read_file(directory / SETTINGS, SETTINGS) if there else (None, [])


def read_sections(
    own: bytes | None,
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
) -> tuple[Operator, Policy, list[Problem]]:
    """All sections of `own` and of `config`, checked one by one and against each other."""
    tables, file, problems = _read_tables(own, config)
    overrides, found = from_environment(environment)
    problems += found
    server = tables.get("server", {})
    if isinstance(server, Mapping):
        tables = {**tables, "server": {**server, **overrides, **flags}}
    operator, found = _section(Operator, _only(tables, OPERATOR), file)
    problems += found
    policy, found = _section(Policy, _only(tables, POLICY), SETTINGS)
    problems += found
    problems += check_server(operator.server, file) + check_gateways(operator.server, file)
    problems += check(operator.authentication, file) + check_limits(operator.limits, file)
    problems += check_callers(operator.callers, file)
    problems += check_decision_log(operator.decision_log, file)
    problems += check_caller_certificates(operator.callers, operator.server, file)
    passwords = operator.authentication.basic is not None
    problems += check_workers(operator.server, operator.limits, file, passwords=passwords)
    if passwords:
        problems += check_guesses(operator.limits, file)
    return operator, policy, problems


def _read_tables(
    data: bytes | None, config: Path | None
) -> tuple[dict[str, Any], str, list[Problem]]:
    """The tables of the directory's file and of `config`, each with only its own sections."""
    own, problems = _tables(data, SETTINGS)
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
    read, found = read_file(config, config.name)
    outer, wrong = _tables(read, config.name)
    problems += found + wrong + unknown_keys(outer, OPERATOR, config.name)
    return {**_only(own, POLICY), **_only(outer, OPERATOR)}, config.name, problems


def _tables(data: bytes | None, name: str) -> tuple[dict[str, Any], list[Problem]]:
    if data == b"":
        help_ = "write a comment, or leave it out"
        return {}, [Problem(name, None, "empty-file", "is empty", help_)]
    return parse_toml(data, name) if data else ({}, [])


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


def policy_settings(directory: Path, policy: Policy) -> PolicySettings:
    """What the policy is made of; the one layer of a Casbin user's directory, where it has none."""
    layers = policy.layers
    if not layers and all((directory / name).exists() for name in PAIR):
        layers = (CASBIN_PAIR,)
    return PolicySettings(layers=layers, concealment=policy.concealment)
