"""Loads keys from files and the environment, and finds every problem with them at start."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pdp.errors import Problem, Unusable
from pdp.identity.algorithms import HMAC_MINIMUM
from pdp.identity.issuer import SECRET_SOURCES
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing, KeySource, StaticKeys, ring_from_public_key, ring_from_secret
from pdp.identity.settings import AuthenticationSettings, IssuerSettings
from pdp.runtime.fetch import JwksSource

Load = Callable[[], tuple[KeyRing | None, list[Problem]]]

_GONE: Final = "the last good keys serve; write the file again"
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_LARGEST: Final = 1_048_576  # bytes of a key file


@dataclass(frozen=True, slots=True)
class _Reader:
    read: Callable[[bytes], KeyRing]
    help: str


_SECRET: Final = _Reader(ring_from_secret, "make one with `openssl rand -base64 64`")
_READERS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {
        "jwks_file": _Reader(ring_from_jwks, 'write a JSON Web Key Set, `{"keys": [...]}`'),
        "public_key_file": _Reader(
            ring_from_public_key, "write one public key, `-----BEGIN PUBLIC KEY-----`"
        ),
        "secret_file": _SECRET,
        "secret_env": _SECRET,
    }
)


class FileKeys:
    """A KeySource that is one file: the last good keys serve until it holds others."""

    def __init__(self, path: Path, load: Load, ring: KeyRing | None) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = ()  # why what stands in the file is not live
        self._load = load
        self._ring = ring

    def current(self) -> KeyRing | None:
        """The last good keys; None if there never were any."""
        return self._ring

    async def after_unknown_kid(self) -> KeyRing | None:
        """The same keys: whoever watches the file replaces them soon enough."""
        return self._ring

    def read(self) -> Callable[[bool], str | None]:
        """Read the file, which may block; what is returned makes it live (see `Followed`)."""
        if not os.path.isfile(self.path):  # noqa: PTH113 - raises nothing; a pipe would block
            gone = Problem(
                self.path.name, None, "no-key-file", "is gone, or no regular file", _GONE
            )
            return lambda _settled: self._take(None, (gone,))
        ring, problems = self._load()
        return lambda _settled: self._take(ring, tuple(problems))

    def _take(self, ring: KeyRing | None, problems: tuple[Problem, ...]) -> str | None:
        before, self.problems = self._ring, problems
        if ring is None or (before is not None and before.version == ring.version):
            return None
        self._ring = ring
        return f"{len(ring.keys)} keys"


def key_sources(
    settings: AuthenticationSettings,
    file: str,
    directory: Path,
    environment: Mapping[str, str] = os.environ,
) -> tuple[dict[str, KeySource], list[Problem]]:
    """A source of keys for every issuer that has keys, by name, and all that is wrong with files.

    `file` names the configuration in problems, `directory` is where it stands. The JwksSources
    among the sources are not started, the FileKeys not watched.
    """
    sources: dict[str, KeySource] = {}
    problems: list[Problem] = []
    for index, issuer in enumerate(settings.issuers):
        if issuer.introspected:
            continue
        if issuer.jwks_url is not None or issuer.discovered:
            sources[issuer.issuer] = JwksSource(
                issuer.issuer,
                issuer.jwks_url,
                issuer.jwks_refresh_seconds,
                stale_max_seconds=issuer.jwks_stale_max_seconds,
            )
            continue
        key = f"authentication.issuers[{index}]"
        again = partial(load_ring, issuer, file, key, directory, environment)
        ring, found = again()
        name = issuer.jwks_file or issuer.public_key_file or issuer.secret_file
        sources[issuer.issuer] = (
            StaticKeys(ring) if name is None else FileKeys(directory / name, again, ring)
        )
        problems += found
    return sources, problems


def load_ring(
    issuer: IssuerSettings,
    file: str,
    key: str,
    directory: Path,
    environment: Mapping[str, str] = os.environ,
) -> tuple[KeyRing | None, list[Problem]]:
    """The keys that an issuer's one file or variable holds; problems quote none of it.

    None without a problem for fetched keys, and where `check` has already said what is wrong.
    """
    given = issuer.key_sources
    if len(given) != 1 or given[0] not in _READERS:
        return None, []
    source = given[0]
    name = getattr(issuer, source)
    try:
        in_environment = source == "secret_env"
        data = _environment(name, environment) if in_environment else _content(directory / name)
        return _usable(issuer, source, data), []
    except Unusable as error:
        shown = name if source != "secret_env" or is_variable(name) else "…"
        message = f"`{key}.{source}`: `{shown}` {error}"
        return None, [Problem(file, None, error.code, message, error.help)]


def is_variable(name: str) -> bool:
    """Whether this looks like a variable's name; a secret in its place must not be told."""
    return bool(_VARIABLE.fullmatch(name))


def _environment(name: str, environment: Mapping[str, str]) -> bytes:
    value = environment.get(name)
    if not value:
        raise Unusable("no-secret", "is not set in the environment", "set it, or use secret_file")
    return os.fsencode(value)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise Unusable(
            "no-key-file",
            f"cannot be read: {why.lower()}",
            f"looked for {path}; paths are relative to the file that names them",
        ) from error
    if len(data) > _LARGEST:
        raise Unusable("bad-key", f"is larger than {_LARGEST} bytes", "is it a key file?")
    return data


def _usable(issuer: IssuerSettings, source: str, data: bytes) -> KeyRing:
    reader = _READERS[source]
    try:
        ring = reader.read(data)
    except ValueError as error:
        raise Unusable("bad-key", str(error), reader.help) from error
    if not ring.keys:
        raise Unusable(
            "bad-key",
            "holds no usable key",
            "weak, private, secret and encryption keys are left out, as are keys that share a kid",
        )
    served = frozenset[str]().union(*(key.algorithms for key in ring.keys))
    missing = [name for name in issuer.algorithms if name not in served]
    weak = {name: HMAC_MINIMUM[name] for name in missing if name in HMAC_MINIMUM}
    if source in SECRET_SOURCES and weak:
        name, least = max(weak.items(), key=lambda item: item[1])
        raise Unusable("weak-key", f"is too short for `{name}`", f"use {least} bytes or more")
    if len(missing) == len(issuer.algorithms):
        raise Unusable(
            "wrong-key",
            "holds no key for any of `algorithms`",
            f"its keys are for {', '.join(f'`{name}`' for name in sorted(served))}",
        )
    return ring
