"""`revoked.csv`: every row kind, every mistake, and what a revocation does to a known token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from minting import ISSUER, NOW, CountingKeys, claims, default_ring, settings, sign
from msgspec.structs import replace

from pdp.identity.chain import Authenticator, Means
from pdp.identity.lines import MOST_PROBLEMS
from pdp.identity.revocation import FILE, NONE, Revocations, read_revocations
from pdp.identity.settings import AuthenticationSettings
from pdp.model import Credentials, Identity, Method, Reason, Rejected

REVOKED = Rejected(Reason.TOKEN_REVOKED)
ALICE = Identity(
    "idp:alice",
    method=Method.BEARER,
    claims={"jti": "t-1", "sid": "s-1", "iat": 1_000_000_000},
    kid="k1",
)


def good(text: str) -> Revocations:
    revocations, problems = read_revocations(text.encode())
    assert problems == []
    return revocations


def alice(**changed: Any) -> Identity:
    """Alice with other claims, or without those that are None."""
    merged = {**ALICE.claims, **changed}
    return replace(ALICE, claims={k: v for k, v in merged.items() if v is not None})


ROWS: list[tuple[str, bool]] = [
    ("# nothing", False),
    ("\n\n  # nothing\n\r\n", False),
    ("jti, t-1", True),
    ("jti,t-1", True),
    ("  jti ,\tt-1  \r\n", True),
    ("jti, t-11", False),
    ("jti, T-1", False),
    ("jti, s-1", False),
    ("# first\rjti, t-1\r", True),
    ("sid, s-1", True),
    ("sid, s-2", False),
    ("kid, k1", True),
    ("kid, k2", False),
    ("sub, idp:alice", True),
    ('sub, "idp:alice"', True),
    ("sub, alice", False),  # the id has the issuer's prefix
    ("sub, idp:alice\u00e9", False),
    ("sub, bob\nsub, idp:alice\nsub, carol", True),
    ("issued_before, idp:alice, 1000000001", True),
    ("issued_before, idp:alice, 1000000000.5", True),
    ("issued_before, idp:alice, 1000000000", False),
    ("issued_before, bob, 2000000000", False),
    ("issued_before, idp:alice, 2001-09-09T01:46:41Z", True),
    ("issued_before, idp:alice, 2001-09-09t01:46:41z", True),
    ("issued_before, idp:alice, 2001-09-09 03:46:41+02:00", True),
    ("issued_before, idp:alice, 2001-09-09T01:46:40.000001Z", True),
    ("issued_before, idp:alice, 2001-09-09T01:46:40Z", False),
    ("issued_before, idp:alice, 2001-09-09T03:46:40+02:00", False),
    ("issued_before, idp:alice, 1\nissued_before, idp:alice, 1000000001", True),
    ("issued_before, idp:alice, 1000000001\nissued_before, idp:alice, 1", True),
]


@pytest.mark.parametrize(("text", "revoked"), ROWS)
def test_a_row_revokes_exactly_what_it_names(text: str, *, revoked: bool) -> None:
    assert (good(text).refusal(ALICE) is not None) is revoked


@pytest.mark.parametrize(
    ("text", "changed", "revoked"),
    [
        ("issued_before, idp:alice, 1", {"iat": None}, True),  # who knows when
        ("issued_before, idp:alice, 0", {"iat": None}, True),
        ("issued_before, idp:alice, 5", {"iat": 4.5}, True),
        ("jti, 17", {"jti": 17}, True),
        ("jti, True", {"jti": True}, False),
        ("jti, 17", {"jti": 17.0}, False),
        ("jti, 17", {"jti": ["17"]}, False),
        ("jti, 17", {"jti": {"17": 1}}, False),
        ("jti, 17", {"jti": 10**900}, False),
        ("jti, t-1", {"jti": None}, False),
        ("sid, 5", {"sid": 5}, True),
    ],
)
def test_claims_of_any_type_are_judged(
    text: str, changed: dict[str, Any], *, revoked: bool
) -> None:
    assert (good(text).refusal(alice(**changed)) is not None) is revoked


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ('sub, "cn=alice,ou=x"', "cn=alice,ou=x"),
        ('sub, "al""ice"', 'al"ice'),
        ('sub, "alice #1"', "alice #1"),
        ('sub,"alice"', "alice"),
        ("sub, alice#1", "alice#1"),
        ('sub, "#alice"', "#alice"),
    ],
)
def test_every_subject_can_be_written(text: str, subject: str) -> None:
    assert good(text).sub == {subject}


def test_a_key_without_a_name_is_revoked_by_none() -> None:
    assert good("kid, None\nkid, k").refusal(replace(ALICE, kid=None)) is None


TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"
BAD: list[tuple[bytes, str, int | None, str]] = [
    (b"", "empty-file", None, "is empty"),
    (b" \n\r\n", "empty-file", None, "is empty"),
    (b"\xef\xbb\xbf# x", "byte-order-mark", 1, "byte-order mark"),
    (b"# x\nsub, \xff", "not-utf8", 2, "not UTF-8"),
    (b"alice", "unknown-revocation", 1, "unknown kind `alice`"),
    (b"SUB, alice", "unknown-revocation", 1, "unknown kind `SUB`"),
    (b"p, alice, /x, GET", "unknown-revocation", 1, "`p`"),
    (b", alice", "unknown-revocation", 1, "unknown kind"),
    (b"sub", "short-row", 1, "0 values"),
    (b"sub, alice, left us", "long-row", 1, "2 values"),
    (b"sub, cn=alice,ou=x", "long-row", 1, "2 values"),
    (b"issued_before, alice", "short-row", 1, "1 values"),
    (b"issued_before, alice, 1, 2", "long-row", 1, "3 values"),
    (b"jti,", "empty-value", 1, "names nothing"),
    (b'sub, ""', "empty-value", 1, "names nothing"),
    (b"issued_before, , 1", "empty-value", 1, "names nothing"),
    (b"sub, al\x00ice", "bad-value", 1, "control character"),
    (b"sub, al\xe2\x80\xa8ice", "bad-value", 1, "control character"),
    (b"sub, alice # left us", "remark-in-row", 1, "comment"),
    (b"sub, #alice", "remark-in-row", 1, "comment"),
    (b'sub, "alice" # left us', "remark-in-row", 1, "comment"),
    (b'sub, "alice', "bad-quotes", 1, "quote"),
    (b'sub, "alice" x', "bad-quotes", 1, "quote"),
    (f"jti, {TOKEN}".encode(), "whole-token", 1, "whole token"),
    (f"issued_before, {TOKEN}, 1".encode(), "whole-token", 1, "whole token"),
    (TOKEN.encode(), "unknown-revocation", 1, "unknown kind"),
    *(
        (f"issued_before, alice, {time}".encode(), "bad-time", 1, "holds no time")
        for time in (
            "",
            "now",
            "-1",
            "1e9",
            "1_0",
            "nan",
            "1700000000000",  # milliseconds
            "999999999999",
            "\u0661",
            "2026-01-31",
            "2026-01-31T12:00:00",  # of which zone?
            "2026-01-31T12:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T25:00:00Z",
            "2026-01-31T12:00:00+25:00",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "31.01.2026",
        )
    ),
]


@pytest.mark.parametrize(("data", "code", "line", "part"), BAD)
def test_a_mistake_is_a_problem_with_its_place_and_help(
    data: bytes, code: str, line: int | None, part: str
) -> None:
    revocations, (problem,) = read_revocations(data)
    assert (problem.file, problem.line, problem.code) == (FILE, line, code)
    assert part in problem.message
    assert problem.help
    assert "eyJ" not in repr(problem)
    assert revocations == NONE


def test_good_rows_count_beside_bad_ones_and_all_mistakes_are_told() -> None:
    text = b"\xef\xbb\xbfsub, alice\nsbu, bob\nsub, carol\njti\n\xff\nkid, k9"
    revocations, problems = read_revocations(text, "r.csv")
    assert revocations == Revocations(sub=frozenset({"alice", "carol"}), kid=frozenset({"k9"}))
    told = [(p.file, p.line, p.code) for p in problems]
    assert told == [
        ("r.csv", 1, "byte-order-mark"),
        ("r.csv", 2, "unknown-revocation"),
        ("r.csv", 4, "short-row"),
        ("r.csv", 5, "not-utf8"),
    ]
    assert problems[1].help == "did you mean `sub`?"


def test_the_problems_told_are_bounded() -> None:
    _, problems = read_revocations(b"x\n" * 5_000)
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].message == f"has {5_000 - MOST_PROBLEMS} further problems"


NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12
).filter(lambda name: name == name.strip())


@given(st.binary(max_size=300))
@example(b'sub,"' + b"x" * 140_000 + b'"')  # csv has a bound of its own
def test_nothing_is_raised_whatever_the_file_holds(data: bytes) -> None:
    revocations, problems = read_revocations(data)
    assert revocations.size <= data.count(b",")
    assert all(problem.file == FILE and problem.code for problem in problems)


@given(
    st.lists(
        st.sampled_from(
            ["jti", "sub", ",", '"', "#", " ", "\n", "\r", "1", "\x00", "issued_before"]
        )
    )
)
def test_nothing_is_raised_by_what_nearly_is_a_file(parts: list[str]) -> None:
    read_revocations("".join(parts).encode())


@given(st.sampled_from(["jti", "sub", "sid", "kid"]), NAMES)
def test_a_quoted_name_is_read_as_it_stands(kind: str, name: str) -> None:
    doubled = name.replace('"', '""')
    assert getattr(good(f'{kind}, "{doubled}"'), kind) == {name}


TIMES = st.dictionaries(st.sampled_from("abc"), st.floats(0, 9))
SETS = st.frozensets(st.sampled_from("abc"))
ANY = st.builds(Revocations, SETS, SETS, SETS, SETS, SETS, TIMES)


@given(ANY, ANY, st.sampled_from("abc"), st.sampled_from("abc"), st.floats(0, 9))
def test_a_union_revokes_what_either_revokes(
    one: Revocations, other: Revocations, subject: str, jti: str, iat: float
) -> None:
    who = Identity(subject, method=Method.BEARER, claims={"jti": jti, "iat": iat})
    either = {one.refusal(who), other.refusal(who)} - {None}
    found = (one | other).refusal(who)
    assert found in either if either else found is None


def test_an_account_that_is_closed_is_told_apart() -> None:
    closed = good("account, idp:alice")
    for method in Method:
        who = Identity("idp:alice", method=method)
        assert closed.refusal(who) is Reason.ACCOUNT_DISABLED


@pytest.mark.parametrize(("method", "revoked"), [(Method.BEARER, True), (Method.API_KEY, False)])
def test_only_tokens_are_revoked_by_when_they_were_issued(method: Method, revoked: bool) -> None:
    found = good("issued_before, idp:alice, 9").refusal(Identity("idp:alice", method=method))
    assert (found is not None) is revoked


def authenticator(revocations: Revocations = NONE) -> Authenticator:
    section = AuthenticationSettings(issuers=(settings(subject_prefix="idp:"),))
    return Authenticator(section, Means({ISSUER: CountingKeys(default_ring())}), revocations)


@pytest.mark.parametrize(
    "row", ["jti, t", "sub, idp:alice", "sid, s", "kid, k1", "issued_before, idp:alice, 9"]
)
async def test_a_revocation_counts_at_once_for_a_token_that_is_known(row: str) -> None:
    chain = authenticator()
    mine = Credentials(token=sign(claims(jti="t", sid="s", iat=8)))
    assert isinstance(await chain.authenticate(mine, NOW), Identity)
    chain.revocations = good(row)
    assert await chain.authenticate(mine, NOW) == REVOKED
    assert await chain.authenticate(mine, NOW) == REVOKED
    chain.revocations = NONE
    assert isinstance(await chain.authenticate(mine, NOW), Identity)


async def test_other_tokens_stay_good() -> None:
    chain = authenticator(good("jti, t\nsub, alice\nsub, idp:bob\nkid, k2"))
    who = await chain.authenticate(Credentials(token=sign(claims(jti="u"))), NOW)
    assert isinstance(who, Identity)


async def test_a_revoked_token_that_is_not_good_either_is_told_for_what_it_is() -> None:
    chain = authenticator(good("sub, idp:alice"))
    late = Credentials(token=sign(claims(exp=1)))
    assert await chain.authenticate(late, NOW) == Rejected(Reason.TOKEN_EXPIRED)
