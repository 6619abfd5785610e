"""Who may ask the JSON APIs: callers known by the digests of their keys."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from pdp.errors import Problem
from pdp.runtime.settings import CallerSettings
from pdp.runtime.sources import read_file

_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})(?: [ *].*)?")  # as `sha256sum` writes it


@dataclass(frozen=True, slots=True)
class Caller:
    """A policy enforcement point that asks, and what it may do."""

    name: str
    vouch: bool
    see_reasons: bool


@dataclass(frozen=True, slots=True)
class Callers:
    """The configured callers with the digests of their keys; none means that nobody is asked."""

    known: tuple[tuple[bytes, Caller], ...] = ()

    def identify(self, key: str) -> Caller | None:
        """Whose key this is. Every digest is compared, in constant time."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, caller in self.known:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def load_callers(
    settings: tuple[CallerSettings, ...], directory: Path
) -> tuple[Callers, list[Problem]]:
    """The callers with their digests, read from files relative to `directory`."""
    known: list[tuple[bytes, Caller]] = []
    problems: list[Problem] = []
    for caller in settings:
        data, found = read_file(directory / caller.key_sha256_file, caller.key_sha256_file)
        problems += found
        digests, found = _digests(data, caller.key_sha256_file) if data is not None else ([], [])
        problems += found
        who = Caller(caller.name, caller.vouch, caller.see_reasons)
        known += [(digest, who) for digest in digests]
    return Callers(tuple(known)), problems


def _digests(data: bytes, file: str) -> tuple[list[bytes], list[Problem]]:
    """The hex digests of a file, one a line, `#` beginning a comment line."""
    digests: list[bytes] = []
    problems: list[Problem] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip().lower()
        if not line or line.startswith("#"):
            continue
        if match := _DIGEST.fullmatch(line):
            digests.append(bytes.fromhex(match["digest"]))
        else:
            help_ = "write the digest, not the key: `printf %s KEY | sha256sum`"
            problems.append(Problem(file, number, "bad-digest", "is no SHA-256 in hex", help_))
    if not digests and not problems:
        problems.append(Problem(file, None, "no-digest", "holds no digest"))
    return digests, problems
