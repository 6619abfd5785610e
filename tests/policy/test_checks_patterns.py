"""No pattern keeps a request busy: `re` has the proven ones, RE2 others, the rest is refused."""

from __future__ import annotations

import contextlib
import itertools
import re
import time

import pytest

from pdp.policy.matcher.backtracking import is_safe
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.linear import compile_linear
from pdp.policy.matcher.regex import CatastrophicPattern, Match, compile_regex

PROVEN = [
    r"^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|TRACE|CONNECT)$",
    r"/a/[^/]+/b/[^/]+",
    r"/files/.*",
    r"^/x/\d+$",
    r"^[a-z]+@example[.]com$",
    r".*[.](jpg|png|gif)$",
    r".*/edit$",
    r"^(.)\1$",
    r"^(GET|HEAD)$",
    r"^.*$",
    r".*",
    r"/docs/.*",
    r"^/docs/.*$",
    r"^[^/]+$",
    r"^/[^/]+/[^/]+/[^/]+/[^/]+$",
    r"(a|b)+",
    r"^(a|b)+$",
    r"^((a|b)(c|d))*$",
    r"^(a|ab)*$",
    r"^(ab|cd|ef)+x$",
    r"^/v[0-9]+/.*$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    r"^v\d+(\.\d+)*$",
    r"^(/[^/]*)*$",
    r"^(/[^/]+)+/?$",
    r"^/a(/.*)?$",
    r"^(\w+\s)*$",
    r"^(a*b)*$",
    r"^([0-9a-f]{8})+$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    r"^(?:(?!admin).)*$",
    r"(?i)^(get|head)$",
    r"^(é|ü)+$",
    r"^[一-龥]+-[一-龥]+-[一-龥]+$",
    r"^\w+-\w+-\w+-\w+$",
    r"^\d+\D+\d+\D+$",
    r"^\S+\s\S+\s\S+$",
    r"^[^?]*\?[^#]*#.*$",
    r"^x{0}y*z*$",
    r"^(?>a+)b$",
    r"^a++b$",
    r"^/(?!admin)[^/]+/.*$",
    r"(?s)^/a/.*$",
    r"^(?:a?){0,1}b$",
    r"a?a?a?a?aaaa",
    r"^/a/[^/]+/b/[^/]+/c/[^/]+/.*$",
]
LINEAR = [
    r"^/.*/tree/.*$",
    r"^/.*/tree/.*/raw$",
    r"^([a-z]+/)*[a-z]+$",
    r"^[^é]*é[^ü]*$",
    r"^/.*/[^/]+/.*/x$",
    r".*a.*b",
    r"(.+)@(.+)[.]com",
    r"(a|b)*a(a|b)*b",
    r"^/api/.*/items/.*/edit[^/]+$",
    ".*" + "a" * 40 + "b",
    r"^(?![/.])[^/]*.*/(?=[^/.])[^/]*?x$",
    r"^.*.*(?=[ab])(?:b|a?c|)\Z",
    r"(?=a)b?.*.*b",
    r"^(a+)+$",
    r"^(a{2,})*$",
    r"(a{1,15}){1,15}b",
    r"(a+?)+?$",
    r"(/a|/a+)+",
    r"(a|a)+$",
    r"^((|)a)*$",
    r"(a|b|ab)+$",
    r"(aa|aaa)+$",
    r"^(\w+\s?)*$",
    r"^([^/]+/?)+$",
    r"^(/[^/]*/?)*$",
    r"^(?:/\w+|/\d+)*$",
    r"(.*,)*x",
    r"(x+x+)+y",
    r"((a|b)+)+c",
    r"^(.|\d)*$",
    r"^(\d+|\w)*$",
    r"^(\d+|[a-z]+/)*$",
    r"([a-z]+)*[a-z]+@",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"^/.*/tree/.*/blob/.*/raw$",
    r"^.*.*.*$",
    r"^[\w-]+-[\w-]+-[\w-]+$",
    r"^\s*(.*)\s*x",
    r"^.*\d+[0-9a-f]+g$",
    r"^.{1,64}/.{1,64}/.{1,64}$",
    "a?" * 30 + "a" * 30,
    "^" + "/[^/]+" * 1_000 + "$",
    r"^/.*/.*/[^/]+/x$",
    r"^(?:a|ab)*/+.*.*.*x$",
    r"(?s)(.+)+x",
]
REFUSED = [
    (r"^((?>a+))+$", r"a look-around, a back reference or an atomic part"),
    (r"^(a++)+$", r"a look-around, a back reference or an atomic part"),
    (r"^(.)(.*)\1$", r"a look-around, a back reference or an atomic part"),
    (r"^(a)?(?(1)b|c)*$", r"a look-around, a back reference or an atomic part"),
    (r"(?=(a+)+$)a", r"a look-around, a back reference or an atomic part"),
    (r"(?>(a+)+b)", r"a look-around, a back reference or an atomic part"),
    (r"(?:a|)*b", "a repeat of what can be empty"),
    (r"(a*)*$", r"a repeat of what can be empty"),
    (r"(a?b?)*c", r"a repeat of what can be empty"),
    (r"(a{0,9}){9}", r"a repeat of what can be empty"),
    (r"^(\w+\b\W*)+$", r"a `\b`, or a `$` before the end"),
    (r"^(a+$|b)+x", r"a `\b`, or a `$` before the end"),
    (r"(?i)(a+)+$", r"flags"),
    (r"((a{60}){60}b+)+", r"a size that is too large"),
    (r".*a.{300}b.*x", r"a size that is too large"),
    ("([\ud800-\udbff]+)+", "half a character"),
]
LONG = 8_000
# What the patterns above read, in loops; each subject ends in what none of them expects.
UNITS = [
    *("a", "b", "ab", "/", "/a", "a/", "/tree/", "/tree", "é", "水", "-", "a-", "1", "1.", "."),
    *("1a", " ", "a ", "a b ", "?", "?#", "GET", "cd", "ac", "0123abcd", "a@", "\n", "x"),
]
SUBJECTS = [
    prefix + (unit * LONG)[:LONG] + end
    for prefix, unit, end in itertools.product(["", "/", "/v1/"], UNITS, ["", "\n\n", "\0"])
]


@pytest.mark.parametrize("pattern", PROVEN)
def test_a_common_pattern_is_proven(pattern: str) -> None:
    assert is_safe(pattern)


@pytest.mark.parametrize("pattern", LINEAR)
def test_a_pattern_that_is_not_proven_is_matched_in_linear_time(pattern: str) -> None:
    assert not is_safe(pattern)
    assert callable(compile_linear(pattern))


@pytest.mark.parametrize("pattern", [*PROVEN, *LINEAR], ids=lambda pattern: pattern[:30])
def test_no_value_keeps_a_pattern_busy(pattern: str) -> None:
    match = compile_regex(pattern)
    assert max(seconds(match, subject) for subject in SUBJECTS) < 0.02


@pytest.mark.parametrize("pattern", LINEAR, ids=lambda pattern: pattern[:30])
def test_a_pattern_that_is_not_proven_answers_as_re(pattern: str) -> None:
    match, compiled = compile_regex(pattern), re.compile(pattern)
    # As short as this, or `re` goes through millions of ways.
    some = [(unit * 3)[:18] for unit in UNITS]
    subjects = [prefix + value + end for prefix in ("", "/") for value in some for end in "/x\n"]
    assert all(match(s) is (compiled.match(s) is not None) for s in subjects)


@pytest.mark.parametrize(("pattern", "why"), REFUSED)
def test_a_pattern_that_neither_may_match_is_refused(pattern: str, why: str) -> None:
    re.compile(pattern)
    with pytest.raises(CatastrophicPattern, match=re.escape(why)):
        compile_regex(pattern)


def test_many_rules_with_overlapping_stars_take_a_moment() -> None:
    matches = [PATTERN_FUNCTIONS["keyMatch2"](f"/api/*/items/*/edit{n}") for n in range(50)]
    value = "/api/x" + "/items/" * 1_160
    assert sum(seconds(match, value) for match in matches) < 0.1


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=.)a?" * 40 + "(.*a)*b",
        "(?=a)" + "(|)" * 60 + "(a+)+b",
        "(?=.)" + "(a|)" * 60 + "(a+)+b",
        "(?!b)" + "(?:a?(?!c))" * 30 + "(a+)+",
    ],
    ids=lambda pattern: pattern[:12],
)
def test_looks_do_not_make_a_translation_long(pattern: str) -> None:
    start = time.process_time()
    with contextlib.suppress(ValueError):
        compile_linear(pattern)
    assert time.process_time() - start < 3


def test_repeated_names_need_groups_and_so_a_proof() -> None:
    match = PATTERN_FUNCTIONS["keyMatch4"]("/{a}/x/{a}")
    assert match("/1/x/1")
    assert not match("/1/x/2")
    with pytest.raises(CatastrophicPattern):
        PATTERN_FUNCTIONS["keyMatch4"]("/{a}/*/{a}/*/x/*/y")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("keyMatch2", "/only/here/:id/*"),
        ("keyMatch3", "/only/here/{id}/*"),
        ("keyMatch4", "/only/here/{id}/{other}"),
        ("keyMatch5", "/only/here/{id}"),
    ],
)
def test_a_simple_path_takes_no_regular_expression(name: str, pattern: str) -> None:
    before = compile_regex.cache_info().misses
    assert PATTERN_FUNCTIONS[name](pattern)(
        "/only/here/1/2" if name != "keyMatch5" else "/only/here/1"
    )
    assert compile_regex.cache_info().misses == before


def seconds(match: Match, subject: str) -> float:
    start = time.process_time()
    match(subject)
    return time.process_time() - start


def deepest(depth: int) -> str:
    return r"(\w+|\W+|" * depth + "a" + ")*" * depth


@pytest.mark.parametrize(
    "pattern",
    [
        "^" + "/[^/]+" * 1_000 + "$",
        "^" + "(?:/[^/]+)?" * 100 + "$",
        "(" * 60 + "a" + "){8}" * 60 + "(b*c*)",
        "(" * 80 + "|" + ")(|)" * 80 + "(a+b)*",
        "(" * 400 + "a+" + ")" * 400,
        deepest(20),
        "^(" + r"\w\W" * 120 + ")*",
        "^(" + ".?" * 100 + "b)*",
    ],
    ids=lambda pattern: pattern[:12],
)
def test_a_large_pattern_is_judged_soon(pattern: str) -> None:
    start = time.process_time()
    is_safe(pattern)
    assert time.process_time() - start < 1
