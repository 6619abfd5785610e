"""Both readers read what Casbin reads, and remember where it stood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from casbin.config import Config
from casbin.persist.adapter import load_policy_line
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdp.policy.text import PolicyText, decode_text, read_model, read_rows

TYPES = ("p", "p2", "g", "g2")


class Kept:
    """What `load_policy_line` fills, with the order of the rows kept."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        keys = {letter: [t for t in TYPES if t[0] == letter] for letter in "pg"}
        self.model = {
            letter: {key: Assertion(key, self.rows) for key in known}
            for letter, known in keys.items()
        }


class Assertion:
    def __init__(self, key: str, rows: list[tuple[str, ...]]) -> None:
        self.policy = Appended(key, rows)


class Appended:
    def __init__(self, key: str, rows: list[tuple[str, ...]]) -> None:
        self.key, self.rows = key, rows

    def append(self, values: list[str]) -> None:
        self.rows.append((self.key, *values))


def casbin_rows(text: str) -> list[tuple[str, ...]] | None:
    """The rows as Casbin's file adapter reads them, or None where a line makes it raise."""
    kept = Kept()
    for line in text.encode().split(b"\n"):
        try:
            load_policy_line(line.decode().strip(), kept)
        except IndexError:
            return None
    return kept.rows


FIELD = st.text(alphabet="ab/*:., []()#\"'\t \u00a0\u200b\u00e9\x0b\x1c\r-", max_size=8)
LINE = st.one_of(
    st.builds(lambda t, fields: ",".join((t, *fields)), st.sampled_from(TYPES), st.lists(FIELD)),
    st.builds(lambda t, fields: ", ".join((t, *fields)), st.sampled_from(TYPES), st.lists(FIELD)),
    FIELD,
    st.just(""),
    st.just("# a comment, with a comma"),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(LINE, max_size=5).map("\n".join))
@example("p, a, (b, c), [d, (e, f)]")
@example("p,a,b,\r\ng, x,y")
@example("p, a]b, c")
@example("p, [a, b")
@example(" \u00a0p , a\u2003, b\x1c")
def test_rows_are_those_that_casbin_loads(text: str) -> None:
    ours = [(row.ptype, *row.values) for row in read_rows(text, "f").rows if row.ptype in TYPES]
    theirs = casbin_rows(text)
    if theirs is not None:
        assert ours == theirs
    else:
        assert not all(row.balanced and row.ptype for row in read_rows(text, "f").rows)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=6))
def test_a_row_knows_its_line(lines: list[str]) -> None:
    text = "\n".join(lines)
    for row in read_rows(text, "f").rows:
        assert text.split("\n")[row.line - 1].strip().startswith(row.ptype)


@pytest.mark.parametrize(
    ("line", "balanced"),
    [
        ("p, a, b", True),
        ("p, (a, b)", True),
        ("p, [a, (b, c)]", True),
        ("p, (a, b", False),
        ("p, a)", False),
        ("p, )a(", False),
        ("p, a], [b", False),
    ],
)
def test_a_row_knows_whether_its_brackets_close(line: str, balanced: bool) -> None:
    assert [row.balanced for row in read_rows(line, "f").rows] == [balanced]


def heading(line: str) -> bool:
    return line.startswith("[") and line.endswith("]")


SECTIONS = (
    ("request_definition", ("r", "r2")),
    ("policy_definition", ("p", "p2")),
    ("role_definition", ("g", "g2", "g3")),
    ("policy_effect", ("e", "e2")),
    ("matchers", ("m", "m2")),
)
VALUE = st.text(alphabet="ab_.,= ()&|!\"'\t\u00e9[]", min_size=1, max_size=20).filter(
    lambda value: bool(value.strip()) and not heading(value.strip())
)


@st.composite
def models(draw: st.DrawFn) -> tuple[str, dict[tuple[str, str], list[str]]]:
    """A model without hazards, and the parts of every definition."""
    lines: list[str] = draw(st.sampled_from(([], ["# head"], ["", ";note"])))
    parts: dict[tuple[str, str], list[str]] = {}
    for section, keys in draw(st.permutations(SECTIONS)):
        lines.append(draw(st.sampled_from((f"[{section}]", f"  [{section}]  "))))
        for key in draw(st.lists(st.sampled_from(keys), unique=True)):
            pieces = draw(st.lists(VALUE, min_size=1, max_size=3))
            pieces = [piece.strip() for piece in pieces]
            parts[section, key] = pieces
            first, *more = pieces
            whole = [
                f"{key} = {first}",
                *(f"{draw(st.sampled_from(('', '  ', chr(9))))}{m}" for m in more),
            ]
            lines += [line + " \\" for line in whole[:-1]] + [whole[-1]]
            lines += draw(st.sampled_from(([], [""], ["# a comment"], ["   ; another"])))
    end = draw(st.sampled_from(("\n", "\r\n")))
    return end.join(lines) + end, parts


def definitions(text: str) -> dict[tuple[str, str], str]:
    found = read_model(text, "f")
    assert found.stray == ()
    return {(d.section, d.key): d.span.value for d in found.definitions}


@settings(max_examples=300, deadline=None)
@given(models())
def test_definitions_are_those_that_casbin_reads(
    sample: tuple[str, dict[tuple[str, str], list[str]]],
) -> None:
    text, _ = sample
    theirs = Config.new_config_from_text(text)._data
    flat = {
        (section, key): value for section, keys in theirs.items() for key, value in keys.items()
    }
    assert definitions(text) == flat


@settings(max_examples=300, deadline=None)
@given(models())
def test_every_character_of_a_value_is_found_in_the_file(
    sample: tuple[str, dict[tuple[str, str], list[str]]],
) -> None:
    text, _ = sample
    lines = text.split("\n")
    for definition in read_model(text, "f").definitions:
        span = definition.span
        for offset, character in enumerate(span.value):
            line, column, source = span.locate(offset)
            assert source == lines[line - 1].rstrip()
            stands = source[column - 1 : column]
            assert character == stands or (character == " " and stands in ("", "\\", "\t", " "))
        assert span.line == span.locate(0)[0] >= definition.line


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_model_may_end_its_lines_as_it_likes(end: str, tmp_path: Path) -> None:
    text = end.join(["[matchers]", "# one", "m = a && \\", " b", "", "m2 = c", ""])
    (tmp_path / "m.conf").write_bytes(text.encode())
    theirs: dict[str, Any] = Config.new_config(str(tmp_path / "m.conf"))._data
    assert definitions(text) == {("matchers", k): v for k, v in theirs["matchers"].items()}
    found = read_model(text, "f").get("m2")
    assert found is not None
    assert (found.line, found.span.locate(0)) == (6, (6, 6, "m2 = c"))


def test_a_definition_is_the_last_of_its_own_section() -> None:
    text = "[matchers]\nm = 1\n[policy_effect]\nm = 2\ne = 3\n[matchers]\nm = 4\n"
    model = read_model(text, "f")
    found = model.get("m")
    assert found is not None
    assert (found.span.value, found.line) == ("4", 7)
    assert model.get("g") is None


def test_stray_lines_are_kept() -> None:
    assert read_model("[matchers]\nfoo\n\\\n", "f").stray == ((2, "foo"), (3, "\\"))
    nameless = read_model("[policy_effect]\ne\n = some\n", "f")
    assert (nameless.definitions, nameless.stray) == ((), ((2, "e"), (3, "= some")))


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty-file", None),
        (b"\xef\xbb\xbfp, a", "byte-order-mark", 1),
        (b"p, a\np, \xff\n", "not-utf8", 2),
    ],
)
def test_bytes_that_are_no_text_are_a_problem(data: bytes, code: str, line: int | None) -> None:
    text, problems = decode_text(data, "f")
    assert (text, [(p.code, p.line) for p in problems]) == ("", [(code, line)])


def test_text_is_taken_as_it_is() -> None:
    assert decode_text("p, é\r\n".encode(), "f") == ("p, é\r\n", [])
    assert read_rows("# nothing\n\n", "f") == PolicyText("f", ())
