"""What the upstream is told of whom it serves."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.answer.identity_fields import MOST, IdentityFields, respelled
from pdp.model import Identity, Method, Outcome, Reason, Verdict


def allowed(claims: Any = None, *roles: str, method: Method = Method.BEARER) -> Verdict:
    identity = Identity("alice", method=method, claims=MappingProxyType(claims or {}))
    return Verdict(Outcome.ALLOW, Reason.GRANTED, identity=identity, roles=roles)


def claimed(expression: str, claims: Any) -> str:
    named = IdentityFields(claims=(("X-Claim", expression),))
    return dict(named.of(allowed(claims)))["X-Claim"]


def test_the_names_are_the_operators() -> None:
    named = IdentityFields("Remote-User", "Remote-Groups", (("Remote-Email", "email"),))
    told = named.of(allowed({"email": "a@b.test"}, "x", "y"))
    assert told == (
        ("Remote-User", "alice"),
        ("Remote-Groups", "x,y"),
        ("Remote-Email", "a@b.test"),
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("a@b.test", "a@b.test", id="text"),
        pytest.param("a,b", "a%2Cb", id="comma"),
        pytest.param("José", "Jos%C3%A9", id="non-ascii"),
        pytest.param("a\r\nX-Auth-Roles: root", "a%0D%0AX-Auth-Roles: root", id="line break"),
        pytest.param("\x00\x1f\x7f\x85\u2028", "%00%1F%7F%C2%85%E2%80%A8", id="controls"),
        pytest.param(7, "7", id="integer"),
        pytest.param(-1.5, "-1.5", id="number"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(["a", "b,c", 1, True], "a,b%2Cc,1,true", id="list"),
        pytest.param([], "", id="empty list"),
        pytest.param([None, "a"], "a", id="nothing in a list"),
        pytest.param(None, "", id="null"),
        pytest.param({"a": 1}, "", id="object"),
        pytest.param([{"a": 1}, "x"], "", id="an object in a list"),
        pytest.param([["a"]], "", id="a list in a list"),
        pytest.param("", "", id="empty text"),
    ],
)
def test_a_claim_is_told_if_it_is_plain(value: object, told: str) -> None:
    assert claimed("it", {"it": value}) == told


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("a.b", "deep"),
        ("absent", ""),
        ("absent.deeper", ""),
        ("many[*].n", "1,2"),
        ('"https://x/y"', "z"),
        ("join('-', words)", "p-q"),
        ("length(number)", ""),
        ("keys(@)[0] != null", "true"),
    ],
)
def test_an_expression_that_finds_nothing_tells_nothing(expression: str, told: str) -> None:
    claims = {
        "a": {"b": "deep"},
        "many": [{"n": 1}, {"n": 2}],
        "https://x/y": "z",
        "words": ["p", "q"],
        "number": 1,
    }
    assert claimed(expression, claims) == told


@pytest.mark.parametrize("method", [Method.NONE, Method.VOUCHED])
def test_who_has_no_token_has_no_claims(method: Method) -> None:
    named = IdentityFields(claims=(("X-Claim", "email"),))
    told = dict(named.of(allowed({}, "x", method=method)))
    nobody = method is Method.NONE
    expected = {"X-Auth-Subject": "" if nobody else "alice", "X-Auth-Roles": "" if nobody else "x"}
    assert told == {**expected, "X-Claim": ""}


def test_what_is_too_long_is_left_out_and_never_cut() -> None:
    named = IdentityFields(claims=(("X-Claim", "it"),), most=25)  # alice has five of them
    fits = {"it": "é" + "a" * 4}  # ten bytes, encoded
    told = dict(named.of(allowed(fits, "ab", "abcdefg")))
    assert (told["X-Auth-Roles"], told["X-Claim"]) == ("ab,abcdefg", "%C3%A9aaaa")
    told = dict(named.of(allowed({"it": "é" + "a" * 5}, "ab", "abcdefg")))
    assert (told["X-Auth-Roles"], told["X-Claim"]) == ("ab,abcdefg", "")
    told = dict(named.of(allowed({"it": "é" + "a" * 5}, "a" * 21)))
    assert list(told.values()) == ["alice", "", "%C3%A9aaaaa"]


def test_the_bound_is_on_all_values_together_in_the_order_of_their_names() -> None:
    named = IdentityFields(claims=tuple((f"X-{n}", f"c{n}") for n in range(14)))
    claims = {f"c{n}": "a" * 900 for n in range(13)} | {"c13": "b"}
    told = dict(named.of(allowed(claims, "member")))
    kept = ["X-Auth-Subject", "X-Auth-Roles", "X-0", "X-1", "X-2", "X-13"]
    assert [name for name, value in told.items() if value] == kept
    assert {told["X-0"], told["X-13"]} == {"a" * 900, "b"}
    header = sum(len(f"{name}: {value}\r\n") for name, value in told.items())
    assert header < 3_500  # nginx's buffer for all of it has 4 kB
    only = IdentityFields(most=4)
    assert only.of(allowed({}, "abc")) == (("X-Auth-Subject", ""), ("X-Auth-Roles", "abc"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_no_claim_breaks_a_header(value: object) -> None:
    told = claimed("it", {"it": value})
    assert re.fullmatch(r"[ -~]*", told)
    assert told == told.strip()
    assert len(told) <= MOST
    if isinstance(value, str) and told:
        assert unquote(told, errors="surrogatepass") == value


def test_other_spellings_are_all_spellings_but_the_right_one() -> None:
    assert respelled(("X-Auth-Roles", "User")) == ("x-auth_roles", "x_auth-roles", "x_auth_roles")
    assert len(respelled(("A-B-C-D-E",))) == 15
