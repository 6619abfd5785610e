"""Reads a policy directory into memory, once: only files that the configuration names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from pdp.errors import Problem
from pdp.policy.entities import FILE as ENTITIES

SETTINGS = "pdp.toml"
MANIFEST = "policy.sha256"
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


def read_policy(directory: Path, names: Iterable[str]) -> tuple[dict[str, bytes], list[Problem]]:
    """The named files below `directory`, and `entities.json` if there is one."""
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    # The manifest first: what changes while the rest is read does not match it.
    manifest, found = read_manifest(directory)
    problems += found
    optional = [ENTITIES] if (directory / ENTITIES).exists() else []
    for name in dict.fromkeys((*names, *optional)):
        pure = PurePosixPath(name)
        if not name or pure.is_absolute() or ".." in pure.parts:
            help_ = "name files of the policy directory, by paths relative to it"
            message = f"`{name}` is outside of the policy directory"
            problems.append(Problem(SETTINGS, None, "outside-file", message, help_))
            continue
        data, found = read_file(directory / name, name)
        problems += found
        if data is not None:
            files[name] = data
    return files, problems + (mismatches(files, manifest) if manifest is not None else [])


def read_manifest(directory: Path) -> tuple[dict[str, str] | None, list[Problem]]:
    """Digests by file name, as `sha256sum` writes them; None where there is no manifest."""
    if not (directory / MANIFEST).exists():
        return None, []
    data, problems = read_file(directory / MANIFEST, MANIFEST)
    digests: dict[str, str] = {}
    for number, line in enumerate((data or b"").decode("utf-8", "replace").splitlines(), 1):
        match = _DIGEST_LINE.fullmatch(line.strip())
        if match:
            digests[match["name"]] = match["digest"]
        elif line.strip() and not line.startswith("#"):
            help_ = "make it with `sha256sum FILES > policy.sha256`"
            problems.append(Problem(MANIFEST, number, "bad-manifest", "is no digest line", help_))
    return digests, problems


def mismatches(files: Mapping[str, bytes], manifest: Mapping[str, str]) -> list[Problem]:
    """Every policy file that is not, byte for byte, what the manifest says."""
    problems = []
    for name, data in files.items():
        if manifest.get(name) != hashlib.sha256(data).hexdigest():
            wrong = "is not what `policy.sha256` says" if name in manifest else "is not listed"
            help_ = f"once `{MANIFEST}` is there, every policy file must match it"
            problems.append(Problem(name, None, "manifest-mismatch", wrong, help_))
    return problems
