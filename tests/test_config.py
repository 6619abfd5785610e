"""Sections: every mistake at once, each with its key."""

from __future__ import annotations

import msgspec
import pytest

from pdp.config import decode, parse_toml, suggest


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    size: int
    name: str = "x"


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    several: tuple[Inner, ...] = ()
    one: Inner | None = None
    words: tuple[str, ...] = ()
    even: int = 2

    def __post_init__(self) -> None:
        if self.even % 2:
            raise ValueError("must be even")


def test_a_good_table_becomes_a_section() -> None:
    table = {"several": [{"size": 1}], "one": {"size": 2, "name": "y"}, "words": ["a"]}
    section, problems = decode(Outer, table, "f.toml", "s")
    assert problems == []
    assert section == Outer(
        several=(Inner(size=1),), one=Inner(size=2, name="y"), words=("a",), even=2
    )


def test_every_mistake_is_reported_at_once() -> None:
    table = {
        "severl": [],
        "several": [{"size": "1"}, {"nam": 1}, 3],
        "one": {"size": 1.5},
        "words": ["a", 1],
    }
    section, problems = decode(Outer, table, "f.toml", "s")
    assert section is None
    assert [(p.code, p.message.split("`")[1]) for p in problems] == [
        ("unknown-key", "s.severl"),
        ("wrong-type", "s.several[0].size"),
        ("unknown-key", "s.several[1].nam"),
        ("missing-key", "s.several[1].size"),
        ("wrong-type", "s.several[2]"),
        ("wrong-type", "s.one.size"),
        ("wrong-type", "s.words"),
    ]
    assert problems[0].help == "did you mean `several`?"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (5, "`s` must be a table"),
        ({"several": {"size": 1}}, "`s.several` must be an array of tables"),
        ({"even": 3}, "`s`: must be even"),
    ],
)
def test_a_wrong_shape_names_its_key(table: object, message: str) -> None:
    assert [p.message for p in decode(Outer, table, "f.toml", "s")[1]] == [message]


@pytest.mark.parametrize("data", [b"a = ", b"\xff", b"[a]\n[a]"])
def test_what_is_no_toml_is_a_problem(data: bytes) -> None:
    tables, (problem,) = parse_toml(data, "f.toml")
    assert (tables, problem.code, problem.file) == ({}, "bad-toml", "f.toml")


def test_the_help_names_the_nearest_or_all() -> None:
    assert suggest("polici", ["policy", "model"]) == "did you mean `policy`?"
    assert suggest("zzz", ["b", "a"]) == "known here: `a`, `b`"
    assert suggest("zzz", [f"name{i}" for i in range(50)]) == ""
