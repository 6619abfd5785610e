"""Reads a policy directory into memory, once: only files that the configuration names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from pdp.errors import Problem
from pdp.identity.revocation import FILE as REVOCATIONS
from pdp.policy.entities import FILE as ENTITIES

SETTINGS = "pdp.toml"
MANIFEST = "policy.sha256"
CASES = "cases.yaml"
MAX_FILE_BYTES = 1 << 30
_DIGEST_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?:\./)?(?P<name>.+)")


def read_file(path: Path, name: str) -> tuple[bytes | None, list[Problem]]:
    """The bytes of a regular file, reported as `name`; None with a problem if there is none."""
    try:
        if not path.is_file():
            wrong = "is no regular file" if path.exists() else "does not exist"
            return None, [Problem(name, None, "missing-file", wrong)]
        if path.stat().st_size > MAX_FILE_BYTES:
            return None, [Problem(name, None, "huge-file", f"is over {MAX_FILE_BYTES} bytes")]
        return path.read_bytes(), []
    except OSError as error:
        return None, [Problem(name, None, "unreadable-file", f"cannot be read: {error.strerror}")]


def read_policy(
    directory: Path,
    names: Iterable[str],
    apart: Collection[str] = (REVOCATIONS,),
    known: Mapping[str, bytes] = MappingProxyType({}),
) -> tuple[dict[str, bytes], list[Problem]]:
    """The named files below `directory`, `entities.json` if there is one, and those `known`.

    What is known was read before, and is not read again. Files `apart` are edited on their own,
    and never hold up a policy by a manifest.
    """
    files = dict(known)
    problems: list[Problem] = []
    # The manifest first: what changes while the rest is read does not match it.
    manifest, found = read_manifest(directory)
    problems += found
    optional = [ENTITIES] if os.path.lexists(directory / ENTITIES) else []
    for name in dict.fromkeys((*names, *optional)):
        if name in known:
            continue
        pure = PurePosixPath(name)
        if pure.parts != (name,) or name == "..":
            help_ = "name files that stand in the policy directory itself"
            message = f"`{name}` is outside of the policy directory"
            problems.append(Problem(SETTINGS, None, "outside-file", message, help_))
            continue
        data, found = read_file(directory / name, name)
        problems += found
        if data is not None:
            files[name] = data
    if manifest is not None:
        listed = {name: digest for name, digest in manifest.items() if name not in apart}
        problems += mismatches(directory, files, listed)
    if read_manifest(directory)[0] != manifest:
        changed = "changed while the policy was read"
        problems.append(Problem(MANIFEST, None, "manifest-mismatch", changed, "try again"))
    return files, problems


def read_manifest(directory: Path) -> tuple[dict[str, str] | None, list[Problem]]:
    """Digests by file name, as `sha256sum` writes them; None where there is no manifest."""
    if not os.path.lexists(directory / MANIFEST):
        return None, []
    data, problems = read_file(directory / MANIFEST, MANIFEST)
    digests: dict[str, str] = {}
    for number, line in enumerate((data or b"").decode("utf-8", "replace").splitlines(), 1):
        match = _DIGEST_LINE.fullmatch(line.strip())
        if match and match["name"] not in digests:
            digests[match["name"]] = match["digest"]
        elif line.strip() and not line.startswith("#"):
            help_ = "make it with `sha256sum FILES > policy.sha256`"
            wrong = "is no digest line, or names a file twice"
            problems.append(Problem(MANIFEST, number, "bad-manifest", wrong, help_))
    return digests, problems


def mismatches(
    directory: Path, files: Mapping[str, bytes], manifest: Mapping[str, str]
) -> list[Problem]:
    """Every policy file, and every file that is listed, that is not what the manifest says."""
    problems = []
    for name in dict.fromkeys([*files, *manifest]):
        data = files[name] if name in files else read_file(directory / name, name)[0]
        digest = None if data is None else hashlib.sha256(data).hexdigest()
        if digest is None or manifest.get(name) != digest:
            wrong = "is not what `policy.sha256` says" if name in manifest else "is not listed"
            help_ = f"once all is written: `sha256sum {' '.join(files)} > {MANIFEST}`"
            problems.append(Problem(name, None, "manifest-mismatch", wrong, help_))
    return problems
