"""Which names are patterns and what they match, beside the functions of pycasbin itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from role_judge import FUNCTIONS, matches

from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.name_patterns import is_pattern, patterns_among

PARTS = ["a", "b", "/", "*", ":x", "{x}", "{2}", "{0,1}", "?", "+", "|", "^", "$", ".", "[ab]"]
PARTS += ["(", ")", "(?i:A)", "\\", "[", "]", "{", "}", ":", "(?i)"]
TEXTS = st.lists(st.sampled_from(["a", "b", "A", "/", "?", ":x", "*", "|", "^"]), max_size=5)


def compiles(function: str, pattern: str) -> bool:
    try:
        PATTERN_FUNCTIONS[function](pattern)
    except ValueError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:Possible (nested set|set):FutureWarning")  # in such patterns
@pytest.mark.parametrize("function", sorted(FUNCTIONS.keys() - {"ipMatch"}))
def test_a_name_matches_the_patterns_that_casbin_says_it_does(function: str) -> None:
    @settings(max_examples=400, deadline=None)
    @given(st.lists(st.lists(st.sampled_from(PARTS), max_size=6), max_size=4), TEXTS)
    def judged(parts: list[list[str]], text: list[str]) -> None:
        names, value = ["".join(part) for part in parts], "".join(text)
        found = set(patterns_among(function, names).matching(value))
        for name in names:
            if is_pattern(function, name) and compiles(function, name):
                assert (name in found) is matches(function, value, name)
            else:
                assert name not in found
                assert (
                    name == value
                    or not compiles(function, name)
                    or not matches(function, value, name)
                )

    judged()


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.1.2.3", ["10.0.0.0/8", "10.1.2.3"]),
        ("::1", ["0::1"]),
        ("alice", []),
        (7, []),
        (None, []),
    ],
)
def test_addresses_are_matched_as_addresses(value: object, networks: list[str]) -> None:
    names = ["alice", "10.0.0.0/8", "10.1.2.3", "0::1"]
    assert list(patterns_among("ipMatch", names).matching(value)) == networks


def test_without_a_function_nothing_is_a_pattern() -> None:
    assert list(patterns_among(None, ["*"]).matching("a")) == []
