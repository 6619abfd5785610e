"""Which hashes of passwords are good enough, and what work verifying one takes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pdp.errors import Unusable

_STANDARD: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPTS_OWN: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TO_BCRYPT: Final = str.maketrans(_STANDARD, _BCRYPTS_OWN)
_TO_STANDARD: Final = str.maketrans(_BCRYPTS_OWN, _STANDARD)

_BCRYPT: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})")
_BCRYPT_COSTS: Final = range(8, 16)
_ARGON2: Final = re.compile(
    r"(\$argon2id?\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})\$)"
    r"([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
_ARGON2_MEMORY: Final = range(7 * 1024, 256 * 1024 + 1)  # KiB
_ARGON2_TIME: Final = range(1, 11)
_ARGON2_LANES: Final = range(1, 9)

_OTHERS: Final = (
    ("$apr1$", "an apr1 MD5 hash"),
    ("{SHA}", "a SHA-1 hash without a salt"),
    ("$1$", "an MD5 hash"),
    ("$2x$", "a bcrypt hash of a broken kind"),
    ("$5$", "a SHA-256 crypt hash"),
    ("$6$", "a SHA-512 crypt hash"),
    ("$argon2d$", "an argon2d hash"),
)
_MAKE: Final = (
    "make it with `htpasswd -B -C 12 FILE NAME`, or hash with argon2id:"
    ' `python -c "import argon2, getpass; print(argon2.PasswordHasher().hash(getpass.getpass()))"`'
)


@dataclass(frozen=True, slots=True, order=True)
class Work:
    """What verifying takes: a hash up to its salt, and the sizes of salt and digest in bytes."""

    prefix: str
    salt: int
    digest: int

    def decoy(self, seed: bytes) -> str:
        """A hash that no password is known for, with a salt that `seed` determines."""
        salt, digest = (
            base64.b64encode(data).decode("ascii").rstrip("=")
            for data in (hashlib.blake2b(seed, digest_size=self.salt).digest(), bytes(self.digest))
        )
        if self.prefix.startswith("$2"):
            return self.prefix + (salt + digest).translate(_TO_BCRYPT)
        return f"{self.prefix}{salt}${digest}"


def work_of(encoded: str) -> Work:
    """What verifying this hash takes; Unusable if it is none, or not a good one."""
    for prefix, read in _READERS.items():
        if encoded.startswith(prefix):
            return read(encoded)
    for prefix, kind in _OTHERS:
        if encoded.startswith(prefix):
            raise Unusable("weak-hash", f"holds {kind}, which is not accepted", _MAKE)
    raise Unusable("weak-hash", "holds neither a bcrypt nor an argon2 hash", _MAKE)


def _bcrypt(encoded: str) -> Work:
    match = _BCRYPT.fullmatch(encoded)
    if match is None:
        raise _broken("bcrypt")
    cost = int(match[1])
    _bound("its cost", cost, _BCRYPT_COSTS)
    sizes = (_size(part.translate(_TO_STANDARD), "bcrypt") for part in match.groups()[1:])
    return Work(f"$2b${cost:02}$", *sizes)


def _argon2(encoded: str) -> Work:
    match = _ARGON2.fullmatch(encoded)
    if match is None:
        raise _broken("argon2")
    _bound("its memory in KiB", int(match[2]), _ARGON2_MEMORY)
    _bound("its number of passes", int(match[3]), _ARGON2_TIME)
    _bound("its number of lanes", int(match[4]), _ARGON2_LANES)
    return Work(match[1], _size(match[5], "argon2"), _size(match[6], "argon2"))


def _bound(what: str, value: int, good: range) -> None:
    if value < good[0]:
        raise Unusable("weak-hash", f"is guessed too fast: {what} is below {good[0]}", _MAKE)
    if value > good[-1]:
        raise Unusable("costly-hash", f"is too costly: {what} is over {good[-1]}", _MAKE)


def _size(text: str, kind: str) -> int:
    """How many bytes a text without padding spells; libraries refuse stray bits."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise _broken(kind) from None
    if base64.b64encode(data).decode("ascii").rstrip("=") != text:
        raise _broken(kind)
    return len(data)


def _broken(kind: str) -> Unusable:
    return Unusable("bad-hash", f"holds no whole {kind} hash", _MAKE)


_READERS: Final[Mapping[str, Callable[[str], Work]]] = MappingProxyType(
    {"$2a$": _bcrypt, "$2b$": _bcrypt, "$2y$": _bcrypt, "$argon2i$": _argon2, "$argon2id$": _argon2}
)
