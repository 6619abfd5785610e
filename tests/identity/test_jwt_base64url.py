"""Each value has one spelling in base64url, and only that is read."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.identity import base64url

ALPHABET = string.ascii_letters + string.digits + "-_"


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(text: str) -> bytes | None:
    try:
        return base64url.decode(text)
    except ValueError:
        return None


@given(st.binary(min_size=1))
def test_what_is_spelled_is_read(data: bytes) -> None:
    assert base64url.decode(spelled(data)) == data


@given(st.text(ALPHABET, max_size=12) | st.text(ALPHABET + "+/= \n\x00!é\ud800", max_size=6))
@example("A")
@example("AB")
@example("AAB")
@example("AAAA" * 4 + "A")
def test_nothing_has_a_second_spelling(text: str) -> None:
    data = read(text)
    assert data is None or (data and spelled(data) == text)


@pytest.mark.parametrize("length", range(1, 9))
def test_exactly_the_spellings_of_values_are_read(length: int) -> None:
    values = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    step = {1: 64, 2: 16, 3: 4, 0: 1}[length % 4]  # stray bits are zero
    good = {"A" * (length - 1) + last for last in values[::step]} if length % 4 != 1 else set()
    texts = ["A" * (length - 1) + last for last in values]
    assert {text for text in texts if read(text) is not None} == good


@pytest.mark.parametrize("foreign", [*"+/=!. \t\r\n\x00\x7f", "\u00e9", "\uff21", "\ud800"])
@pytest.mark.parametrize("at", [0, 2, 5, 8])
def test_a_foreign_character_is_refused_wherever_it_stands(foreign: str, at: int) -> None:
    assert read("AAAAAAAA"[:at] + foreign + "AAAAAAAA"[at + 1 :]) is None
    assert read("AAAAAAAA"[:at] + foreign + "AAAAAAAA"[at:]) is None


def test_refusals_quote_nothing() -> None:
    for text in ("secret!", "secretB", "", "secret=="):
        with pytest.raises(ValueError, match=r"^not (canonical )?base64url$") as caught:
            base64url.decode(text)
        assert caught.value.__cause__ is None
