"""Which of a browser's cookies is the session."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.identity.session import SessionSettings, mistakes, session_of

FOUND = [
    ("sid=abc", "abc"),
    ("a=1; sid=abc; b=2", "abc"),
    ("a=1;sid=abc;b=2", "abc"),
    (" sid = abc ", "abc"),
    ("\tsid=abc\t", "abc"),
    ('sid="abc"', "abc"),
    ("sid=a=b==", "a=b=="),
    ("sid=", ""),
    ('sid=""', ""),
    ("sid", ""),
    ('sid="', '"'),
    ("sid=abc; sid=abc", "abc"),
    ('sid=abc; sid="abc"', "abc"),
    ("sid=abc; sid=abd", ""),
    ("sid=abc; sid=", ""),
    ("sid=abc; sid", ""),
    ("sid=; sid=", ""),
    ("sid=abc, sid=abd", "abc, sid=abd"),
    ("sid=abc\xa0", "abc\xa0"),
]
ABSENT = ["", ";", "a=1", "SID=abc", "sid2=abc", "xsid=abc", "a=sid=abc", "$sid=abc"]


@pytest.mark.parametrize(("header", "value"), FOUND)
def test_the_named_cookie_is_found(header: str, value: str) -> None:
    assert session_of(header, "sid") == value


@pytest.mark.parametrize("header", ABSENT)
def test_no_other_cookie_is_one(header: str) -> None:
    assert session_of(header, "sid") is None


def test_a_semicolon_separates_wherever_it_stands() -> None:
    assert session_of('a="; sid=abc', "sid") == "abc"  # RFC 6265 §4.2.1: no quoting of it


def test_the_prefix_of_a_name_is_part_of_it() -> None:
    header = "session=x; __Secure-session=y; __Host-session=z"
    assert session_of(header, "__Host-session") == "z"
    assert session_of("__host-session=z", "__Host-session") is None


def test_many_cookies_take_linear_time() -> None:
    started = time.monotonic()
    assert session_of("; " * 30_000 + "sid=x", "sid") == "x"
    assert session_of("sid=x;" * 10_000, "sid") == "x"
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("junk", [";", "=;", "a;", "; ", ";sid2=", ";sid\t!"])
def test_junk_takes_no_memory_and_so_no_time(junk: str) -> None:
    header = junk * (500_000 // len(junk)) + ";sid=x"  # every line of it may be long
    tracemalloc.start()
    try:
        assert session_of(header, "sid") == "x"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(st.text(), st.sampled_from(["sid", "__Host-sid"]))
def test_any_header_is_read(header: str, name: str) -> None:
    value = session_of(header, name)
    assert value is None or value in header


@given(st.lists(st.from_regex(r"[a-z]{1,3}=[!#-+\--:<-\[\]-~]{0,9}", fullmatch=True)))
def test_there_is_a_session_if_and_only_if_a_cookie_has_its_name(pairs: list[str]) -> None:
    named = {pair[4:] for pair in pairs if pair.startswith("sid=")}
    expected = None if not named else named.pop() if len(named) == 1 else ""
    assert session_of("; ".join(pairs), "sid") == expected


@pytest.mark.parametrize("name", ["sid", "__Host-session", "a.b", "~"])
def test_a_token_can_be_a_cookies_name(name: str) -> None:
    assert list(mistakes(SessionSettings(cookie=name), "session")) == []


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "é", 'a"', "a\n", "sid\n"])
def test_other_names_are_refused(name: str) -> None:
    (mistake,) = mistakes(SessionSettings(cookie=name), "session")
    assert mistake.code == "bad-cookie"
