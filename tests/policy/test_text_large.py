"""Large policy files are read in pieces, and the seams do not show."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdp.policy import text as reader
from pdp.policy.text import PolicyText, Row, decode_text, read_policy, read_rows

PIECES = st.sampled_from(
    ["p, a, b\n", "g,x, y\r\n", "\n", "# (no row\n", "p, (a, b), c\n", "p, [a\n", "é, ü", ",", " "]
)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_CHUNK", 3)
    monkeypatch.setattr(reader, "_SLICE", 2)


def whole(text: str) -> tuple[Row, ...]:
    """The rows of each line by itself."""
    lines = enumerate(text.split("\n"), 1)
    found = [(number, row) for number, line in lines for row in read_rows(line, "f").rows]
    return tuple(Row(row.ptype, row.values, number, row.balanced) for number, row in found)


@pytest.mark.usefixtures("small_pieces")
def test_rows_do_not_depend_on_where_a_piece_ends() -> None:
    @settings(max_examples=300, deadline=None)
    @given(st.lists(PIECES, max_size=12).map("".join))
    @example("p, a\np, b")
    @example("")
    def check(text: str) -> None:
        assert read_rows(text, "f").rows == whole(text)
        if text:
            assert read_policy(text.encode(), "f") == (PolicyText("f", whole(text)), [])

    check()


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    "data",
    [b"", b"\xef\xbb\xbfp, a", b"p, a\np, b\n\np, \xff\n", b"p, a\n\xc3\np, b", b"p, a\n\xc3"],
)
def test_bytes_that_are_no_text_are_the_same_problem(data: bytes) -> None:
    policy, problems = read_policy(data, "f")
    assert policy.rows == ()
    assert problems == decode_text(data, "f")[1] != []


def test_equal_values_are_one_object() -> None:
    first, second = read_rows("p, member, /(a|b)\ng, alice,  member\n", "f").rows
    assert first.values[0] is second.values[1]
    far = "p, member, x\n" + "# a comment\n" * 10_000 + "p, member, (a, b)\np, member, (a, b)\n"
    rows = read_rows(far, "f").rows
    assert rows[0].values[0] is rows[1].values[0]
    assert rows[1].values[1] is rows[2].values[1]


def test_rows_are_told_apart_by_their_type() -> None:
    policy = read_rows("p, a\ng, b, c\np, d\n, e\n", "f")
    lines = {ptype: [row.line for row in rows] for ptype, rows in policy.by_type.items()}
    assert lines == {"p": [1, 3], "g": [2], "": [4]}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    "value", ["a # b", "#a", "'a'", '"a"', "a\x00b", "a\x85b", "a\u2028b", "a\ufeffb", "a\tb"]
)
@pytest.mark.parametrize("line", [1, 2, 9])
def test_odd_rows_leave_nothing_odd_out(value: str, line: int) -> None:
    rows = [Row("p", (value if n == line else "plain é", "x"), n) for n in range(1, 10)]
    odd = PolicyText("f", tuple(rows)).odd_rows
    assert line in [row.line for row in odd]
    assert len(odd) <= 2


def test_a_plain_file_has_no_odd_rows() -> None:
    assert read_rows("p, alice, /invoices/:id, ^(GET|HEAD)$\n" * 5_000, "f").odd_rows == ()
