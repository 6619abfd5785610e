"""JSON that two parsers could read differently is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp import strict_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON, at byte 0"),
        (b'{"a":1,"a":2}', "a member occurs twice"),
        (b'{"x":{"a":1,"a":2}}', "a member occurs twice"),
        (b"NaN", "NaN and Infinity are not JSON"),
        (b"[-Infinity]", "NaN and Infinity are not JSON"),
        (b"1e999", "a number is out of range"),
        (b'"\xff"', "not UTF-8"),
        ('"é"'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "starts with a byte-order mark"),
        (b'"\\ud800"', "a lone surrogate is not a character"),
        (b'{"\\udfff":1}', "a lone surrogate is not a character"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{} {}", "not JSON, at byte 3"),
        (b"'secret'", "not JSON, at byte 0"),
        (b"9" * 5000, "a number is out of range"),
    ],
)
def test_odd_json_is_refused_without_quoting_it(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message) as caught:
        strict_json.loads(data)
    assert "secret" not in str(caught.value)


NINES = b"9" * 999


@pytest.mark.parametrize("around", [b"%s", b"[%s]", b'{"a": [%s]}', b"[%s" + b" " * 2_000 + b"]"])
@pytest.mark.parametrize(("integer", "read"), [(b"9", True), (b"99", False)])
@pytest.mark.parametrize("sign", [b"", b"-"])
def test_an_integer_has_at_most_a_thousand_characters_in_whatever_text(
    around: bytes, integer: bytes, read: bool, sign: bytes
) -> None:
    text = around % (sign + (NINES[1:] if sign else NINES) + integer)
    if read:
        assert strict_json.loads(text) == json.loads(text)
    else:
        with pytest.raises(ValueError, match=r"^a number is out of range$"):
            strict_json.loads(text)


@pytest.mark.parametrize("depth", range(900, 1000, 3))
def test_depth_ends_in_a_value_or_a_value_error(depth: int) -> None:
    data = b"[" * depth + b'"\\u0041"' + b"]" * depth
    outcome: object
    try:
        outcome = strict_json.loads(data)
    except ValueError as error:
        outcome = str(error)
    assert outcome == "nested too deeply" or isinstance(outcome, list)


@given(VALUES)
def test_good_json_is_what_it_was(value: object) -> None:
    try:
        data = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert strict_json.loads(data) == value


class Pairs(list[tuple[str, Any]]):
    """The members of an object, as they are spelt."""


KEYS = st.sampled_from(("a", "b", "a:", ":", "é", "\\u0061", ""))
SPELT = st.recursive(
    st.integers() | st.booleans() | KEYS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=3).map(Pairs)
    ),
)


def spell(value: object, space: str) -> str:
    if isinstance(value, Pairs):
        members = [f'"{name}"{space}:{spell(member, space)}' for name, member in value]
        return "{" + f",{space}".join(members) + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(spell(item, space) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else json.dumps(value)


def repeats(value: object) -> bool:
    """Whether a name occurs twice in an object, however it is spelt."""
    if isinstance(value, Pairs):
        names = [name.replace("\\u0061", "a") for name, _ in value]
        return len({*names}) < len(names) or any(repeats(member) for _, member in value)
    return isinstance(value, list) and any(map(repeats, value))


@given(SPELT, st.sampled_from(("", " ", "\n\t")))
@example(Pairs([("a", ":"), ("a", "b")]), "")
@example(Pairs([("a", 1), ("a", "\\u003a")]), "")
@example([Pairs([("x", Pairs([("a", 1), ("\\u0061", 2)]))])], " ")
def test_members_that_occur_twice_are_refused_wherever_they_stand(
    value: object, space: str
) -> None:
    text = spell(value, space)
    found: object
    try:
        found = strict_json.loads(text.encode())
    except ValueError as error:
        found = str(error)
    assert found == ("a member occurs twice" if repeats(value) else json.loads(text))


@given(st.binary())
def test_nothing_but_value_error_is_raised(data: bytes) -> None:
    said = "something"
    try:
        strict_json.loads(data)
    except ValueError as error:
        said = str(error)
    assert said
