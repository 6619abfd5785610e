"""What has been taken back before it expired: reads `revoked.csv`, and judges an identity by it."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pdp.config import suggest
from pdp.errors import Problem
from pdp.model import Identity

FILE: Final = "revoked.csv"
MOST_PROBLEMS: Final = 100  # that are told of one file

_MARK: Final = b"\xef\xbb\xbf"
_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})  # no name that a token gives holds these
_QUOTED: Final = re.compile(r'"[^"]*"')
_REMARK: Final = re.compile(r"\s#")
_WORD: Final = re.compile(r"[A-Za-z_]{1,20}")
_WHOLE_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_RFC_3339: Final = re.compile(  # §5.6
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_END_OF_9999: Final = 253_402_300_799
_LARGEST_INTEGER: Final = 2**64


@dataclass(frozen=True, slots=True)
class Revocations:
    """Which tokens are no longer good, by what they say; never changed, only replaced.

    `issued_before` are Unix seconds by subject: what that subject was given earlier, or without
    saying when, is revoked. Subjects are ids, with their issuer's `subject_prefix` in front.
    """

    jti: frozenset[str] = frozenset()
    sub: frozenset[str] = frozenset()
    sid: frozenset[str] = frozenset()
    kid: frozenset[str] = frozenset()
    issued_before: Mapping[str, float] = field(default_factory=dict)

    def revoked(self, identity: Identity) -> bool:
        """Whether the token behind `identity` has been revoked."""
        claims, subject = identity.claims, identity.id
        if subject in self.sub or identity.kid in self.kid:
            return True
        if _text(claims.get("jti")) in self.jti or _text(claims.get("sid")) in self.sid:
            return True
        until = self.issued_before.get(subject)
        return until is not None and claims.get("iat", -1.0) < until

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
            MappingProxyType(times),
        )

    @property
    def size(self) -> int:
        """How many things are revoked."""
        named = (self.jti, self.sub, self.sid, self.kid)
        return sum(map(len, named)) + len(self.issued_before)


NONE: Final = Revocations()


def read_revocations(data: bytes, file: str = FILE) -> tuple[Revocations, list[Problem]]:
    """The revocations of a file, and everything wrong with it; nothing is raised.

    `file = *( row / comment / blank )`, UTF-8, lines that end with LF, CRLF or CR;
    `row = kind "," value [ "," time ]`, where a value that holds commas stands in double quotes.
    What can be read is returned beside the problems. Problems quote no values: they may be
    somebody's token. Told are the first MOST_PROBLEMS.
    """
    found = _Found(file)
    if not data.strip(_MARK + b" \t\r\n"):
        help_ = "where nothing is revoked, write a comment line, or have no such file at start"
        found.problem(None, "empty-file", "is empty", help_)
    if data.startswith(_MARK):
        found.problem(1, "byte-order-mark", "starts with a byte-order mark", "save it without one")
    for number, raw in enumerate(data.removeprefix(_MARK).splitlines(), 1):
        try:
            _line(raw, found)
        except UnicodeDecodeError:
            found.problem(number, "not-utf8", "is not UTF-8", "save the file as UTF-8")
        except _Mistake as mistake:
            found.problem(number, mistake.code, str(mistake), mistake.help)
    return found.revocations(), found.problems()


class _Mistake(Exception):
    """Why a row cannot be taken."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code = code
        self.help = help_


class _Found:
    """What a file was found to say so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._untold = 0
        self.named: dict[str, set[str]] = {"jti": set(), "sub": set(), "sid": set(), "kid": set()}
        self.times: dict[str, float] = {}

    def problem(self, line: int | None, code: str, message: str, help_: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(self._file, line, code, message, help_))
        else:
            self._untold += 1

    def problems(self) -> list[Problem]:
        if not self._untold:
            return self._problems
        message = f"has {self._untold} further problems"
        return [*self._problems, Problem(self._file, None, "more-problems", message)]

    def revocations(self) -> Revocations:
        sets = {kind: frozenset(values) for kind, values in self.named.items()}
        return Revocations(**sets, issued_before=MappingProxyType(self.times))


def _line(raw: bytes, found: _Found) -> None:
    text = raw.decode("utf-8").strip()
    if not text or text.startswith("#"):
        return
    kind, *values = _fields(text)
    reader = _READERS.get(kind)
    if reader is None:
        shown = f" `{kind}`" if _WORD.fullmatch(kind) else ""
        help_ = suggest(kind[:20].lower(), _READERS)
        raise _Mistake("unknown-revocation", f"revokes by an unknown kind{shown}", help_)
    wanted = _COLUMNS[kind]
    if len(values) != len(wanted):
        code = "short-row" if len(values) < len(wanted) else "long-row"
        help_ = f"write `{', '.join((kind, *wanted))}`; a value that holds commas in double quotes"
        raise _Mistake(code, f"has {len(values)} values behind `{kind}`", help_)
    reader(kind, values, found)


def _fields(text: str) -> list[str]:
    """`field *( "," field )`, each bare or in double quotes that double within (RFC 4180)."""
    if _REMARK.search(_QUOTED.sub("", text)):
        help_ = "a comment has a line of its own; a value that holds ` #` stands in double quotes"
        raise _Mistake("remark-in-row", "has a comment behind its values", help_)
    if '"' not in text:
        return [field.strip() for field in text.split(",")]
    try:
        (fields,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        help_ = 'begin and end the value with `"`, and write `""` for a quote within it'
        raise _Mistake("bad-quotes", "has a quote that does not fit", help_) from None
    return [field.strip() for field in fields]


def _named(kind: str, values: list[str], found: _Found) -> None:
    found.named[kind].add(_value(kind, values[0]))


def _issued_before(kind: str, values: list[str], found: _Found) -> None:
    subject, until = _value(kind, values[0]), _time(values[1])
    found.times[subject] = max(until, found.times.get(subject, until))


def _value(kind: str, value: str) -> str:
    if not value:
        help_ = "remove the row, or name something"
        raise _Mistake("empty-value", f"names nothing behind `{kind}`", help_)
    if any(unicodedata.category(c) in _BREAKING for c in value):
        raise _Mistake("bad-value", "holds a control character", "type the value anew")
    if _WHOLE_TOKEN.fullmatch(value):
        help_ = f"write the value of its `{kind}`; `sub` where `issued_before` is meant"
        raise _Mistake("whole-token", "holds a whole token", help_)
    return value


def _time(text: str) -> float:
    """Unix seconds, from those or from RFC 3339, 1970 to 9999."""
    seconds = -1.0
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif _RFC_3339.fullmatch(text):
        with suppress(ValueError):  # a day or an hour that there is not: told below
            seconds = datetime.fromisoformat(text.upper()).timestamp()
    if not 0 <= seconds <= _END_OF_9999:
        help_ = "for example `2026-01-31T12:00:00Z`, or Unix seconds"
        raise _Mistake("bad-time", "does not end with a time", help_)
    return seconds


def _text(value: object) -> str | None:
    """A claim as one would write it down; some issuers number their tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, str) else None


_READERS: Final[Mapping[str, Callable[[str, list[str], _Found], None]]] = MappingProxyType(
    {"jti": _named, "sub": _named, "sid": _named, "kid": _named, "issued_before": _issued_before}
)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    dict.fromkeys(("jti", "sub", "sid", "kid"), ("VALUE",)) | {"issued_before": ("SUBJECT", "TIME")}
)
