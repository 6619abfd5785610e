"""Every pattern function, compiled once, gives the answers of Casbin's function of that name."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from casbin.util import builtin_operators as casbin_functions
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judge import silence

from pdp.policy.matcher import networks
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS, read_time, time_window
from pdp.policy.matcher.networks import address, interface, network
from pdp.policy.matcher.regex import CatastrophicPattern
from pdp.policy.matcher.terms import EVALUATION_ERRORS

THEIRS: dict[str, Callable[[Any, str], bool]] = {
    "keyMatch": casbin_functions.key_match,
    "keyMatch2": casbin_functions.key_match2,
    "keyMatch3": casbin_functions.key_match3,
    "keyMatch4": casbin_functions.key_match4,
    "keyMatch5": casbin_functions.key_match5,
    "regexMatch": casbin_functions.regex_match,
    "globMatch": casbin_functions.glob_match,
    "ipMatch": casbin_functions.ip_match,
}
PATHS = [name for name in THEIRS if name != "ipMatch"]
PIECE = st.sampled_from(
    [*"ab1/:*{}.?|()[]^$+\\-é ", "/a", "/:id", "{id}", "/*", "/**", "[ab]", ".*", "(a|b)", "{a,b}"]
)
PATTERN = st.lists(PIECE, max_size=6).map("".join)
SEGMENT = st.sampled_from(["a", "b", "1", "ab", "é", "", "a.b", "?x=/1", "*", ":id", "{id}"])
PATH = st.lists(SEGMENT, max_size=5).map(lambda parts: "/" + "/".join(parts))
OTHER = st.sampled_from([5, None, ["a"], ["/", "a"], {"a": 1}, True, ""])


def answer(judge: Callable[[], bool]) -> bool | None:
    """What is answered, or None for an error."""
    with silence():
        try:
            return bool(judge())
        except Exception:  # noqa: BLE001 - pycasbin raises what it likes
            return None


def ours(name: str, value: Any, pattern: str) -> bool | None:
    """Our answer; whatever is raised must be an error that makes a clause unknown."""
    with silence():
        try:
            return PATTERN_FUNCTIONS[name](pattern)(value)
        except EVALUATION_ERRORS:
            return None


@pytest.mark.parametrize("name", PATHS)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.one_of(PATH, PATTERN, OTHER), pattern=PATTERN)
@example(value="/a\n", pattern="/a")
@example(value="/a/b", pattern="/:x/:y")
@example(value="/a:b", pattern="/a:b")
@example(value=["/a"], pattern="/a*")
@example(value="/a", pattern="*")
@example(value="ab", pattern="{id}*")
@example(value="a/a", pattern="{id}/{id}*")
def test_a_pattern_function_answers_as_casbins(name: str, value: Any, pattern: str) -> None:
    expected = answer(lambda: THEIRS[name](value, pattern))
    found = ours(name, value, pattern)
    if found is None and not isinstance(value, str):
        return  # a value of the wrong type may always be unknown
    assert found == expected or (found is None and refused(name, pattern))


def refused(name: str, pattern: str) -> bool:
    """keyMatch4 raises only for paths that match; ours refuses the pattern. So it is for slow ones.

    What is slow takes two repeats, or one of a repeat.
    """
    if name == "keyMatch4" and "(" in pattern:
        return True
    try:
        PATTERN_FUNCTIONS[name](pattern)
    except CatastrophicPattern:
        return "(" in pattern or sum(map(pattern.count, "*+?{:")) > 1
    return False


ADDRESS = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["", "x", "10.0.0.1/8", "::ffff:1.2.3.4"])
)
NETWORK = st.one_of(
    ADDRESS,
    st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(0, 33)),
    st.builds("{}/{}".format, st.ip_addresses(v=6), st.integers(0, 129)),
    st.sampled_from(["10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "0.0.0.0/0", "::/0"]),
)


@settings(max_examples=1000, deadline=None)
@given(ADDRESS, NETWORK)
@example("10.0.0.1", "10.0.0.1/8")
@example("fe80::1%eth0", "fe80::/10")
@example("fe80::1%eth0", "fe80::1%eth1")
@example("::ffff:10.0.0.1", "10.0.0.0/8")
def test_ip_match_answers_as_casbins(value: str, pattern: str) -> None:
    expected, found = (
        answer(lambda: THEIRS["ipMatch"](value, pattern)),
        ours("ipMatch", value, pattern),
    )
    if found is None:  # a malformed network is refused, where Casbin says that it never matches
        assert not expected
    else:
        assert found is expected


@settings(max_examples=500, deadline=None)
@given(NETWORK)
@example("10.1.2.3/8")
@example("1.2.3.4/08")
@example("01.2.3.4")
@example("1.2.3.4/")
@example("fe80::1%eth0/64")
@example("1.2.3.٤")
def test_a_network_is_that_of_ipaddress(pattern: str) -> None:
    try:
        theirs = ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - ipaddress chooses the words
            network(pattern)
        return
    masked = int(theirs.network_address)
    assert network(pattern) == (theirs.version, theirs.prefixlen, masked)
    kept = int(ipaddress.ip_interface(pattern))
    assert interface(pattern) == (theirs.version, theirs.prefixlen, kept)


@settings(max_examples=500, deadline=None)
@given(ADDRESS)
@example("01.2.3.4")
@example("1.2.3")
@example("fe80::1%eth0")
def test_an_address_is_that_of_ipaddress(value: str) -> None:
    try:
        theirs = ipaddress.ip_address(value)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011
            address(value)
        return
    assert address(value) == (theirs.version, int(theirs))


def test_long_text_is_read_but_not_kept() -> None:
    long, number = "fe80::1%" + "e" * 100_000, int(ipaddress.ip_address("fe80::1"))
    kept = networks._address.cache_info().misses
    assert address(long) == (6, number)
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress chooses the words
        address("e" * 65)
    assert networks._address.cache_info().misses == kept
    assert address("fe80::1%" + "e" * 56) == (6, number)
    assert networks._address.cache_info().misses == kept + 1


@pytest.mark.parametrize("value", [5, None, ["10.0.0.1"], b"\n\0\0\1"])
def test_what_is_no_text_is_no_address(value: Any) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        address(value)


@pytest.mark.parametrize("start", ["_", "2000-01-01 00:00:00", "2999-01-01 00:00:00"])
@pytest.mark.parametrize("end", ["_", "2000-01-01 00:00:00", "2999-01-01 00:00:00"])
def test_time_match_answers_as_casbins(start: str, end: str) -> None:
    now = read_time("2026-01-15 12:00:00")
    assert now is not None
    assert time_window(start, end).holds(now.timestamp()) is casbin_functions.time_match_func(
        start, end
    )
