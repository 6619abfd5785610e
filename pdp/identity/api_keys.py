"""API keys: reads `api-keys.csv`, and finds out whose key was presented."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from pdp.errors import Problem, Unusable
from pdp.identity.lines import read_rows, read_time, split_row
from pdp.identity.text import is_name
from pdp.model import ANONYMOUS_ID, Identity, Method, Reason, Rejected

FILE: Final = "api-keys.csv"
COLUMNS: Final = ("id", "sha256", "subject", "roles", "not_after", "disabled")
PREFIX: Final = "pdp_"  # of the keys that `pdp key new` makes, so that scanners know them

_LEAST_COLUMNS: Final = 3
_KEY: Final = re.compile(r"[\x21-\x7e]{1,1024}")
_WHOLE_KEY: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}(?![A-Za-z0-9_-])")
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")
_DISABLED: Final[Mapping[str, bool]] = MappingProxyType({"": False, "false": False, "true": True})
_INVALID: Final = Rejected(Reason.API_KEY_INVALID)

# How long a look-up takes tells nothing to whoever cannot know where a digest is stored.
_PEPPER: Final = secrets.token_bytes(32)


class ApiKeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """That API keys are accepted, and which file lists them."""

    file: str = FILE
    roles: tuple[str, ...] = ()  # what keys may assert; other roles of a row are dropped


@dataclass(frozen=True, slots=True)
class _Key:
    """One row that is not disabled: the key's digest, whose it is, and until when."""

    digest: bytes = field(repr=False)
    identity: Identity
    until: float = inf


_NOBODYS: Final = _Key(secrets.token_bytes(32), Identity(""), -inf)


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """Whose the keys are that count; never changed, only replaced. Holds digests, no keys.

    Disabled keys are not among them: they are as unknown as those that never were.
    """

    _keys: Mapping[bytes, _Key] = field(default_factory=dict, repr=False)

    def find(self, key: str, now: float) -> Identity | Rejected:
        """Whose key this is, at `now` in Unix seconds.

        Keys are 1 to 1,024 visible ASCII characters. An unknown, a disabled and an expired one
        are refused alike, and by the same steps.
        """
        if not _KEY.fullmatch(key):
            return _INVALID
        digest = hashlib.sha256(key.encode("ascii")).digest()
        known = self._keys.get(_slot(digest), _NOBODYS)
        good = hmac.compare_digest(known.digest, digest) & (now < known.until)
        return known.identity if good else _INVALID

    def __and__(self, other: ApiKeys) -> ApiKeys:
        """The keys of which both say the same, each until the earlier of its two ends."""
        pairs = ((slot, key, other._keys.get(slot)) for slot, key in self._keys.items())
        both = {slot: same for slot, key, twin in pairs if (same := _same(key, twin))}
        return ApiKeys(MappingProxyType(both))

    @property
    def size(self) -> int:
        """How many keys there are, expired ones included."""
        return len(self._keys)

    @property
    def roles(self) -> frozenset[str]:
        """Every role that some key asserts."""
        return frozenset(role for key in self._keys.values() for role in key.identity.roles)


def _same(one: _Key, other: _Key | None) -> _Key | None:
    """What both say; None unless they differ by their ends only."""
    if one == other:
        return one
    if other is None or replace(one.identity, expires=other.identity.expires) != other.identity:
        return None
    return min(one, other, key=lambda key: key.until)


def _slot(digest: bytes) -> bytes:
    return hashlib.blake2b(digest, digest_size=32, key=_PEPPER).digest()


def read_api_keys(data: bytes, file: str = FILE) -> tuple[ApiKeys, list[Problem]]:
    """The API keys of a file, and everything wrong with it; nothing is raised.

    `row = id "," sha256 "," subject [ "," roles [ "," not_after [ "," disabled ] ] ]`, where
    `roles = [ role *( ";" role ) ]`; the first row may be COLUMNS; the rest is `read_rows`'s.
    What can be read is returned beside the problems, but no row of which another one has the id
    or the digest: who knows which of them is meant. Problems quote nothing: it may be a key.
    """
    found = _Found()
    help_ = "where there are no keys, write a comment line; `pdp key new` makes one"
    problems = read_rows(data, file, found.row, help_)
    return found.api_keys(), problems


class _Found:
    """What a file was found to say so far."""

    def __init__(self) -> None:
        self._begun = False
        self._read: list[_Key] = []
        self._lines: dict[str | bytes, int] = {}  # by id, and by digest
        self._doubtful: set[str | bytes] = set()

    def row(self, number: int, text: str) -> None:
        if _WHOLE_KEY.search(text):
            raise _whole_key()
        values = split_row(text)
        first, self._begun = not self._begun, True
        if first and values[0].lower() == "id":
            if tuple(values) != COLUMNS:
                raise Unusable("bad-header", "has a header that is not known", _FORM)
            return
        # Claimed before the rest is looked at: a bad row casts doubt on a good one, too.
        claimed = {"id": self._claim(values[0], number)}
        if len(values) < _LEAST_COLUMNS:
            raise Unusable("short-row", f"has {len(values)} values", _FORM)
        digest = _digest(values)
        claimed["digest"] = self._claim(digest, number)
        for what, line in claimed.items():
            if line != number:
                help_ = "neither row counts: remove one; every key has an id of its own"
                raise Unusable(f"duplicate-{what}", f"has the {what} of line {line}", help_)
        key = _key(digest, values)
        if key is not None:
            self._read.append(key)

    def _claim(self, name: str | bytes, number: int) -> int:
        """The line that names it first; if that is another one, both are in doubt."""
        line = self._lines.setdefault(name, number)
        if line != number:
            self._doubtful.add(name)
        return line

    def api_keys(self) -> ApiKeys:
        sure = (k for k in self._read if not {k.digest, k.identity.key_id} & self._doubtful)
        return ApiKeys(MappingProxyType({_slot(key.digest): key for key in sure}))


def _digest(values: list[str]) -> bytes:
    """The digest of a row, once it is sure that nothing else in it is its key."""
    if not _DIGEST.fullmatch(values[1]):
        help_ = "64 hex digits; is it the key itself? `pdp key new` prints the whole row"
        raise Unusable("bad-digest", "has no SHA-256 for its second value", help_)
    digest = bytes.fromhex(values[1])
    if any(hashlib.sha256(value.encode()).digest() == digest for value in values):
        raise _whole_key()
    return digest


def _key(digest: bytes, values: list[str]) -> _Key | None:
    """The key of a row whose id and digest are good; None if it is disabled."""
    if len(values) > len(COLUMNS):
        raise Unusable("long-row", f"has {len(values)} values", _FORM)
    id_, _, subject, roles, not_after, disabled = (*values, "", "", "")[: len(COLUMNS)]
    if not is_name(id_):
        raise Unusable("bad-id", "has no id that will do", _NAME)
    if not subject:
        raise Unusable("empty-value", "has no subject", _FORM)
    if not _may_be_given(subject):
        raise Unusable("bad-subject", "has a subject that will not do", _NAME)
    names = tuple(dict.fromkeys(role.strip() for role in roles.split(";"))) if roles else ()
    if not all(map(_may_be_given, names)):
        raise Unusable("bad-role", "has a role that will not do", f"{_NAME}; joined by `;`")
    expires = read_time(not_after) if not_after else None
    if disabled not in _DISABLED:
        raise Unusable(
            "bad-value", "has an unknown value for `disabled`", "`true`, `false` or none"
        )
    if _DISABLED[disabled]:
        return None
    whose = Identity(subject, method=Method.API_KEY, roles=names, expires=expires, key_id=id_)
    return _Key(digest, whose, inf if expires is None else expires)


def _may_be_given(name: str) -> bool:
    return is_name(name) and name != ANONYMOUS_ID


def _whole_key() -> Unusable:
    help_ = "replace this key, for it has been seen; `pdp key new` prints the row to write"
    return Unusable("whole-key", "holds a key instead of its digest", help_)


_FORM: Final = f"write `{','.join(COLUMNS)}`; a value that holds commas in double quotes"
_NAME: Final = "1 to 255 characters, no control characters, not `anonymous`"
