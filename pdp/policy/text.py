"""Reads Casbin's two text formats as Casbin does, but keeps where everything stands.

Reading is faithful, not strict: what Casbin would silently drop or misread is kept, and
`pdp.policy.checks` says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import msgspec

from pdp.errors import Problem
from pdp.gently import gently, step
from pdp.policy.fields import Known, OpenBracket, Values, split_fields

SECTIONS = {
    "request_definition": "r",
    "policy_definition": "p",
    "role_definition": "g",
    "policy_effect": "e",
    "matchers": "m",
}
_LINE_END = re.compile(r"\r\n|\r|\n")  # a model is read as text, a policy file by bytes
# No single step over a large file may keep the interpreter from other threads for long.
_CHUNK = 1 << 15  # bytes or characters
_SLICE = 1 << 10  # rows


@dataclass(frozen=True, slots=True)
class Span:
    """A value joined from one or more lines: `origins` are (offset, line, column, line text)."""

    value: str
    origins: tuple[tuple[int, int, int, str], ...]

    def locate(self, offset: int) -> tuple[int, int, str]:
        """Line, column (both from 1) and the whole line that `offset` of the value stands in."""
        start, line, column, text = self.origins[0]
        for origin in self.origins:
            if origin[0] <= offset:
                start, line, column, text = origin
        return line, column + offset - start, text

    @property
    def line(self) -> int:
        """The line that the value begins in."""
        return self.origins[0][1]


@dataclass(frozen=True, slots=True)
class Definition:
    """`key = value` of a model; `section` is the heading above it."""

    section: str
    key: str
    line: int
    span: Span
    cut: bool = False  # a continuation that ran into a comment or a blank line

    def problem(
        self, file: str, code: str, message: str, help_: str = "", offset: int = 0, width: int = 0
    ) -> Problem:
        """A problem at `offset` of this definition's value, with a caret of `width`."""
        line, column, source = self.span.locate(offset)
        return Problem(
            file, line, code, message, help_, column=column, width=width or 1, source=source
        )


@dataclass(frozen=True, slots=True)
class ModelText:
    """A model file as it stands; `stray` are (line, text) that are neither heading nor pair."""

    file: str
    definitions: tuple[Definition, ...]
    stray: tuple[tuple[int, str], ...]

    def get(self, key: str) -> Definition | None:
        """The definition that Casbin would use for `key`: the last one in its section."""
        found = [d for d in self.definitions if d.key == key and SECTIONS.get(d.section) == key[0]]
        return found[-1] if found else None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One policy line: its type (`p`, `g2`, …), its values, and the line it stands in."""

    ptype: str
    values: tuple[str, ...]
    line: int
    balanced: bool = True  # whether every bracket is closed, and no other


@dataclass(frozen=True)
class PolicyText:
    """A policy file as it stands."""

    file: str
    rows: tuple[Row, ...]

    @cached_property
    def by_type(self) -> Mapping[str, tuple[Row, ...]]:
        """The rows of each type that occurs, as they stand."""
        found: dict[str, list[Row]] = {}
        ptype, rows = "", found.setdefault("", [])
        for row in gently(self.rows):
            if row.ptype != ptype:  # rows of one type mostly stand together
                ptype, rows = row.ptype, found.setdefault(row.ptype, [])
            rows.append(row)
        return {ptype: tuple(rows) for ptype, rows in found.items() if rows}

    @cached_property
    def odd_rows(self) -> tuple[Row, ...]:
        """All rows with a quote, a `#` or a control character, and perhaps some around them."""
        found: list[Row] = []
        for start in range(0, len(self.rows), _SLICE):
            step()
            rows = self.rows[start : start + _SLICE]
            joined = "".join(chain.from_iterable([row.values for row in rows]))
            if not joined.isprintable() or any(sign in joined for sign in "#\"'"):
                found += rows
        return tuple(found)


def decode_text(data: bytes, file: str) -> tuple[str, list[Problem]]:
    """`data` as text; a zero-byte file, a byte-order mark and bad UTF-8 are problems."""
    if problems := _no_text(data, file):
        return "", problems
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        return "", [_not_utf8(file, data.count(b"\n", 0, error.start) + 1)]


def _no_text(data: bytes, file: str) -> list[Problem]:
    if not data:
        help_ = "a policy without rules holds a comment line"
        return [Problem(file, None, "empty-file", "is empty", help_)]
    if data.startswith(b"\xef\xbb\xbf"):
        message = "starts with a byte-order mark"
        return [Problem(file, 1, "byte-order-mark", message, "save it without one")]
    return []


def _not_utf8(file: str, line: int) -> Problem:
    return Problem(file, line, "not-utf8", "is not UTF-8", "save it as UTF-8")


def read_policy(data: bytes, file: str) -> tuple[PolicyText, list[Problem]]:
    """What `decode_text` and `read_rows` make of a policy file, without ever holding its text.

    With a problem there are no rows.
    """
    if problems := _no_text(data, file):
        return PolicyText(file, ()), problems
    rows, known = list[Row](), Known()
    start, line = 0, 1
    while start < len(data):
        end = data.find(b"\n", start + _CHUNK) + 1 or len(data)
        try:
            line = _read_chunk(data[start:end].decode("utf-8"), line, rows, known)
        except UnicodeDecodeError as error:
            line += data.count(b"\n", start, start + error.start)
            return PolicyText(file, ()), [_not_utf8(file, line)]
        start = end
    known.forget()
    return PolicyText(file, tuple(rows)), []


def read_rows(text: str, file: str) -> PolicyText:
    """The rows of a policy file; blank lines and lines that begin with `#` are none."""
    rows, known = list[Row](), Known()
    start, line = 0, 1
    while start < len(text):
        end = text.find("\n", start + _CHUNK) + 1 or len(text)
        line = _read_chunk(text[start:end], line, rows, known)
        start = end
    return PolicyText(file, tuple(rows))


def _read_chunk(chunk: str, first: int, rows: list[Row], known: Known) -> int:
    """Append the rows of some whole lines, of which `first` is the first; the last one's number."""
    number, value = first, Values(known).__getitem__
    for number, raw in gently(enumerate(chunk.split("\n"), first)):
        try:
            ptype, *values = map(value, raw.split(","))
            balanced = True
        except OpenBracket:
            fields, balanced = split_fields(raw.strip())
            ptype, *values = map(known.one, fields)
        if ptype[:1] != "#" and (ptype or values):
            rows.append(Row(ptype, tuple(values), number, balanced))
    return number  # the chunk's last line feed begins the line that the next chunk continues


def read_model(text: str, file: str) -> ModelText:
    """The definitions of a model file, continuation lines joined."""
    definitions: list[Definition] = []
    stray: list[tuple[int, str]] = []
    section, pending = "", list[tuple[int, str]]()

    def flush(*, cut: bool = False) -> None:
        if pending and (found := _definition(section, pending, cut=cut)):
            definitions.append(found)
        elif pending:
            stray.append((pending[0][0], pending[0][1].strip()))
        pending.clear()

    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            flush(cut=True)
        elif line[0] == "[" and line[-1] == "]":
            flush(cut=True)
            section = line[1:-1]
        else:
            pending.append((number, raw.rstrip()))
            if not line.endswith("\\"):
                flush()
    flush(cut=True)
    return ModelText(file, tuple(definitions), tuple(stray))


def _definition(section: str, lines: list[tuple[int, str]], *, cut: bool) -> Definition | None:
    """Join the lines of one definition, remembering where each part came from."""
    value, origins = "", []
    for number, raw in lines:
        body = raw.lstrip()
        origins.append((len(value), number, len(raw) - len(body) + 1, raw))
        value += body[:-1].strip() + " " if body.endswith("\\") else body
    key, equals, _ = value.partition("=")
    if not (equals and key.strip()):
        return None
    start = len(key) + 1 + len(value[len(key) + 1 :]) - len(value[len(key) + 1 :].lstrip())
    moved = tuple(
        (max(0, offset - start), line, column + max(0, start - offset), raw)
        for i, (offset, line, column, raw) in enumerate(origins)
        if i + 1 == len(origins) or origins[i + 1][0] > start
    )
    return Definition(section, key.strip(), lines[0][0], Span(value[start:].rstrip(), moved), cut)
