"""`users.htpasswd`: which hashes are good enough, every mistake, and what unknown names cost."""

from __future__ import annotations

from collections import Counter

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from hypothesis import given
from hypothesis import strategies as st

from pdp.errors import Problem, Severity
from pdp.identity.hashes import Work, work_of
from pdp.identity.htpasswd import Users, read_users
from pdp.identity.lines import MOST_PROBLEMS

FILE = "users.htpasswd"
KEY = b"k" * 32
SALT = "A" * 22
DIGEST = "A" * 43
BCRYPT = bcrypt.hashpw(b"secret", bcrypt.gensalt(8)).decode()
OTHER = bcrypt.hashpw(b"secret", bcrypt.gensalt(8)).decode()
ARGON2 = PasswordHasher(1, 7168, 1).hash("secret")
ARGON2I = PasswordHasher(1, 7168, 1, type=Type.I).hash("secret")


def argon2(parameters: str = "m=65536,t=3,p=4", kind: str = "argon2id", version: str = "19") -> str:
    return f"${kind}$v={version}${parameters}${SALT}${DIGEST}"


def good(text: str) -> Users:
    users, problems = read_users(text.encode(), FILE)
    assert problems == []
    return users


def one(text: str | bytes) -> Problem:
    """The only problem of a file that holds no user."""
    users, (problem,) = read_users(text if isinstance(text, bytes) else text.encode(), FILE)
    assert users == Users()
    return problem


@pytest.mark.parametrize(
    "text",
    [
        "alice:{}",
        "  alice:{}  \r\n",
        "alice: {}",
        "# users\n\nalice:{}\n",
        "#bob:x\ralice:{}\r",
        "alice:{}\n# bob:plain",
    ],
)
def test_a_row_is_a_name_and_a_hash(text: str) -> None:
    users = good(text.format(BCRYPT))
    assert users.size == 1
    assert users.find("alice") == BCRYPT
    assert (
        users.find("Alice") is users.find("alice ") is users.find("") is users.find("bob") is None
    )


@pytest.mark.parametrize(
    "name", ["alice", "a b", "caf\u00e9", "x" * 255, "a@b.c", "\U0001f600", "a#"]
)
def test_names_are_taken_as_they_stand(name: str) -> None:
    assert good(f"{name}:{BCRYPT}").find(name) == BCRYPT


@pytest.mark.parametrize(
    "encoded",
    [
        *(f"$2{kind}{BCRYPT[3:]}" for kind in "aby"),
        *(f"$2b${cost}{BCRYPT[6:]}" for cost in ("08", "12", "15")),
        ARGON2,
        ARGON2I,
        argon2(),
        argon2("m=7168,t=1,p=1"),
        argon2("m=262144,t=10,p=8"),
        argon2(kind="argon2i"),
        f"$argon2id$v=19$m=7168,t=1,p=1${'A' * 11}${'A' * 22}",
        f"$argon2id$v=19$m=7168,t=1,p=1${'A' * 86}${'A' * 86}",
    ],
)
def test_bcrypt_and_argon2_are_accepted_within_bounds(encoded: str) -> None:
    assert good(f"alice:{encoded}").find("alice") == encoded


STRAY_SALT = BCRYPT[:28] + "P" + BCRYPT[29:]
STRAY_DIGEST = BCRYPT[:-1] + "/"
BAD_HASHES: list[tuple[str, str, str]] = [
    ("$apr1$8sFt66rZ$EATIUZzAcwyxvHW8tEmWD1", "weak-hash", "apr1 MD5"),
    ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "weak-hash", "SHA-1"),
    ("$1$8sFt66rZ$EATIUZzAcwyxvHW8tEmWD1", "weak-hash", "MD5"),
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "weak-hash", "SHA-256 crypt"),
    ("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO", "weak-hash", "SHA-512 crypt"),
    ("$2x$12" + BCRYPT[6:], "weak-hash", "broken kind"),
    (argon2(kind="argon2d"), "weak-hash", "argon2d"),
    ("rl.3StKT.4T8M", "weak-hash", "neither"),  # DES crypt
    ("correct horse", "weak-hash", "neither"),
    ("", "weak-hash", "neither"),
    ("$2$10" + BCRYPT[6:], "weak-hash", "neither"),
    ("$2b$07" + BCRYPT[6:], "weak-hash", "its cost is below 8"),
    ("$2b$04" + BCRYPT[6:], "weak-hash", "its cost is below 8"),
    ("$2b$16" + BCRYPT[6:], "costly-hash", "its cost is over 15"),
    ("$2b$31" + BCRYPT[6:], "costly-hash", "its cost is over 15"),
    ("$2b$8" + BCRYPT[6:], "bad-hash", "no whole bcrypt"),
    ("$2b$\u0661\u0662" + BCRYPT[6:], "bad-hash", "no whole bcrypt"),
    (BCRYPT[:-1], "bad-hash", "no whole bcrypt"),
    (BCRYPT + "x", "bad-hash", "no whole bcrypt"),
    (BCRYPT + ":1000:staff", "bad-hash", "no whole bcrypt"),
    (BCRYPT + " # left us", "bad-hash", "no whole bcrypt"),
    (STRAY_SALT, "bad-hash", "no whole bcrypt"),
    (STRAY_DIGEST, "bad-hash", "no whole bcrypt"),
    (argon2("m=7167,t=3,p=1"), "weak-hash", "memory in KiB is below 7168"),
    (argon2("m=8,t=1,p=1"), "weak-hash", "memory"),
    (argon2("m=262145,t=1,p=1"), "costly-hash", "memory in KiB is over 262144"),
    (argon2("m=4294967295,t=1,p=1"), "costly-hash", "memory"),
    (argon2("m=65536,t=11,p=1"), "costly-hash", "passes is over 10"),
    (argon2("m=65536,t=3,p=9"), "costly-hash", "lanes is over 8"),
    (argon2("m=65536,t=0,p=1"), "bad-hash", "no whole argon2"),
    (argon2("m=065536,t=3,p=1"), "bad-hash", "no whole argon2"),
    (argon2("t=3,m=65536,p=1"), "bad-hash", "no whole argon2"),
    (argon2("m=65536,t=3,p=1,keyid=x"), "bad-hash", "no whole argon2"),
    (argon2(version="16"), "bad-hash", "no whole argon2"),
    (ARGON2.replace("v=19$", ""), "bad-hash", "no whole argon2"),
    (ARGON2[:-1] + "_", "bad-hash", "no whole argon2"),
    (argon2()[:-1] + "B", "bad-hash", "no whole argon2"),  # stray bits
    (argon2() + "AA", "bad-hash", "no whole argon2"),  # of no length that base64 has
    (ARGON2 + "=", "bad-hash", "no whole argon2"),
    (f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 10}${DIGEST}", "bad-hash", "no whole argon2"),
    (f"$argon2id$v=19$m=65536,t=3,p=4${SALT}${'A' * 21}", "bad-hash", "no whole argon2"),
    (f"$argon2id$v=19$m=65536,t=3,p=4${SALT}", "bad-hash", "no whole argon2"),
]


@pytest.mark.parametrize(("encoded", "code", "part"), BAD_HASHES)
def test_other_hashes_are_errors_that_quote_nothing(encoded: str, code: str, part: str) -> None:
    problem = one(f"# users\nalice:{encoded}")
    assert (problem.file, problem.line, problem.code) == (FILE, 2, code)
    assert problem.severity is Severity.ERROR
    assert part in problem.message
    assert "htpasswd -B -C 12" in problem.help
    assert "argon2" in problem.help
    assert not encoded or encoded not in repr(problem)
    assert "alice" not in repr(problem)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b"", "empty-file", None),
        (b" \r\n\n", "empty-file", None),
        (b"alice", "short-row", 1),
        (BCRYPT.encode(), "short-row", 1),
        (b"# x\n\xff:x", "not-utf8", 2),
        (b"\xef\xbb\xbf# x", "byte-order-mark", 1),
        *(
            (f"{name}:{BCRYPT}".encode(), "bad-name", 1)
            for name in (
                "",
                "anonymous",
                "al\x00ice",
                "al\tice",
                "al\u2028ice",
                "al\x85x",
                "alice ",
            )
        ),
        (f"{'x' * 256}:{BCRYPT}".encode(), "bad-name", 1),
    ],
)
def test_a_mistake_is_a_problem_with_its_place_and_help(
    text: bytes, code: str, line: int | None
) -> None:
    problem = one(text)
    assert (problem.file, problem.line, problem.code) == (FILE, line, code)
    assert problem.help
    assert BCRYPT not in repr(problem)


def test_a_name_that_occurs_twice_is_nobodys() -> None:
    text = f"alice:{BCRYPT}\nbob:{BCRYPT}\nalice:{OTHER}\n# x\nalice:{OTHER}\n"
    users, problems = read_users(text.encode(), FILE)
    assert [(p.line, p.code) for p in problems] == [(3, "duplicate-name"), (5, "duplicate-name")]
    assert "line 1" in problems[0].message
    assert "line 1" in problems[1].message
    assert users == good(f"bob:{BCRYPT}")


def test_a_name_counts_as_seen_even_with_a_hash_that_is_no_good() -> None:
    users, problems = read_users(f"alice:plain\nalice:{BCRYPT}".encode(), FILE)
    assert [p.code for p in problems] == ["weak-hash", "duplicate-name"]
    assert users.size == 0


@pytest.mark.parametrize(
    ("hashes", "lines"),
    [
        ([BCRYPT, OTHER], []),
        ([BCRYPT, OTHER.replace("$2b$", "$2y$")], []),  # the same work
        ([ARGON2, ARGON2, argon2("m=7168,t=1,p=1")], []),
        ([ARGON2, f"$argon2id$v=19$m=7168,t=1,p=1${'A' * 11}${DIGEST}"], []),
        ([BCRYPT, OTHER, "$2b$12" + BCRYPT[6:], "$2b$13" + BCRYPT[6:]], [3]),
        ([BCRYPT, ARGON2], [2]),
        ([ARGON2, ARGON2I], [2]),
        ([ARGON2, argon2("m=7168,t=1,p=2")], [2]),
    ],
)
def test_rows_of_other_work_are_a_warning(hashes: list[str], lines: list[int]) -> None:
    text = "\n".join(f"user{n}:{encoded}" for n, encoded in enumerate(hashes))
    users, problems = read_users(text.encode(), FILE)
    assert [(p.line, p.code) for p in problems] == [(line, "mixed-costs") for line in lines]
    assert all(p.severity is Severity.WARNING and p.help for p in problems)
    assert users.size == len(hashes)


def test_the_problems_told_are_bounded() -> None:
    _, problems = read_users(b"x\n" * 5_000, FILE)
    assert len(problems) == MOST_PROBLEMS + 1


def test_what_two_files_have_in_common_is_what_stayed() -> None:
    before = good(f"alice:{BCRYPT}\nbob:{BCRYPT}\ncarol:{BCRYPT}")
    after = good(f"alice:{BCRYPT}\nbob:{OTHER}\ndave:{BCRYPT}")
    assert before & after == after & before == good(f"alice:{BCRYPT}")
    assert before & before == before
    assert before & Users() == Users()
    assert before != after


def test_the_repr_tells_nothing() -> None:
    users = good(f"alice:{BCRYPT}\nbob:{ARGON2}".replace(BCRYPT, ARGON2))
    assert "argon2" not in repr(users)
    assert "alice" not in repr(users)
    assert all(row.encoded not in repr(row) for row in users.rows.values())


def test_a_decoy_takes_the_work_of_some_row_and_is_a_names_own() -> None:
    dear = "$2b$10" + BCRYPT[6:]
    users, _ = read_users(f"a:{BCRYPT}\nb:{dear}\nc:{dear}\nd:{ARGON2}".encode(), FILE)
    decoys = [users.decoy(f"nobody{n}", KEY) for n in range(4_000)]
    assert len(set(decoys)) == 4_000
    spread = Counter(work_of(decoy) for decoy in decoys)
    expected = {work_of(BCRYPT): 1_000, work_of(dear): 2_000, work_of(ARGON2): 1_000}
    assert set(spread) == set(expected)
    assert all(abs(spread[work] - n) < 200 for work, n in expected.items())
    assert decoys == [users.decoy(f"nobody{n}", KEY) for n in range(4_000)]
    assert decoys != [users.decoy(f"nobody{n}", b"other") for n in range(4_000)]


def test_where_there_are_no_users_a_decoy_is_dear_enough() -> None:
    assert work_of(Users().decoy("alice", KEY)) == Work("$2b$12$", 16, 23)


@given(st.integers(8, 64), st.integers(16, 64), st.binary(max_size=8))
def test_every_decoy_is_a_hash_of_its_work(salt: int, digest: int, seed: bytes) -> None:
    work = Work("$argon2id$v=19$m=7168,t=1,p=1$", salt, digest)
    assert work_of(work.decoy(seed)) == work


@given(st.binary(max_size=300))
def test_nothing_is_raised_whatever_the_file_holds(data: bytes) -> None:
    users, problems = read_users(data, FILE)
    assert users.size == 0
    assert all(p.file == FILE and p.code for p in problems)


PARTS = [":", "a", "#", "\n", "$2b$", "$2y$10$", SALT, DIGEST, "$argon2id$", "v=19$m=7168,t=1,p=1$"]


@given(st.lists(st.sampled_from([*PARTS, BCRYPT, ARGON2])))
def test_nothing_is_raised_by_what_nearly_is_a_file(parts: list[str]) -> None:
    users, problems = read_users("".join(parts).encode(), FILE)
    told = repr(users) + repr(problems)
    assert BCRYPT not in told
    assert ARGON2 not in told
