"""Files of one row a line, edited by hand: what may stand around rows, within them, and times."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pdp.errors import Problem, Unusable

MOST_PROBLEMS: Final = 100  # that are told of one file

_MARK: Final = b"\xef\xbb\xbf"
_QUOTED: Final = re.compile(r'"[^"]*"')
_REMARK: Final = re.compile(r"\s#")
_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_RFC_3339: Final = re.compile(  # §5.6
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_END_OF_9999: Final = 253_402_300_799


def is_empty(data: bytes) -> bool:
    """Whether a file says nothing at all; a comment says that there is nothing."""
    return not data.strip(_MARK + b" \t\r\n")


def read_rows(
    data: bytes, file: str, take: Callable[[int, str], None], empty: str
) -> list[Problem]:
    """Hand every row with its number to `take`, which may raise Unusable; what is wrong comes back.

    `file = *( row / comment / blank )`, UTF-8, lines that end with LF, CRLF or CR. `empty` is
    the help for a file that is empty. Told are the first MOST_PROBLEMS, and how many there are.
    """
    told = _Told(file)
    if is_empty(data):
        told.problem(None, Unusable("empty-file", "is empty", empty))
    if data.startswith(_MARK):
        mark = Unusable("byte-order-mark", "starts with a byte-order mark", "save it without one")
        told.problem(1, mark)
    for number, raw in enumerate(data.removeprefix(_MARK).splitlines(), 1):
        try:
            text = raw.decode("utf-8").strip()
            if text and not text.startswith("#"):
                take(number, text)
        except UnicodeDecodeError:
            told.problem(number, Unusable("not-utf8", "is not UTF-8", "save the file as UTF-8"))
        except Unusable as bad:
            told.problem(number, bad)
    return told.problems()


class _Told:
    """The problems of a file, up to a bound."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._untold = 0

    def problem(self, line: int | None, bad: Unusable) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(bad.problem(self._file, line))
        else:
            self._untold += 1

    def problems(self) -> list[Problem]:
        if not self._untold:
            return self._problems
        message = f"has {self._untold} further problems"
        return [*self._problems, Problem(self._file, None, "more-problems", message)]


def split_row(text: str) -> list[str]:
    """`field *( "," field )`, each bare or in double quotes that double within (RFC 4180)."""
    if _REMARK.search(_QUOTED.sub("", text)):
        help_ = "a comment has a line of its own; a value that holds ` #` stands in double quotes"
        raise Unusable("remark-in-row", "has a comment behind its values", help_)
    if '"' not in text:
        return [field.strip() for field in text.split(",")]
    try:
        (fields,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        help_ = 'begin and end the value with `"`, and write `""` for a quote within it'
        raise Unusable("bad-quotes", "has a quote that does not fit", help_) from None
    return [field.strip() for field in fields]


def read_time(text: str) -> float:
    """Unix seconds, from those or from RFC 3339 with a zone, 1970 to 9999; or Unusable."""
    seconds = -1.0
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif _RFC_3339.fullmatch(text):
        try:
            seconds = datetime.fromisoformat(text.upper()).timestamp()
        except ValueError:
            seconds = -1.0  # a day or an hour that there is not
    if not 0 <= seconds <= _END_OF_9999:
        help_ = "for example `2026-01-31T12:00:00Z`, or Unix seconds"
        raise Unusable("bad-time", "holds no time where one belongs", help_)
    return seconds
