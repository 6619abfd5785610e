"""HTTP Basic: what is read, who is let in, and that refusals neither differ nor vary in cost."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher

from pdp.config import decode
from pdp.errors import DeadlineExceeded
from pdp.identity.attempts import Asked
from pdp.identity.basic import Basic, BasicSettings, Users, parse, read_users
from pdp.model import Identity, Method, Reason, Rejected
from pdp.runtime.passwords import PasswordThreads

NOW = 1_800_000_000.0
ADDRESS = "192.0.2.7"
WRONG = Rejected(Reason.PASSWORD_INVALID)
MALFORMED = Rejected(Reason.CREDENTIALS_MALFORMED)
BLOCKED = Rejected(Reason.CLIENT_BLOCKED, 30)
LONGEST = "p" * 72


def hashed(password: str, cost: int = 8) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


ALICE, ALICE_LATER, LONG = hashed("open sesame"), hashed("open sesame"), hashed(LONGEST)
PASSED = PasswordHasher(1, 7168, 1).hash("open sesame")
ROWS = f"alice:{ALICE}\nlong:{LONG}\nAladdin:{ALICE}\n"


def users(text: str) -> Users:
    found, problems = read_users(text.encode(), "users.htpasswd")
    assert [p.code for p in problems] == []
    return found


def basic(name: str, password: str = "open sesame") -> str:  # noqa: S107 - the usual example
    return base64.b64encode(f"{name}:{password}".encode()).decode()


@dataclass
class Source:
    """Users that an edit of the file may replace."""

    live: Users

    def current(self) -> Users:
        return self.live


@dataclass
class Counted:
    """Attempts that block an account after so many failures, for ever."""

    most: int = 1_000
    failures: list[tuple[str, str | None]] = field(default_factory=list)

    def blocked(self, account: str, address: str | None) -> int | None:
        return 30 if self.failures.count((account, address)) >= self.most else None

    def failed(self, account: str, address: str | None) -> None:
        self.failures.append((account, address))


@dataclass
class Door:
    """One authenticator with all that stands around it."""

    verifier: PasswordThreads
    source: Source
    attempts: Counted
    judge: Basic

    async def knock(self, value: str, now: float = NOW) -> Identity | Rejected:
        return await self.judge.authenticate(value, Asked(ADDRESS, now))

    async def spent(self, value: str, now: float = NOW) -> tuple[Identity | Rejected, int]:
        """The answer, and how many hashes it took."""
        before = self.verifier.computed
        return await self.knock(value, now), self.verifier.computed - before


@pytest.fixture
async def threads() -> AsyncIterator[PasswordThreads]:
    verifier = PasswordThreads()
    yield verifier
    await verifier.stop()


def door(threads: PasswordThreads, text: str = ROWS, most: int = 1_000, **settings: Any) -> Door:
    source, attempts = Source(users(text)), Counted(most)
    judge = Basic(BasicSettings(**settings), source, threads, attempts)
    return Door(threads, source, attempts, judge)


@pytest.mark.parametrize(
    ("value", "name", "password"),
    [
        ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),  # RFC 7617 §2
        ("dGVzdDoxMjPCow==", "test", "123\u00a3"),  # RFC 7617 §2.1
        (basic("a", "b:c:"), "a", "b:c:"),
        (basic("a", ""), "a", ""),
        (basic("", "b"), "", "b"),
        ("Og==", "", ""),
        (basic("\U0001f600", "\u00e9"), "\U0001f600", "\u00e9"),
        (basic(" a ", " b "), " a ", " b "),
        (basic("x" * 3_000, "y" * 3_000), "x" * 3_000, "y" * 3_000),
    ],
)
def test_a_name_and_a_password_are_read_as_they_stand(value: str, name: str, password: str) -> None:
    assert parse(value) == (name, password.encode())


BAD = [
    "",
    " ",
    "=",
    "====",
    "QWxhZGRpbg==",  # no colon
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ",  # no padding
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ=",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ===",
    "QWxhZGRpbjpvcGVuIHNlc2FtZR==",  # stray bits
    " QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ== ",
    "QWxhZGRpbjpv cGVuIHNlc2FtZQ==",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==, realm=x",
    "Aladdin:open sesame",
    "username=Aladdin",
    "dGVzdDoxMjPC_w==",  # base64url
    "dGVzdDo\u00e9",
    "dGVzdDoxMjPC",  # not UTF-8
    base64.b64encode(b"test:\xff").decode(),
    base64.b64encode(b"test:\xc0\x80").decode(),
    base64.b64encode(b"test:\xed\xa0\x80").decode(),  # a surrogate
    base64.b64encode("test:x".encode("utf-16")).decode(),
    *(
        base64.b64encode(text).decode()
        for c in (b"\0", b"\t", b"\n", b"\r", b"\x1b", b"\x1f", b"\x7f")
        for text in (b"al" + c + b"ice:open sesame", b"alice:open" + c + b"sesame", b"alice:" + c)
    ),
]


@pytest.mark.parametrize("value", BAD)
async def test_what_cannot_be_read_is_refused_before_anybody_is_looked_at(
    value: str, threads: PasswordThreads
) -> None:
    here = door(threads, most=0)  # everybody is blocked, if it matters
    assert await here.spent(value) == (MALFORMED, 0)
    assert here.attempts.failures == []


@pytest.mark.parametrize("encoded", [ALICE, PASSED], ids=["bcrypt", "argon2"])
async def test_the_right_password_lets_its_user_in(encoded: str, threads: PasswordThreads) -> None:
    here = door(threads, f"alice:{encoded}", subject_prefix="ldap:")
    assert await here.spent(basic("alice")) == (Identity("ldap:alice", method=Method.BASIC), 1)
    assert here.attempts.failures == []


PASSWORDS = {
    "wrong": "open sesame!",
    "empty": "",
    "72": "x" * 72,
    "73": LONGEST + "p",  # bcrypt would look at what is right
    "over 72 in bytes": "\u00e9" * 40,
    "3000": "x" * 3_000,
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
@pytest.mark.parametrize(
    ("known", "text"),
    [("alice", ROWS), ("long", ROWS), ("alice", f"alice:{PASSED}")],
    ids=["bcrypt", "long", "argon2"],
)
async def test_unknown_users_and_wrong_passwords_are_refused_alike(
    known: str, text: str, password: str, threads: PasswordThreads
) -> None:
    here = door(threads, text)
    for name in (known, "nobody", "", "anonymous", "x" * 300):
        here.attempts.failures.clear()
        assert await here.spent(basic(name, password)) == (WRONG, 1)
        assert here.attempts.failures == [(name, ADDRESS)]


async def test_the_longest_password_that_bcrypt_can_tell_is_good(threads: PasswordThreads) -> None:
    here = door(threads)
    assert isinstance(await here.knock(basic("long", LONGEST)), Identity)


async def test_where_there_are_no_users_all_is_as_ever(threads: PasswordThreads) -> None:
    assert await door(threads, "# nobody").spent(basic("alice")) == (WRONG, 1)


class Credulous:
    """A verifier for which every password is good."""

    async def verify(self, password: bytes, encoded: str) -> bool:  # noqa: ARG002
        return True


async def test_a_name_that_is_nobodys_is_refused_even_if_the_verifier_errs() -> None:
    judge = Basic(BasicSettings(), Source(users(ROWS)), Credulous(), Counted())
    assert isinstance(await judge.authenticate(basic("alice", "?"), Asked(ADDRESS, NOW)), Identity)
    assert await judge.authenticate(basic("nobody", "?"), Asked(ADDRESS, NOW)) == WRONG


async def test_names_are_exact(threads: PasswordThreads) -> None:
    here = door(threads)
    for name in ("Alice", "alice ", " alice", "alic", "ALICE", "\uff41lice"):
        assert await here.knock(basic(name)) == WRONG


async def test_a_prefix_makes_nobody_anonymous(threads: PasswordThreads) -> None:
    here = door(threads, f"mous:{ALICE}\nsia:{ALICE}", subject_prefix="anony")
    assert await here.spent(basic("mous")) == (WRONG, 1)
    assert await here.knock(basic("sia")) == Identity("anonysia", method=Method.BASIC)


async def test_nobody_has_a_name_that_only_an_issuers_subjects_have(
    threads: PasswordThreads,
) -> None:
    source = Source(users(f"idp-eve:{ALICE}"))
    judge = Basic(BasicSettings(), source, threads, Counted(9), foreign=("idp-",))
    assert await judge.authenticate(basic("idp-eve"), Asked(None, 0)) == WRONG
    assert threads.computed == 1


async def test_a_success_is_remembered_for_its_time(threads: PasswordThreads) -> None:
    here = door(threads, cache_seconds=60)
    alice = Identity("alice", method=Method.BASIC)
    times = [(0, 1), (1, 0), (59.9, 0), (60, 1), (119.9, 0), (90, 0), (59.9, 1)]
    for after, computed in times:  # at last the clock is set back
        assert await here.spent(basic("alice"), NOW + after) == (alice, computed)


@pytest.mark.parametrize("off", [{"cache_seconds": 0}, {"cache_size": 0}])
async def test_nothing_is_remembered_where_that_is_off(
    off: dict[str, int], threads: PasswordThreads
) -> None:
    here = door(threads, **off)
    assert [(await here.spent(basic("alice")))[1] for _ in range(2)] == [1, 1]


async def test_no_failure_is_remembered_and_no_success_serves_another(
    threads: PasswordThreads,
) -> None:
    here = door(threads)
    assert (await here.spent(basic("alice")))[1] == 1
    for name, password in (
        ("alice", "open sesame "),
        ("alice", "open"),
        ("alic", "eopen sesame"),
        ("Aladdi", "nopen sesame"),
        ("nobody", "open sesame"),
    ):
        assert await here.spent(basic(name, password)) == (WRONG, 1)
        assert await here.spent(basic(name, password)) == (WRONG, 1)
    assert (await here.spent(basic("Aladdin")))[1] == 1  # with the very hash of alice
    assert (await here.spent(basic("alice")))[1] == 0


async def test_names_and_passwords_are_remembered_apart(threads: PasswordThreads) -> None:
    here = door(threads, f"alice:{ALICE}\nal:{ALICE}")
    assert isinstance(await here.knock(basic("alice")), Identity)
    assert await here.spent(basic("al", "iceopen sesame")) == (WRONG, 1)


async def test_the_least_recently_used_success_is_forgotten(threads: PasswordThreads) -> None:
    here = door(threads, f"{ROWS}carol:{ALICE}", cache_size=2)
    asked = [("alice", 1), ("Aladdin", 1), ("alice", 0), ("carol", 1), ("alice", 0), ("Aladdin", 1)]
    assert [(name, (await here.spent(basic(name)))[1]) for name, _ in asked] == asked


async def test_a_row_that_is_gone_or_changed_counts_at_once(threads: PasswordThreads) -> None:
    here = door(threads)
    assert isinstance(await here.knock(basic("alice")), Identity)
    here.source.live = users(f"bob:{ALICE}")
    assert await here.spent(basic("alice")) == (WRONG, 1)
    here.source.live = users(f"alice:{LONG}")
    assert await here.spent(basic("alice")) == (WRONG, 1)
    here.source.live = users(f"alice:{ALICE_LATER}")  # the same password, salted anew
    assert (await here.spent(basic("alice")))[1] == 1
    here.source.live = users(ROWS)
    assert (await here.spent(basic("alice")))[1] == 0


@pytest.mark.parametrize("after", ["# nobody", f"alice:{ALICE_LATER}"])
async def test_a_row_that_changes_during_the_verification_counts(
    after: str, threads: PasswordThreads
) -> None:
    here = door(threads)
    knocking = asyncio.create_task(here.knock(basic("alice")))
    await asyncio.sleep(0)
    assert threads.computed == 1
    here.source.live = users(after)
    assert await knocking == WRONG
    here.source.live = users(ROWS)
    assert (await here.spent(basic("alice")))[1] == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "open sesame"), ("alice", "wrong"), ("nobody", "wrong"), ("alice", LONGEST + "p")],
)
async def test_a_block_comes_before_any_hash(
    name: str, password: str, threads: PasswordThreads
) -> None:
    here = door(threads, most=3)
    here.attempts.failures += [(name, ADDRESS)] * 3
    assert await here.spent(basic(name, password)) == (BLOCKED, 0)
    assert len(here.attempts.failures) == 3
    found = await here.judge.authenticate(basic(name, password), Asked("192.0.2.8", NOW))
    assert found != BLOCKED


async def test_a_block_comes_before_what_is_remembered(threads: PasswordThreads) -> None:
    here = door(threads, most=3)
    assert isinstance(await here.knock(basic("alice")), Identity)
    here.attempts.failures += [("alice", ADDRESS)] * 3
    assert await here.spent(basic("alice")) == (BLOCKED, 0)


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_many_guesses_at_once_are_not_more_guesses(
    name: str, threads: PasswordThreads
) -> None:
    here = door(threads, most=3)
    guesses = [basic(name, f"guess {n}") for n in range(10)] + [basic(name)]
    found = await asyncio.gather(*(here.knock(guess) for guess in guesses))
    assert (found.count(WRONG), found.count(BLOCKED)) == (3, 8)


async def test_too_much_to_do_is_no_failed_login() -> None:
    verifier = PasswordThreads(threads=1, waiting=0)
    here = door(verifier)
    first = asyncio.create_task(here.knock(basic("alice")))
    await asyncio.sleep(0)
    for name in ("alice", "nobody"):
        with pytest.raises(DeadlineExceeded):
            await here.knock(basic(name, "another"))
    assert isinstance(await first, Identity)
    assert here.attempts.failures == []
    await verifier.stop()


async def test_a_page_of_equal_requests_takes_one_hash(threads: PasswordThreads) -> None:
    for name, found in (("alice", Identity("alice", method=Method.BASIC)), ("nobody", WRONG)):
        here = door(threads)
        before = threads.computed
        assert await asyncio.gather(*(here.knock(basic(name)) for _ in range(40))) == [found] * 40
        assert threads.computed - before == 1


async def test_names_that_are_nobodys_share_no_hash_as_users_share_none(
    threads: PasswordThreads,
) -> None:
    for names in (("alice", "Aladdin", "long"), ("nobody", "noone", "none")):
        before = threads.computed
        here = door(threads, ROWS.replace(f"Aladdin:{ALICE}", f"Aladdin:{ALICE_LATER}"))
        await asyncio.gather(*(here.knock(basic(name, "guess")) for name in names))
        assert threads.computed - before == 3


async def test_nothing_secret_is_in_a_repr(threads: PasswordThreads) -> None:
    here = door(threads)
    knocking = asyncio.create_task(here.knock(basic("alice")))
    await asyncio.sleep(0)
    during = repr(vars(here.judge)) + repr(vars(threads)) + repr(knocking)
    told = during + repr(await knocking) + repr(vars(here.judge)) + repr(await here.knock("?"))
    for secret in ("open sesame", ALICE, basic("alice")):
        assert secret not in told


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"cache_seconds": -1}, "wrong-type"),
        ({"cache_seconds": 3601}, "wrong-type"),
        ({"cache_size": -1}, "wrong-type"),
        ({"subject_prefix": "a\nb"}, "bad-value"),
        ({"users": "x"}, "unknown-key"),
    ],
)
def test_settings_have_bounds(given: dict[str, Any], code: str) -> None:
    found, problems = decode(BasicSettings, given, "pdp.toml", "authentication.basic")
    assert (found, [p.code for p in problems]) == (None, [code])


def test_settings_have_defaults() -> None:
    assert decode(BasicSettings, {}, "pdp.toml", "authentication.basic") == (BasicSettings(), [])
    assert BasicSettings().file == "users.htpasswd"


DISABLED = Rejected(Reason.PASSWORD_INVALID, detail=Reason.ACCOUNT_DISABLED)


async def test_the_right_password_of_whom_nobody_may_go_by_is_a_failed_login(
    threads: PasswordThreads,
) -> None:
    here = door(threads, most=3)
    asked = Asked(ADDRESS, NOW, refuses=lambda _: DISABLED)
    for _ in range(3):  # not remembered, and each computed as a wrong one is
        assert await here.judge.authenticate(basic("alice"), asked) == DISABLED
    assert threads.computed == 3
    assert (await here.judge.authenticate(basic("alice"), asked)).reason is Reason.CLIENT_BLOCKED


async def test_a_success_is_forgotten_once_nobody_may_go_by_it(threads: PasswordThreads) -> None:
    here = door(threads)
    assert isinstance(await here.knock(basic("alice")), Identity)
    refused = Asked(ADDRESS, NOW, refuses=lambda _: DISABLED)
    for _ in range(2):
        assert await here.judge.authenticate(basic("alice"), refused) == DISABLED
    assert threads.computed == 2
