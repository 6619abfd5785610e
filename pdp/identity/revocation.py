"""What has been taken back before it expired: reads `revoked.csv`, and judges an identity by it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pdp.config import suggest
from pdp.errors import Problem, Unusable
from pdp.identity.lines import read_rows, read_time, split_row
from pdp.model import Identity, Method, Reason

FILE: Final = "revoked.csv"

_NAMED: Final = ("jti", "sub", "sid", "kid", "account")  # kinds that name one thing

_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})  # no name that a token gives holds these
_WORD: Final = re.compile(r"[A-Za-z_]{1,20}")
_WHOLE_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_LARGEST_INTEGER: Final = 2**64


@dataclass(frozen=True, slots=True)
class Revocations:
    """Which credentials are no longer good, by what they say; never changed, only replaced.

    `issued_before` are Unix seconds by subject: what tokens that subject was given earlier, or
    without saying when, are revoked. `account` are subjects who may not come in at all. Subjects
    are ids, with their issuer's `subject_prefix` in front.
    """

    jti: frozenset[str] = frozenset()
    sub: frozenset[str] = frozenset()
    sid: frozenset[str] = frozenset()
    kid: frozenset[str] = frozenset()
    account: frozenset[str] = frozenset()
    issued_before: Mapping[str, float] = field(default_factory=dict)

    def refusal(self, identity: Identity) -> Reason | None:
        """Why the credential behind `identity` is no longer good; None if it is."""
        if identity.id in self.account:
            return Reason.ACCOUNT_DISABLED
        return Reason.TOKEN_REVOKED if self._revoked(identity) else None

    def _revoked(self, identity: Identity) -> bool:
        claims, subject = identity.claims, identity.id
        if subject in self.sub or identity.kid in self.kid:
            return True
        if _text(claims.get("jti")) in self.jti or _text(claims.get("sid")) in self.sid:
            return True
        until = self.issued_before.get(subject)
        token = identity.method in (Method.BEARER, Method.SESSION)
        return until is not None and token and claims.get("iat", -1.0) < until

    def __or__(self, other: Revocations) -> Revocations:
        """What either of the two revokes."""
        times = dict(self.issued_before)
        for subject, until in other.issued_before.items():
            times[subject] = max(until, times.get(subject, until))
        return Revocations(
            self.jti | other.jti,
            self.sub | other.sub,
            self.sid | other.sid,
            self.kid | other.kid,
            self.account | other.account,
            MappingProxyType(times),
        )

    @property
    def size(self) -> int:
        """How many things are revoked."""
        named = (self.jti, self.sub, self.sid, self.kid, self.account)
        return sum(map(len, named)) + len(self.issued_before)


NONE: Final = Revocations()


def read_revocations(data: bytes, file: str = FILE) -> tuple[Revocations, list[Problem]]:
    """The revocations of a file, and everything wrong with it; nothing is raised.

    `row = kind "," value [ "," time ]`, where a value that holds commas stands in double quotes;
    the rest is `read_rows`'s. What can be read is returned beside the problems. Problems quote no
    values: they may be somebody's token.
    """
    found = _Found()
    help_ = "where nothing is revoked, write a comment line, or have no such file at start"
    problems = read_rows(data, file, found.row, help_)
    return found.revocations(), problems


class _Found:
    """What a file was found to say so far."""

    def __init__(self) -> None:
        self.named: dict[str, set[str]] = {kind: set() for kind in _NAMED}
        self.times: dict[str, float] = {}

    def row(self, _number: int, text: str) -> None:
        kind, *values = split_row(text)
        reader = _READERS.get(kind)
        if reader is None:
            shown = f" `{kind}`" if _WORD.fullmatch(kind) else ""
            help_ = suggest(kind[:20].lower(), _READERS)
            raise Unusable("unknown-revocation", f"revokes by an unknown kind{shown}", help_)
        wanted = _COLUMNS[kind]
        if len(values) != len(wanted):
            code = "short-row" if len(values) < len(wanted) else "long-row"
            form = ", ".join((kind, *wanted))
            help_ = f"write `{form}`; a value that holds commas in double quotes"
            raise Unusable(code, f"has {len(values)} values behind `{kind}`", help_)
        reader(kind, values, self)

    def revocations(self) -> Revocations:
        sets = {kind: frozenset(values) for kind, values in self.named.items()}
        return Revocations(**sets, issued_before=MappingProxyType(self.times))


def _named(kind: str, values: list[str], found: _Found) -> None:
    found.named[kind].add(_value(kind, values[0]))


def _issued_before(kind: str, values: list[str], found: _Found) -> None:
    subject, until = _value(kind, values[0]), read_time(values[1])
    found.times[subject] = max(until, found.times.get(subject, until))


def _value(kind: str, value: str) -> str:
    if not value:
        help_ = "remove the row, or name something"
        raise Unusable("empty-value", f"names nothing behind `{kind}`", help_)
    if any(unicodedata.category(c) in _BREAKING for c in value):
        raise Unusable("bad-value", "holds a control character", "type the value anew")
    if _WHOLE_TOKEN.fullmatch(value):
        help_ = f"write the value of its `{kind}`; `sub` where `issued_before` is meant"
        raise Unusable("whole-token", "holds a whole token", help_)
    return value


def _text(value: object) -> str | None:
    """A claim as one would write it down; some issuers number their tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, str) else None


_READERS: Final[Mapping[str, Callable[[str, list[str], _Found], None]]] = MappingProxyType(
    dict.fromkeys(_NAMED, _named) | {"issued_before": _issued_before}
)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    dict.fromkeys(_NAMED, ("VALUE",)) | {"issued_before": ("SUBJECT", "TIME")}
)
