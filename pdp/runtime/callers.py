"""Who may ask: callers and operators, known by digests of their keys or by certificates."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.errors import Problem
from pdp.runtime.credential_files import CredentialFile, load_credential_file
from pdp.runtime.settings import CallerSettings

_DIGEST: Final = re.compile(r"(?P<digest>[0-9a-f]{64})(?: [ *].*)?")  # as `sha256sum` writes it


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 digests of keys that are good."""

    digests: frozenset[bytes] = frozenset()

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.digests)

    def __and__(self, other: Digests) -> Digests:
        """Those that both have."""
        return Digests(self.digests & other.digests)

    def know(self, key: str) -> bool:
        """Whether this is one of the keys. Every digest is compared, in constant time."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = False
        for known in self.digests:
            found |= hmac.compare_digest(known, digest)
        return found


KeyFile = CredentialFile[Digests]


@dataclass(frozen=True, slots=True)
class Caller:
    """A policy enforcement point that asks, and what it may do."""

    name: str
    vouch: bool
    see_reasons: bool


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """A caller, and either the file of its keys' digests or the name in its certificate."""

    caller: Caller
    keys: KeyFile | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Callers:
    """The configured callers; with none of them, nobody is asked who he is.

    INVARIANT: a caller whose keys are all withdrawn is still configured.
    """

    known: tuple[KnownCaller, ...] = ()

    @property
    def files(self) -> tuple[KeyFile, ...]:
        """The files of their keys' digests, to be followed."""
        return tuple(known.keys for known in self.known if known.keys is not None)

    @property
    def certificates(self) -> frozenset[str]:
        """The names in certificates by which some are known."""
        return frozenset(k.certificate for k in self.known if k.certificate is not None)

    def identify(self, key: str) -> Caller | None:
        """Whose key this is. Every digest is compared, in constant time."""
        found = None
        for known in self.known:
            if known.keys is not None and known.keys.current().know(key):
                found = known.caller
        return found

    def certified(self, names: Collection[str]) -> Caller | None:
        """Whose certificate has these names."""
        return next((known.caller for known in self.known if known.certificate in names), None)


def load_callers(
    settings: tuple[CallerSettings, ...], directory: Path
) -> tuple[Callers, list[Problem]]:
    """The callers with their digests, read from files relative to `directory`."""
    known: list[KnownCaller] = []
    problems: list[Problem] = []
    for caller in settings:
        who = Caller(caller.name, caller.vouch, caller.see_reasons)
        keys, found = load_keys(caller.key_sha256_file, directory)
        problems += found
        known.append(KnownCaller(who, keys, caller.certificate))
    return Callers(tuple(known)), problems


def load_keys(name: str | None, directory: Path) -> tuple[KeyFile | None, list[Problem]]:
    """The digests of a file, to be followed; None where there is nothing to read."""
    if name is None:
        return None, []
    return load_credential_file(directory / name, name, read_digests)


def read_digests(data: bytes, file: str) -> tuple[Digests, list[Problem]]:
    """The hex digests of a file, one a line, `#` beginning a comment line."""
    digests: set[bytes] = set()
    problems: list[Problem] = []
    lines = data.decode("utf-8", "replace").splitlines()
    for number, raw in enumerate(lines, 1):
        line = raw.strip().lower()
        if not line or line.startswith("#"):
            continue
        if match := _DIGEST.fullmatch(line):
            digests.add(bytes.fromhex(match["digest"]))
        else:
            help_ = "write the digest, not the key: `printf %s KEY | sha256sum`"
            problems.append(Problem(file, number, "bad-digest", "is no SHA-256 in hex", help_))
    if not digests and not problems:
        problems.append(Problem(file, None, "no-digest", "holds no digest"))
    return Digests(frozenset(digests)), problems
