"""`api-keys.csv`: every row, every mistake, whose a key is, and what two files both say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.config import decode, parse_toml
from pdp.identity.api_keys import COLUMNS, FILE, PREFIX, ApiKeys, ApiKeySettings, read_api_keys
from pdp.model import Identity, Method, Reason, Rejected

NOW = 1_750_000_000.0
INVALID = Rejected(Reason.API_KEY_INVALID)
KEY = PREFIX + "k" * 43  # as `pdp key new` makes them
OTHER = "another-key"


def sha(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


D, E = sha(KEY), sha(OTHER)


def good(text: str) -> ApiKeys:
    keys, problems = read_api_keys(text.encode())
    assert problems == []
    return keys


def whose(text: str, key: str = KEY, now: float = NOW) -> Identity | None:
    found = good(text).find(key, now)
    return None if found == INVALID else found  # type: ignore[return-value] # nothing else is refused


def given_as(
    subject: str = "alice",
    roles: tuple[str, ...] = (),
    expires: float | None = None,
    key_id: str = "ci",
) -> Identity:
    return Identity(
        subject, method=Method.API_KEY, roles=roles, expires=expires, key_id=key_id
    )  # fmt: skip


ROWS: list[tuple[str, Identity | None]] = [
    ("# nobody", None),
    (f"ci,{D},alice", given_as()),
    (f"ci,{D},alice,,,", given_as()),
    (f"ci,{D.upper()},alice", given_as()),
    (f"  ci ,\t{D} , alice ,  , ,  \r\n", given_as()),
    (f"ci,{D},alice,member", given_as(roles=("member",))),
    (f"ci,{D},alice,b; a ;b", given_as(roles=("b", "a"))),
    (f'ci,{D},alice,"x,y;z"', given_as(roles=("x,y", "z"))),
    (f"ci,{D},alice,,1750000001", given_as(expires=NOW + 1)),
    (f"ci,{D},alice,,1750000000.5", given_as(expires=NOW + 0.5)),
    (f"ci,{D},alice,,1750000000", None),  # not after that moment, and not at it
    (f"ci,{D},alice,,2025-06-15T15:06:40Z", None),
    (f"ci,{D},alice,,2025-06-15T15:06:41Z", given_as(expires=NOW + 1)),
    (f"ci,{D},alice,,2025-06-15T17:06:41+02:00", given_as(expires=NOW + 1)),
    (f"ci,{D},alice,,0", None),
    (f"ci,{D},alice,,,false", given_as()),
    (f"ci,{D},alice,,,true", None),
    (f"ci,{D},alice,,1750000001,true", None),
    (f'"#1",{D},"cn=alice,ou=""x"" #2"', given_as('cn=alice,ou="x" #2', key_id="#1")),
    (f"id,sha256,subject,roles,not_after,disabled\nci,{D},alice", given_as()),
    (f"\n# keys\n id, sha256, subject, roles, not_after, disabled\rci,{D},alice\r", given_as()),
    (f"two,{E},bob\nci,{D},alice", given_as()),
    (f"ci,{E},alice", None),
]


@pytest.mark.parametrize(("text", "identity"), ROWS)
def test_a_row_says_whose_a_key_is_and_until_when(text: str, identity: Identity | None) -> None:
    assert whose(text) == identity


def test_two_keys_of_one_subject_are_both_good() -> None:
    keys = good(f"old,{D},alice\nnew,{E},alice")
    found = [keys.find(key, NOW) for key in (KEY, OTHER)]
    assert found == [given_as(key_id="old"), given_as(key_id="new")]


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", KEY[:-1], KEY + "k", KEY.upper(), f" {KEY}", f"{KEY} ", f"{KEY}\n", D, "ci"),
        *("\x00", "\x7f", "kéy", "\udcff", "pdp_\u202e", "k" * 1_025, "k" * 1_000_000),
    ],
)
def test_no_other_key_will_do(key: str) -> None:
    assert good(f"ci,{D},alice").find(key, NOW) == INVALID


@pytest.mark.parametrize("key", ["!", "~" * 1_024, "a,b;c\"d'e", '"' * 9])
def test_keys_of_any_maker_are_good_up_to_a_length(key: str) -> None:
    assert whose(f"ci,{sha(key)},alice", key) == given_as()


@pytest.mark.parametrize("key", ["k" * 1_025, "with blank", "kéy", "tab\tbed"])
def test_a_digest_of_what_cannot_be_a_key_opens_nothing(key: str) -> None:
    assert whose(f"ci,{sha(key)},alice", key) is None


HEADER = ",".join(COLUMNS)
BAD: list[tuple[str, str, int | None]] = [
    ("", "empty-file", None),
    (" \n\r\n", "empty-file", None),
    (f"{HEADER},more", "bad-header", 1),
    ("id,sha256,subject", "bad-header", 1),
    (f"# x\n{HEADER.upper()}", "bad-header", 2),
    ("alice", "short-row", 1),
    (f"ci,{D}", "short-row", 1),
    (f"ci,{D},", "empty-value", 1),
    (f"ci,{D},alice,,,,", "long-row", 1),
    (f"ci,{D},cn=alice,ou=x,o=y,c=z,", "long-row", 1),
    (f",{D},alice", "bad-id", 1),
    (f"c\x00i,{D},alice", "bad-id", 1),
    (f"{'c' * 256},{D},alice", "bad-id", 1),
    ("ci,,alice", "bad-digest", 1),
    (f"ci,{D[:-1]},alice", "bad-digest", 1),
    (f"ci,{D}0,alice", "bad-digest", 1),
    (f"ci,sha256:{D},alice", "bad-digest", 1),
    (f"ci,g{D[1:]},alice", "bad-digest", 1),
    (f"ci,{OTHER},alice", "bad-digest", 1),
    (f"alice,ci,{D}", "bad-digest", 1),
    (f"ci,{KEY},alice", "whole-key", 1),
    (f"{KEY},{D},alice", "whole-key", 1),
    (f"ci,{D},alice,{KEY}", "whole-key", 1),
    (f'ci,"{KEY},alice', "whole-key", 1),
    (KEY, "whole-key", 1),
    (f"{OTHER},{E},alice", "whole-key", 1),
    (f"ci,{E},{OTHER}", "whole-key", 1),
    (f"ci,{D},anonymous", "bad-subject", 1),
    (f"ci,{D},al\x1bice", "bad-subject", 1),
    (f"ci,{D},al\u2028ice", "bad-subject", 1),
    (f"ci,{D},{'a' * 256}", "bad-subject", 1),
    (f"ci,{D},alice,a;", "bad-role", 1),
    (f"ci,{D},alice,;", "bad-role", 1),
    (f"ci,{D},alice,a; ;b", "bad-role", 1),
    (f"ci,{D},alice,anonymous", "bad-role", 1),
    (f"ci,{D},alice,a\x00", "bad-role", 1),
    (f"ci,{D},alice,,,yes", "bad-value", 1),
    (f"ci,{D},alice,,,TRUE", "bad-value", 1),
    (f"ci,{D},alice,,,1", "bad-value", 1),
    (f"ci,{D},alice # hers", "remark-in-row", 1),
    (f'ci,{D},"alice', "bad-quotes", 1),
    *(
        (f"ci,{D},alice,,{time}", "bad-time", 1)
        for time in ("never", "-1", "1e9", "nan", "1700000000000", "2026-01-31", "90d")
    ),
    *((f"ci,{D},alice,,{time}", "bad-time", 1) for time in ("2026-01-31T12:00:00", "true")),
]


@pytest.mark.parametrize(("text", "code", "line"), BAD)
def test_a_mistake_is_a_problem_with_its_place_and_help(
    text: str, code: str, line: int | None
) -> None:
    keys, (problem,) = read_api_keys(text.encode(), "k.csv")
    assert (problem.file, problem.line, problem.code) == ("k.csv", line, code)
    assert problem.help
    assert keys == ApiKeys()
    assert keys.size == 0


@pytest.mark.parametrize(("text", "code", "line"), BAD)
def test_no_problem_quotes_what_may_be_a_secret(text: str, code: str, line: int | None) -> None:
    keys, problems = read_api_keys(text.encode())
    shown = repr((keys, problems)).replace("`anonymous`", "").replace(HEADER, "").replace(FILE, "")
    for part in (KEY, OTHER, D, E, "alice", "anonymous"):
        assert part not in shown


def test_nothing_shows_digests() -> None:
    keys = good(f"ci,{D},alice")
    assert D not in repr(keys)
    assert repr(bytes.fromhex(D))[2:20] not in repr(keys) + repr(keys.find(KEY, NOW))


@pytest.mark.parametrize(
    ("rows", "problems", "live"),
    [
        ([f"ci,{D},alice", f"ci,{E},alice"], [(2, "duplicate-id")], {}),
        ([f"ci,{D},alice", f"c2,{D},alice"], [(2, "duplicate-digest")], {}),
        ([f"ci,{D},alice", f"ci,{D},alice"], [(2, "duplicate-id")], {}),
        ([f"ci,{D},alice", f"ci,{D},alice,,,true"], [(2, "duplicate-id")], {}),
        ([f"ci,{D},alice,,,true", f"ci,{D},alice"], [(2, "duplicate-id")], {}),
        ([f"ci,{D},alice", f"ci,{D},alice,,,yes"], [(2, "duplicate-id")], {}),
        ([f"ci,{D},alice,,,yes", f"ci,{D},alice"], [(1, "bad-value"), (2, "duplicate-id")], {}),
        ([f"ci,{D},alice", "ci,?,alice"], [(2, "bad-digest")], {}),
        ([f"ci,{D},alice", "ci"], [(2, "short-row")], {}),
        ([f"ci,{D},alice", f"c2,{E},bob", f"ci,{E},bob"], [(3, "duplicate-id")], {}),
        ([f"ci,{D},alice", f"CI,{E},alice"], [], {KEY: "alice", OTHER: "alice"}),
        ([f"ci,{D},alice", "?", f"c2,{E},bob"], [(2, "short-row")], {KEY: "alice", OTHER: "bob"}),
        ([f"ci,{D},alice,,x", f"c2,{E},bob"], [(1, "bad-time")], {OTHER: "bob"}),
    ],
)
def test_where_two_rows_could_be_meant_neither_counts(
    rows: list[str], problems: list[tuple[int, str]], live: dict[str, str]
) -> None:
    keys, told = read_api_keys("\n".join(rows).encode())
    assert [(p.line, p.code) for p in told] == problems
    found = {key: keys.find(key, NOW) for key in (KEY, OTHER)}
    assert {k: v.id for k, v in found.items() if isinstance(v, Identity)} == live
    assert keys.size == len(live)


def test_all_mistakes_are_told() -> None:
    text = b"\xef\xbb\xbfci\n" + f"c1,{D},alice\nc2,{D}x,bob\n".encode() + b"\xff\nc3,,x"
    keys, problems = read_api_keys(text)
    assert [(p.line, p.code) for p in problems] == [
        (1, "byte-order-mark"),
        (1, "short-row"),
        (3, "bad-digest"),
        (4, "not-utf8"),
        (5, "bad-digest"),
    ]
    assert keys.size == 1


def test_every_role_that_is_asserted_is_known() -> None:
    keys = good(f"a,{D},alice,x;y\nb,{E},bob,y;z\nc,{sha('z')},carol,w,,true")
    assert keys.roles == {"x", "y", "z"}


BOTH: list[tuple[str, str, Identity | None]] = [
    (f"ci,{D},alice,r", f"ci,{D},alice,r", given_as(roles=("r",))),
    (f"ci,{D},alice", "# none", None),
    (f"ci,{D},alice", f"ci,{E},alice", None),
    (f"ci,{D},alice", f"ci,{D},alice,,,true", None),
    (f"ci,{D},alice", f"ci,{D},bob", None),
    (f"ci,{D},alice", f"c2,{D},alice", None),
    (f"ci,{D},alice", f"ci,{D},alice,r", None),
    (f"ci,{D},alice,r;s", f"ci,{D},alice,s;r", None),
    (f"ci,{D},alice,,1750000009", f"ci,{D},alice,,1750000005", given_as(expires=NOW + 5)),
    (f"ci,{D},alice", f"ci,{D},alice,,1750000005", given_as(expires=NOW + 5)),
    (f"ci,{D},alice", f"ci,{D},alice,,1", None),
    (f"ci,{D},alice,r,1750000005", f"ci,{D},alice,,1750000009", None),
]


@pytest.mark.parametrize(("one", "other", "identity"), BOTH)
def test_what_both_say(one: str, other: str, identity: Identity | None) -> None:
    left, right = good(one), good(other)
    for both in (left & right, right & left):
        assert both.find(KEY, NOW) == (identity or INVALID)
        assert both.find(OTHER, NOW) == INVALID


TEXT = st.text(st.sampled_from("ab"), min_size=1, max_size=2)
ENDS = st.one_of(st.just(""), st.integers(1, 9).map(str))
LINES = st.lists(st.tuples(st.sampled_from("kl"), TEXT, st.sampled_from(["", "r"]), ENDS))


def registry(rows: list[tuple[str, str, str, str]]) -> ApiKeys:
    listed = {key: f"id-{key},{sha(key)},{who},{role},{end}" for key, who, role, end in rows}
    return good("# keys\n" + "\n".join(listed.values()))


@given(LINES, LINES, st.sampled_from("kl"), st.floats(0, 10))
def test_no_key_is_good_by_both_that_is_not_good_by_either(
    one: list[tuple[str, str, str, str]],
    other: list[tuple[str, str, str, str]],
    key: str,
    now: float,
) -> None:
    left, right = registry(one), registry(other)
    found = (left & right).find(key, now)
    assert (left & left) == left
    assert (left & right) == (right & left)
    assert (left & right & left) == (left & right)
    by_each = [side.find(key, now) for side in (left, right)]
    if isinstance(found, Identity):
        said = [(i.id, i.roles, i.key_id) for i in by_each if isinstance(i, Identity)]
        assert said == [(found.id, found.roles, found.key_id)] * 2
        ends = [inf if i.expires is None else i.expires for i in by_each if isinstance(i, Identity)]
        assert (inf if found.expires is None else found.expires) == min(ends)
    elif INVALID not in by_each:
        assert len({(i.id, i.roles) for i in by_each if isinstance(i, Identity)}) == 2


def test_equal_files_are_equal_whatever_their_form() -> None:
    one = good(f"a,{D},alice,r\nb,{E},bob,,0")
    assert one == good(f"{HEADER}\n# x\nb,{E},bob,,1970-01-01T00:00:00Z,false\na, {D},alice, r,,")
    assert one != good(f"a,{D},alice,r\nb,{E},bob,,1")
    assert one.size == 2  # an expired one is still listed


@given(st.binary(max_size=300))
@example(b'ci,"' + b"x" * 140_000 + b'"')  # csv has a bound of its own
def test_nothing_is_raised_whatever_the_file_holds(data: bytes) -> None:
    keys, problems = read_api_keys(data)
    assert keys.size <= data.count(b",")
    assert all(problem.file == FILE and problem.code for problem in problems)


PARTS = ["ci", D, E, KEY, ",", '"', "#", " ", "\n", "\r", ";", "1", "\x00", "true", HEADER]


@given(st.lists(st.sampled_from(PARTS)))
def test_nothing_is_raised_by_what_nearly_is_a_file(parts: list[str]) -> None:
    read_api_keys("".join(parts).encode())


@given(st.text())
def test_nothing_is_raised_whatever_the_key_is(key: str) -> None:
    assert good(f"ci,{D},alice").find(key, NOW) == INVALID


def test_unknown_expired_and_disabled_keys_take_the_time_of_good_ones() -> None:
    rows = [f"id-{n},{sha(f'n{n}')},s{n}" for n in range(2_000)]
    rows += [f"id-end,{sha('end')},a,,1", f"id-off,{sha('off')},a,,,true"]
    keys = good("\n".join(rows))
    asked = {"n7": True, "end": False, "off": False, "no": False}
    for key, is_good in asked.items():
        assert isinstance(keys.find(key, NOW), Identity) is is_good
    times: dict[str, list[float]] = {key: [] for key in asked}
    for _ in range(60):
        for key, measured in times.items():  # in turn, so that all have the same weather
            measured.append(timed(lambda key=key: keys.find(key, NOW)))  # type: ignore[misc]
    best = [*map(min, times.values())]  # of sixty: nobody else was working just then
    assert max(best) < 1.5 * min(best)


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(200):
        call()
    return time.perf_counter() - started


def test_a_long_key_costs_no_more_than_a_short_one() -> None:
    keys = good(f"ci,{D},alice")
    short, long = (
        min(timed(lambda key=key: keys.find(key, NOW)) for _ in range(9))  # type: ignore[misc]
        for key in ("k" * 1_025, "k" * 10_000_000)
    )
    assert long < 5 * short


def test_the_section_names_the_file() -> None:
    table, _ = parse_toml(b'[authentication.api_keys]\nfile = "keys.csv"', "pdp.toml")
    section = table["authentication"]["api_keys"]
    found, problems = decode(ApiKeySettings, section, "pdp.toml", "authentication.api_keys")
    assert (found, problems) == (ApiKeySettings(file="keys.csv"), [])
    assert ApiKeySettings().file == FILE
