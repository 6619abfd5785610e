"""Reads Casbin's two text formats as Casbin does, but keeps where everything stands.

Reading is faithful, not strict: what Casbin would silently drop or misread is kept, and
`pdp.policy.checks` says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pdp.errors import Problem

SECTIONS = {
    "request_definition": "r",
    "policy_definition": "p",
    "role_definition": "g",
    "policy_effect": "e",
    "matchers": "m",
}
_STRUCTURE = re.compile(r"[,\[\]()]")
_LINE_END = re.compile(r"\r\n|\r|\n")  # a model is read as text, a policy file by bytes


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


@dataclass(frozen=True, slots=True)
class Row:
    """One policy line: its type (`p`, `g2`, …), its values, and the line it stands in."""

    ptype: str
    values: tuple[str, ...]
    line: int
    balanced: bool = True  # whether every bracket is closed, and no other


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy file as it stands."""

    file: str
    rows: tuple[Row, ...]


def decode_text(data: bytes, file: str) -> tuple[str, list[Problem]]:
    """`data` as text; a zero-byte file, a byte-order mark and bad UTF-8 are problems."""
    if not data:
        return "", [
            Problem(
                file, None, "empty-file", "is empty", "a policy without rules holds a comment line"
            )
        ]
    if data.startswith(b"\xef\xbb\xbf"):
        return "", [
            Problem(
                file, 1, "byte-order-mark", "starts with a byte-order mark", "save it without one"
            )
        ]
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", [Problem(file, line, "not-utf8", "is not UTF-8", "save it as UTF-8")]


def read_rows(text: str, file: str) -> PolicyText:
    """The rows of a policy file; blank lines and lines that begin with `#` are none."""
    return PolicyText(file, tuple(_rows(text)))


def _rows(text: str) -> Iterator[Row]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            fields, balanced = _fields(line)
            yield Row(fields[0], tuple(fields[1:]), number, balanced)


def _fields(line: str) -> tuple[list[str], bool]:
    """Split at the commas that stand outside all brackets, which Casbin does not tell apart."""
    if "(" not in line and "[" not in line and ")" not in line and "]" not in line:
        return [field.strip() for field in line.split(",")], True
    depth, start, fields, balanced = 0, 0, [], True
    for match in _STRUCTURE.finditer(line):
        sign = match.group()
        if sign in "[(":
            depth += 1
        elif sign in "])":
            balanced = balanced and depth > 0
            depth = max(0, depth - 1)
        elif not depth:
            fields.append(line[start : match.start()].strip())
            start = match.end()
    fields.append(line[start:].strip())
    return fields, balanced and not depth


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
    if not equals:
        return None
    start = len(key) + 1 + len(value[len(key) + 1 :]) - len(value[len(key) + 1 :].lstrip())
    moved = tuple(
        (max(0, offset - start), line, column + max(0, start - offset), raw)
        for i, (offset, line, column, raw) in enumerate(origins)
        if i + 1 == len(origins) or origins[i + 1][0] > start
    )
    return Definition(section, key.strip(), lines[0][0], Span(value[start:].rstrip(), moved), cut)
