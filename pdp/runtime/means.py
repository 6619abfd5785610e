"""Loads what judges credentials: keys, endpoints, and the files of API keys and passwords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from pdp.errors import Problem
from pdp.identity.api_keys import ApiKeys, ApiKeySettings, read_api_keys
from pdp.identity.basic import Basic, BasicSettings, Users, read_users
from pdp.identity.chain import Means
from pdp.identity.settings import AuthenticationSettings
from pdp.runtime.credential_files import CredentialFile, load_credential_file
from pdp.runtime.fetch import JwksSource
from pdp.runtime.following import Followed
from pdp.runtime.introspection import Introspector, register
from pdp.runtime.introspectors import introspectors
from pdp.runtime.key_metrics import register_metrics
from pdp.runtime.keys import FileKeys, key_sources
from pdp.runtime.limits import Limits
from pdp.runtime.passwords import PasswordThreads, check_installed


@dataclass(frozen=True, slots=True)
class Equipment:
    """The means, and what of them has to be followed, started, stopped and measured."""

    means: Means = field(default_factory=Means)
    inspectors: tuple[Introspector, ...] = ()
    files: tuple[Followed, ...] = ()  # of API keys and passwords
    passwords: PasswordThreads | None = None

    @property
    def key_files(self) -> Sequence[FileKeys]:
        """Keys that stand in files."""
        return [keys for keys in self.means.keys.values() if isinstance(keys, FileKeys)]

    @property
    def fetched(self) -> Sequence[JwksSource]:
        """Keys that are published elsewhere."""
        return [keys for keys in self.means.keys.values() if isinstance(keys, JwksSource)]


def load_equipment(
    settings: AuthenticationSettings,
    file: str,
    directory: Path,
    environment: Mapping[str, str],
    limits: Limits,
) -> tuple[Equipment, list[Problem]]:
    """Everything that `settings` name, relative to `directory`, and all that is wrong with it.

    Nothing is started. `file` names the configuration in problems.
    """
    keys, problems = key_sources(settings, file, directory, environment)
    inspectors, found = introspectors(settings, file, directory, environment)
    problems += found
    api_keys, found = _api_keys(settings.api_keys, directory)
    problems += found
    users, threads, found = _users(settings.basic, directory)
    problems += found
    basic = None
    if settings.basic is not None and users is not None and threads is not None:
        foreign = settings.foreign_prefixes(settings.basic.subject_prefix)
        basic = Basic(settings.basic, users, threads, limits, foreign)
    files = tuple(found for found in (api_keys, users) if found is not None)
    means = Means(keys, inspectors, api_keys, basic)
    return Equipment(means, tuple(inspectors.values()), files, threads), problems


def _api_keys(
    settings: ApiKeySettings | None, directory: Path
) -> tuple[CredentialFile[ApiKeys] | None, list[Problem]]:
    if settings is None:
        return None, []
    name = settings.file

    def read(data: bytes, file: str) -> tuple[ApiKeys, list[Problem]]:
        found, problems = read_api_keys(data, file)
        return found, problems + _undeclared(found, settings, file)

    return load_credential_file(directory / name, name, read)


def _undeclared(found: ApiKeys, settings: ApiKeySettings, file: str) -> list[Problem]:
    help_ = "list it in `authentication.api_keys.roles`, so that no subject can have its name"
    return [
        Problem(
            file,
            None,
            "undeclared-role",
            f"gives the role `{role}`, which API keys may not assert",
            help_,
        )
        for role in sorted(found.roles - {*settings.roles})
    ]


def _users(
    settings: BasicSettings | None, directory: Path
) -> tuple[CredentialFile[Users] | None, PasswordThreads | None, list[Problem]]:
    if settings is None:
        return None, None, []
    missing = check_installed()
    found, problems = load_credential_file(directory / settings.file, settings.file, read_users)
    return found, None if missing else PasswordThreads(), missing + problems


async def start(equipment: Equipment) -> None:
    """Begin to fetch keys, and be ready to ask about tokens."""
    for source in equipment.fetched:
        await source.start()
    for inspector in equipment.inspectors:
        await inspector.start()


async def stop(equipment: Equipment) -> None:
    """End what works in the background."""
    for source in equipment.fetched:
        await source.stop()
    for inspector in equipment.inspectors:
        await inspector.stop()
    if equipment.passwords is not None:
        await equipment.passwords.stop()


def measure(equipment: Equipment, registry: CollectorRegistry) -> None:
    """Have `registry` tell how all of that is."""
    register_metrics(equipment.means.keys, registry)
    register(equipment.inspectors, registry)
    if equipment.passwords is not None:
        help_ = "Passwords that were hashed to be compared."
        computed = Gauge("pdp_passwords_computed", help_, registry=registry)
        computed.set_function(lambda: equipment.passwords.computed if equipment.passwords else 0)
