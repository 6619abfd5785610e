"""Reads a policy directory into memory, once: only files that the configuration names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pdp.errors import Problem
from pdp.policy.entities import FILE as ENTITIES

SETTINGS = "pdp.toml"
MAX_FILE_BYTES = 1 << 30


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
    return files, problems
