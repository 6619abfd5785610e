"""`entities.json`: every mistake is told with its line, and a large file is read in no time."""

from __future__ import annotations

import json

import pytest

from pdp.policy.entities import read_entities

GOOD = '{"type": "user", "id": "alice", "properties": {"level": 3}}'


def told(text: str | bytes) -> list[tuple[int | None, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [(problem.line, problem.code) for problem in read_entities(data)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'[\n  {GOOD},\n  {{"type": "user"}}\n]', [(3, "bad-entity")]),
        (f'[{GOOD},\n\n{{"type": "user",\n "id": 7}}]', [(3, "bad-entity")]),
        (f"[\n{GOOD},\r\n7 ,\n null]", [(3, "bad-entity"), (4, "bad-entity")]),
        (f"[\n{GOOD},\n{GOOD.replace('3', '4')}]", [(3, "duplicate-entity")]),
        ('[\n\n{"type": "user", "id": "a", "owner": "b"}]', [(3, "bad-entity")]),
        (f'[\n{GOOD},\n{{"type": "a",, }}]', [(3, "bad-json")]),
        (f'[\n{GOOD},\n{{"type": "a",\n "id": "b", "id": "c"}}]', [(3, "bad-json")]),
        (f'[\n{GOOD},\n{{"properties": {{"x": {{"a": 1, "a": 2}}}}}}]', [(3, "bad-json")]),
        (f'[\n{GOOD},\n{{"properties": {{"x": NaN}}}}]', [(3, "bad-json")]),
        (f'[\n{GOOD},\n{{"id": "\\ud800"}}]', [(3, "bad-json")]),
        (f'[\n{GOOD},\n{{"id": "'.encode() + b'\xff"}]', [(3, "bad-json")]),
        ("[\n[[" + "[" * 100_000, [(None, "bad-json")]),
        ('{"a": 1,\n "a": 2}', [(None, "bad-json")]),
        ("", [(1, "bad-json")]),
        ("{}", [(None, "bad-entity")]),
        (" [ ]\n", []),
        (f"[{GOOD}]", []),
    ],
)
def test_a_mistake_is_told_with_its_line(
    text: str | bytes, expected: list[tuple[int | None, str]]
) -> None:
    assert told(text) == expected


@pytest.mark.parametrize("value", ['"yes"', "1", "null", "[]"])
def test_whether_an_entity_is_disabled_is_true_or_false(value: str) -> None:
    text = f'[\n{{"type": "user", "id": "a", "properties": {{"disabled": {value}}}}}]'
    assert told(text) == [(2, "bad-entity")]
    assert told(text.replace(value, "true")) == told(text.replace(value, "false")) == []


def test_what_is_wrong_does_not_hide_what_is_right() -> None:
    entities, problems = read_entities(f"[1, {GOOD}]".encode())
    assert entities["user", "alice"] == {"level": 3}
    assert [problem.message for problem in problems] == ["entry 0: expected `object`, got `int`"]


def test_a_hundred_thousand_entities_are_read() -> None:
    entries = [
        {"type": "user", "id": f"user-{i}", "properties": {"level": i % 9, "tags": ["a", "b"]}}
        for i in range(100_000)
    ]
    data = json.dumps(entries, indent=1).encode()
    entities, problems = read_entities(data)
    assert (len(entities), problems) == (100_000, [])
