"""Both engines give one answer; the ways of `re` are never more than counted; prefixes hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from backtracker import Backtracker
from casbin.util import builtin_operators as casbin_functions
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pdp.policy.matcher.automaton import UnprovenError
from pdp.policy.matcher.backtracking import MOST_TIMES, count_ways, is_safe
from pdp.policy.matcher.functions import expression, key_prefix
from pdp.policy.matcher.linear import compile_linear
from pdp.policy.matcher.paths import parse_path, path_test
from pdp.policy.matcher.regex import compile_regex, literal_prefix

ATOM = st.sampled_from(
    [
        *("a", "b", "/", ".", "é", "\\n", "ab", "/a", "^", "$", "\\Z", "\\b", "(?=a)", "(?!a)"),
        *("[ab]", "[^a]", "[^/]", "[^é]", "[a-z/]", "[^\\w/]", "\\d", "\\D", "\\w", "\\W", "\\s"),
        *("\\S", "(?!ab)", "(?=[ab/])", "(?![/.])", "(?i:a)", "(?s:.)", "(?<=a)", "[\\s\\d]"),
    ]
)
REPEAT = st.sampled_from(["*", "+", "?", "*?", "+?", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}", "++"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouped = inner.map(lambda text: f"(?:{text})")
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda texts: f"(?:{'|'.join(texts)})"),
        st.tuples(grouped, REPEAT).map("".join),
        st.tuples(ATOM, REPEAT).map("".join),
        inner.map(lambda text: f"(?>{text})"),
        inner.map(lambda text: f"^{text}$"),
    )


EXPRESSION = st.recursive(ATOM, larger, max_leaves=8)
CHARACTER = st.sampled_from(
    [*"aaabb//.1 _", "\n", "é", "\u0661", "\u2003", "\ud800", "\ufdd0", "A"]
)
VALUE = st.lists(CHARACTER, max_size=9).map("".join)
LONG = 240  # of two loops that share what they read, half of its square is tried
PATHS = ["keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5"]
THEIRS: dict[str, Callable[[Any, str], bool]] = {
    "keyMatch2": casbin_functions.key_match2,
    "keyMatch3": casbin_functions.key_match3,
    "keyMatch4": casbin_functions.key_match4,
    "keyMatch5": casbin_functions.key_match5,
}


def compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:
        assume(False)
        raise


@settings(max_examples=400, deadline=None)
@given(EXPRESSION, VALUE)
@example("a$", "a\n")
@example("(?:a|b$)", "b\n")
@example("[^a]$", "\ud800")
@example("[\\ufdd0]", "\ud800")
@example("\\W+", "\u2003\ud800")
@example("\\d\\w\\s$", "\u0661é\u2003")
@example("(?:aa|a)+b", "aaab")
@example("a\\Z", "a\n")
def test_re2_answers_as_re_or_not_at_all(text: str, value: str) -> None:
    found = compiled(text).match(value) is not None
    try:
        linear = compile_linear(text)
    except ValueError:
        return
    assert linear(value) is found


@settings(max_examples=250, deadline=None)
@given(EXPRESSION, VALUE)
def test_an_expression_is_refused_or_answers_as_re(text: str, value: str) -> None:
    found = compiled(text).match(value) is not None
    try:
        ours = compile_regex(text)
    except ValueError:
        return
    assert ours(value) is found


@settings(max_examples=400, deadline=None)
@given(EXPRESSION, VALUE)
@example("(?:a|ab)*c", "ababab")
@example(".*a.*b", "aaaaaaa")
@example("(?:a/+)*/*b", "a///a///")
@example(".*/+[^/]*a/*", "///aaa///")
def test_no_more_ways_are_gone_than_counted(text: str, value: str) -> None:
    compiled(text)
    try:
        most = count_ways(text, len(value))
    except UnprovenError:
        return
    assert Backtracker(value).steps(text) <= most


@settings(max_examples=400, deadline=None)
@given(EXPRESSION, st.sampled_from(["", "/", "a"]), VALUE.filter(bool), VALUE)
@example(".*a", "", "a", "")
@example("[^/]+/[^/]+/[^/]+$", "", "a/", "")
@example("^/a/[^/]+/.[^/]+", "/a/", "b/", "")
@example("(?:a|b)*c", "", "ab", "")
@example(".*" + "a" * 28, "", "a", "b")
def test_what_re_is_given_is_tried_in_linear_time(
    text: str, before: str, repeated: str, after: str
) -> None:
    compiled(text)
    if not is_safe(text):
        return
    value = before + repeated * (LONG // len(repeated)) + after
    assert Backtracker(value).steps(text) <= MOST_TIMES * len(value)


@settings(max_examples=100, deadline=None)
@given(EXPRESSION)
@example("[^/]+/[^/]+")
def test_a_count_that_is_few_times_the_size_is_few_times_any(text: str) -> None:
    compiled(text)
    try:
        counts = [count_ways(text, size) for size in (1 << 10, 1 << 13, 1 << 16)]
    except UnprovenError:
        return
    if counts[0] <= MOST_TIMES << 10:
        assert counts[1] <= MOST_TIMES << 13
        assert counts[2] <= MOST_TIMES << 16


@settings(max_examples=400, deadline=None)
@given(EXPRESSION, VALUE)
@example("/a(?:b|bc)", "/ab")
@example("(?i)a", "A")
@example("a|/a", "a")
@example("/ab?", "/a")
@example("^/a.b", "/axb")
def test_what_matches_begins_with_the_literal_prefix(text: str, value: str) -> None:
    prefix, pattern = literal_prefix_of(text), compiled(text)
    for subject in (value, prefix + value, prefix[:-1] + value):
        assert pattern.match(subject) is None or subject.startswith(prefix)


def literal_prefix_of(text: str) -> str:
    compiled(text)
    return literal_prefix(text)


@pytest.mark.parametrize("text", ["(x)[[a]]", "[[a]x", "/a[a||b]*|(x)"])
def test_what_re_warns_of_means_what_it_says(text: str) -> None:
    """All warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = re.compile(text)
    assert literal_prefix(text) in ("", "x", "/a")
    assert all(compile_regex(text)(v) is (theirs.match(v) is not None) for v in ("x[]", "[x", "ax"))
    assert all(compile_linear(text)(v) is (theirs.match(v) is not None) for v in ("x[]", "[x"))


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("^/a/b$", "/a/b"),
        ("/a/b", "/a/b"),
        ("^/a/[^/]+/b$", "/a/"),
        ("^/a/.*$", "/a/"),
        (r"^/v1\.0/x", "/v1.0/x"),
        ("^/ab?c", "/a"),
        ("^(GET|GETX)$", "GET"),
        ("^(GET|PUT)$", ""),
        ("^/a$|b", ""),
        ("^/a(?=b)bc", "/abc"),
        ("(?i)/a", ""),
        ("/(?i:a)", "/"),
        (r"\A/a", "/a"),
    ],
)
def test_a_literal_prefix_is_long(text: str, prefix: str) -> None:
    assert literal_prefix(text) == prefix


SEGMENT = st.sampled_from(
    [
        "a",
        "b",
        "",
        ":id",
        ":a",
        ":",
        "a:b",
        "{id}",
        "{a}",
        "{}",
        "{a}}",
        "*",
        "é",
        "a.b",
        ":*",
        "\n",
    ]
)
PATTERN = st.lists(SEGMENT, max_size=4).map("/".join)
PART = st.sampled_from(["a", "b", "", "é", "\n", "a\n", "?", "a?b", "1", "{id}", ":id", "a.b", "*"])
PATH = st.lists(PART, max_size=5).map("/".join)


@pytest.mark.parametrize("name", PATHS)
@settings(max_examples=300, deadline=None)
@given(pattern=PATTERN, path=PATH)
@example(pattern="/a", path="/a\n")
@example(pattern="/a/*", path="/a/b\nc")
@example(pattern="/:id", path="/\n")
@example(pattern="/{id}/*", path="/\n/\n")
@example(pattern="*", path="")
def test_a_simple_path_matches_as_casbins(name: str, pattern: str, path: str) -> None:
    simple = parse_path(name, pattern)
    assert (simple is None) is not bool(path_test(name)(pattern)) or name == "keyMatch4"
    if simple is not None:
        cut = path.split("?", 1)[0] if name == "keyMatch5" else path
        assert simple.matches(cut) is THEIRS[name](path, pattern)


@pytest.mark.parametrize("name", PATHS)
@settings(max_examples=250, deadline=None)
@given(pattern=PATTERN, path=PATH)
def test_what_matches_begins_with_the_prefix_of_the_path(
    name: str, pattern: str, path: str
) -> None:
    compiled(expression(name, pattern))
    prefix = key_prefix(name, pattern)
    for value in (path, prefix + path):
        assert not THEIRS[name](value, pattern) or value.startswith(prefix)
