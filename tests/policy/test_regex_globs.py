"""Shell patterns answer as wcmatch, whose look-arounds are written anew, and take linear time."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.policy.matcher import globs
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.regex import Match, compile_regex

SUBJECTS = [
    prefix + (unit * 8_000)[:8_000] + end
    for prefix, unit, end in itertools.product(
        ["", "/", "/a/"], ["a", "/", "/a", "a/", "/b", "b", ".", "-", "/a/b", "é"], ["", "\n", "\0"]
    )
]
GLOBS = [
    *("/a/*", "/a/**", "/a/**/b", "/a/**/*.txt", "**/x", "/a/*/b/*/c/*", "*.json", "/{a,b}/*"),
    *("**", "/**", "**/", "/a/**/", "/a/**/b/**/c/**", "*a*", "/a/*b*", "/a/*-*.txt", "a**??"),
    *("/a/**/?", "**/*.txt", "/[!a]*/[(?>]", "/**/*"),
]


PIECE = st.sampled_from(
    [
        *("a", "b", "/", "*", "**", "/**", "/**/", "**/", "*/", ".", "?", "[ab]", "[!a]", "[(?>]"),
        *("[.]", "{a,b}", "-", "x.txt", "(?>", "\n"),
    ]
)
PART = st.sampled_from([*"ab/.-(?\n", "//", "/.", "/a/", "x.txt"])


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_common_glob_is_fast(pattern: str) -> None:
    match = PATTERN_FUNCTIONS["globMatch"](pattern)
    assert max(seconds(match, subject) for subject in SUBJECTS) < 0.02


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_glob_without_look_arounds_answers_as_with_them(pattern: str) -> None:
    match = PATTERN_FUNCTIONS["globMatch"](pattern)
    pieces = ["/a", "/b", "/c", "/", ".", "x", "a", "x.txt", ".json", "-", "\n", "("]
    values = map(
        "".join,
        itertools.chain.from_iterable(itertools.product(pieces, repeat=n) for n in range(5)),
    )
    assert all(
        match(v) is globs.glob.globmatch(v, globs._adapted(pattern), flags=globs._FLAGS)
        for v in values
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECE, max_size=7).map("".join), st.lists(PART, max_size=9).map("".join))
def test_any_glob_without_look_arounds_answers_as_with_them(pattern: str, value: str) -> None:
    expressions, _ = globs.glob.translate(globs._adapted(pattern), flags=globs._FLAGS)
    for theirs in expressions:
        found = re.compile(rf"{theirs.removesuffix('$')}\Z").match(value) is not None
        assert compile_regex(globs._rewritten(theirs))(value) is found


def seconds(match: Match, subject: str) -> float:
    start = time.process_time()
    match(subject)
    return time.process_time() - start
