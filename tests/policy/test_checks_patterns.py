"""Patterns that can be read in too many ways: refused; the common ones are not, and are fast."""

from __future__ import annotations

import itertools
import re
import time

import pytest

from pdp.policy.checks.backtracking import blow_up

GOOD = [
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
    r"^/.*/tree/.*$",
    r"^/.*/tree/.*/raw$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    r"^v\d+(\.\d+)*$",
    r"^(/[^/]*)*$",
    r"^(/[^/]+)+/?$",
    r"^([a-z]+/)*[a-z]+$",
    r"^/a(/.*)?$",
    r"^(\w+\s)*$",
    r"^(a*b)*$",
    r"^([0-9a-f]{8})+$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    r"^.{1,64}/.{1,64}/.{1,64}$",
    r"^(?:(?!admin).)*$",
    r"^((?>a+))+$",
    r"^(a++)+$",
    r"^(\w+\b\W*)+$",
    r"(?i)^(get|head)$",
    r"^(é|ü)+$",
    r"^[^é]*é[^ü]*$",
    r"^[一-龥]+-[一-龥]+-[一-龥]+$",
    r"^\w+-\w+-\w+-\w+$",
    r"^\d+\D+\d+\D+$",
    r"^\S+\s\S+\s\S+$",
    r"^[^?]*\?[^#]*#.*$",
    r"^(.)(.*)\1$",
    r"^(a)?(?(1)b|c)*$",
    r"^x{0}y*z*$",
]
BAD = [
    (r"^(a+)+$", "exponential"),
    (r"(a*)*$", "exponential"),
    (r"^(a{2,})*$", "exponential"),
    (r"(a{1,30}){1,30}b", "exponential"),
    (r"(a+?)+?$", "exponential"),
    (r"(/a|/a+)+", "exponential"),
    (r"(a|a)+$", "exponential"),
    (r"^((|)a)*$", "exponential"),
    (r"(a|b|ab)+$", "exponential"),
    (r"(aa|aaa)+$", "exponential"),
    (r"^(\w+\s?)*$", "exponential"),
    (r"^([^/]+/?)+$", "exponential"),
    (r"^(/[^/]*/?)*$", "exponential"),
    (r"^(?:/\w+|/\d+)*$", "exponential"),
    (r"(.*,)*x", "exponential"),
    (r"(x+x+)+y", "exponential"),
    (r"(a?b?)*c", "exponential"),
    (r"((a|b)+)+c", "exponential"),
    (r"^(.|\d)*$", "exponential"),
    (r"^(\d+|\w)*$", "exponential"),
    (r"^(\d+|[a-z]+/)*$", "exponential"),
    (r"([a-z]+)*[a-z]+@", "exponential"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "exponential"),
    (r"(?=(a+)+$)a", "exponential"),
    (r"(?>(a+)+b)", "exponential"),
    (r"^/.*/tree/.*/blob/.*/raw$", "cubic"),
    (r"^.*.*.*$", "cubic"),
    (r"^[\w-]+-[\w-]+-[\w-]+$", "cubic"),
    (r"^\s*(.*)\s*x", "cubic"),
    (r"^.*\d+[0-9a-f]+g$", "cubic"),
]
LONG = 5_000
# What the patterns above read, in loops; each subject ends in what none of them expects.
UNITS = [
    *("a", "b", "ab", "/", "/a", "a/", "/tree/", "/tree", "é", "水", "-", "a-", "1", "1.", "."),
    *("1a", " ", "a ", "a b ", "?", "?#", "GET", "cd", "ac", "0123abcd", "a@", "\n", "x"),
]
SUBJECTS = [
    prefix + (unit * LONG)[:LONG] + end
    for prefix, unit, end in itertools.product(["", "/", "/v1/"], UNITS, ["", "\n\n", "\0"])
]


@pytest.mark.parametrize("pattern", GOOD)
def test_a_common_pattern_is_accepted(pattern: str) -> None:
    assert blow_up(pattern) is None


@pytest.mark.parametrize("pattern", GOOD)
def test_an_accepted_pattern_is_fast(pattern: str) -> None:
    compiled = re.compile(pattern)
    assert max(seconds(compiled, subject) for subject in SUBJECTS) < 0.2


@pytest.mark.parametrize(("pattern", "growth"), BAD)
def test_a_bad_pattern_is_known(pattern: str, growth: str) -> None:
    re.compile(pattern)
    assert blow_up(pattern) == growth


def seconds(compiled: re.Pattern[str], subject: str) -> float:
    start = time.process_time()
    compiled.match(subject)
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
    blow_up(pattern)
    assert time.process_time() - start < 1
