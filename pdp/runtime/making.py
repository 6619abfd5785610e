"""Makes a snapshot of the policy files of a directory, unless there is one of these very files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pdp.errors import Problem
from pdp.identity.revocation import FILE as REVOCATIONS
from pdp.identity.settings import AuthenticationSettings, role_names
from pdp.policy.settings import PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot, revision
from pdp.runtime.garbage import only_young
from pdp.runtime.sources import SETTINGS, read_policy

Known = tuple[Snapshot, Iterable[Problem]]  # with the warnings of its files


def policy_files(
    directory: Path,
    own: bytes | None,
    settings: PolicySettings,
    authentication: AuthenticationSettings,
) -> tuple[dict[str, bytes], list[Problem]]:
    """All files that a snapshot is made of, read once; `own` are the bytes of its settings."""
    names = [name for layer in settings.layers for name in (layer.model, layer.policy)]
    known = {} if own is None else {SETTINGS: own}
    credentials = (authentication.api_keys, authentication.basic)
    apart = [REVOCATIONS, *(section.file for section in credentials if section)]
    return read_policy(directory, names, apart, known)


def make_snapshot(
    files: Mapping[str, bytes],
    settings: PolicySettings,
    authentication: AuthenticationSettings,
    known: Known | None,
) -> tuple[Snapshot | None, list[Problem]]:
    """The snapshot of these files; `known` is one that was made with the same `authentication`.

    Whatever happens beside the policy in its directory is no reason to build it anew.
    """
    if known and known[0].revision == revision(files):
        return known[0], list(known[1])
    with only_young():
        return build_snapshot(files, settings, _credentialing(authentication), SETTINGS)


def _credentialing(authentication: AuthenticationSettings) -> Credentialing:
    names = role_names(authentication)
    return Credentialing(
        configured=authentication.configured,
        authenticated_role=names.authenticated_role,
        asserted=names.asserted,
        role_prefixes=names.role_prefixes,
    )
