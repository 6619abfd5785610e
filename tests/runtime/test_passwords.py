"""The threads that verify passwords: real hashes, bounds, and a loop that goes on."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from statistics import median

import bcrypt
import pytest
from argon2 import PasswordHasher, Type

from pdp.errors import DeadlineExceeded, Unavailable
from pdp.identity.hashes import Work, work_of
from pdp.runtime.passwords import PasswordThreads, check_installed


def hashed(password: bytes, cost: int = 8) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


SESAME = hashed(b"sesame")
SLOW = hashed(b"sesame", 12)
LONG = hashed(b"x" * 72)
LETTER = hashed(b"a")
ID = PasswordHasher(1, 7168, 1).hash("sesame")
I = PasswordHasher(3, 7168, 2, type=Type.I).hash("sesame")  # noqa: E741 - its name
LENGTHY = PasswordHasher(1, 7168, 1).hash("x" * 5_000)
NUL = PasswordHasher(1, 7168, 1).hash("a\0b")


@pytest.fixture
async def verifier() -> AsyncIterator[PasswordThreads]:
    verifier = PasswordThreads()
    yield verifier
    await verifier.stop()


@pytest.mark.parametrize(
    ("encoded", "password", "good"),
    [
        *((encoded, b"sesame", True) for encoded in (SESAME, ID, I)),
        *((encoded, b"Sesame", False) for encoded in (SESAME, ID, I)),
        *((encoded, b"", False) for encoded in (SESAME, ID, I)),
        *((SESAME.replace("$2b$", kind), b"sesame", True) for kind in ("$2a$", "$2y$")),
        (SESAME.replace("$2b$", "$2y$"), b"sesam", False),
        (LONG, b"x" * 72, True),
        (LONG, b"x" * 71, False),
        (LONG, b"x" * 73, False),  # bcrypt cannot tell it from the right one
        (LONG, b"x" * 5_000, False),
        (LETTER, b"a", True),
        (LETTER, b"a\0a", False),  # nor this one
        (LETTER, b"a\0", False),
        (LETTER, b"a\0b", False),
        (hashed(b""), b"", True),
        (hashed(b""), b"\0", False),
        (LENGTHY, b"x" * 5_000, True),
        (LENGTHY, b"x" * 4_999, False),
        (NUL, b"a\0b", True),
        (NUL, b"a", False),
        (hashed("\u00e9\U0001f600".encode()), "\u00e9\U0001f600".encode(), True),
    ],
)
async def test_a_password_is_good_or_not_after_one_computation(
    encoded: str, password: bytes, *, good: bool, verifier: PasswordThreads
) -> None:
    assert await verifier.verify(password, encoded) is good
    assert verifier.computed == 1


@pytest.mark.parametrize(
    "broken",
    [
        SESAME[:28] + "P" + SESAME[29:],
        "$argon2id$v=19$m=8,t=1,p=4$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$",
        "plain",
    ],
)
async def test_a_hash_that_cannot_be_computed_is_a_fault_and_quotes_nothing(
    broken: str, verifier: PasswordThreads
) -> None:
    with pytest.raises(Unavailable) as caught:
        await verifier.verify(b"sesame", broken)
    assert broken not in repr(caught.value)
    assert await verifier.verify(b"sesame", SESAME) is True


def seconds(encoded: str, password: bytes) -> float:
    """The processor time of this thread for one check, in the middle of several."""
    checks = PasswordThreads(threads=1)
    check = checks._bcrypt if encoded.startswith("$2") else checks._argon2
    times = []
    for _ in range(9):
        begun = time.thread_time()
        assert not check(password, encoded)
        times.append(time.thread_time() - begun)
    return median(times)


@pytest.mark.parametrize(
    "encoded", [SESAME, ID, I.replace("p=2", "p=1")], ids=["bcrypt", "id", "i"]
)
@pytest.mark.parametrize("password", [b"guess", b"x" * 100, b"gu\0ess"], ids=["", "long", "NUL"])
def test_a_decoy_takes_the_work_of_its_row(encoded: str, password: bytes) -> None:
    decoy = work_of(encoded).decoy(b"seed")
    assert decoy != encoded
    assert 0.5 < seconds(decoy, password) / seconds(encoded, b"guess") < 2


async def test_equal_questions_share_one_computation(verifier: PasswordThreads) -> None:
    asked = [(b"sesame", SESAME), (b"wrong", SESAME), (b"sesame", LETTER)] * 30
    found = await asyncio.gather(*(verifier.verify(*question) for question in asked))
    assert found == [True, False, False] * 30
    assert verifier.computed == 3
    await verifier.verify(b"sesame", SESAME)
    assert verifier.computed == 4


async def test_what_does_not_fit_the_queue_is_refused_at_once() -> None:
    verifier = PasswordThreads(threads=1, waiting=2)
    waiting = [asyncio.create_task(verifier.verify(b"%d" % n, SLOW)) for n in range(3)]
    await asyncio.sleep(0)
    begun = time.perf_counter()
    for n in range(100):
        with pytest.raises(DeadlineExceeded):
            await verifier.verify(b"more %d" % n, SESAME)
    assert not any(task.done() for task in waiting)
    assert time.perf_counter() - begun < 0.2
    assert verifier.computed == 3
    shared = asyncio.create_task(verifier.verify(b"2", SLOW))  # waits already: no more work
    assert await asyncio.gather(*waiting, shared) == [False] * 4
    assert await verifier.verify(b"sesame", SESAME) is True
    assert verifier.computed == 4
    await verifier.stop()


async def test_the_default_queue_holds_16() -> None:
    verifier = PasswordThreads(threads=1)
    found = await asyncio.gather(
        *(verifier.verify(b"%d" % n, SESAME) for n in range(20)), return_exceptions=True
    )
    assert [isinstance(f, DeadlineExceeded) for f in found] == [False] * 17 + [True] * 3
    await verifier.stop()


@pytest.mark.parametrize(
    "encoded", [SLOW, Work("$argon2id$v=19$m=131072,t=2,p=1$", 16, 32).decoy(b"seed")]
)
async def test_the_loop_goes_on_meanwhile(encoded: str, verifier: PasswordThreads) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    begun = time.perf_counter()
    assert (
        await asyncio.gather(*(verifier.verify(b"%d" % n, encoded) for n in range(4)))
        == [False] * 4
    )
    elapsed = time.perf_counter() - begun
    ticking.cancel()
    assert elapsed > 0.05
    assert ticks > elapsed * 50  # of about 800 a second on an idle machine; 0 if it blocked


async def test_whoever_gives_up_takes_nothing_from_others(verifier: PasswordThreads) -> None:
    first, second = (asyncio.create_task(verifier.verify(b"sesame", SLOW)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second is True
    assert first.cancelled()
    assert verifier.computed == 1


async def test_a_failure_that_nobody_waits_for_is_not_complained_of() -> None:
    verifier = PasswordThreads(threads=1)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, facts: complaints.append(facts))
    before = asyncio.create_task(verifier.verify(b"sesame", SLOW))
    gone = asyncio.create_task(verifier.verify(b"sesame", "plain"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await before is True
    assert await verifier.verify(b"sesame", SESAME) is True
    del gone
    gc.collect()
    assert complaints == []
    await verifier.stop()


async def test_no_repr_tells_what_is_under_way() -> None:
    verifier = PasswordThreads(threads=1)
    asked = [asyncio.create_task(verifier.verify(b"sesame%d" % n, SLOW)) for n in range(3)]
    await asyncio.sleep(0)
    flights = list(verifier._flights.values())
    told = repr((asked, vars(verifier), [flight._callbacks for flight in flights]))
    assert "_landed" in told
    for secret in ("sesame", SLOW):
        assert secret not in told
    await verifier.stop()
    await asyncio.gather(*asked, return_exceptions=True)


def ours() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("pdp-password")}


async def test_stopping_ends_the_threads_and_drops_what_waits() -> None:
    before = ours()
    verifier = PasswordThreads(threads=1)
    asked = [asyncio.create_task(verifier.verify(b"%d" % n, SLOW)) for n in range(8)]
    await asyncio.sleep(0.05)
    assert len(ours() - before) == 1
    await verifier.stop()
    assert ours() <= before
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[0] is False
    assert all(isinstance(f, DeadlineExceeded) for f in found[2:])
    assert verifier._flights == {}
    with pytest.raises(DeadlineExceeded):
        await verifier.verify(b"sesame", SESAME)
    await verifier.stop()


async def test_on_linux_the_threads_give_way_to_the_loop(verifier: PasswordThreads) -> None:
    before = ours()
    await verifier.verify(b"sesame", SESAME)
    (thread,) = ours() - before
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert thread.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(19, own + 10)


async def test_a_verifier_that_was_never_used_stops() -> None:
    await PasswordThreads().stop()


def test_the_packages_are_there() -> None:
    assert check_installed() == []


@pytest.mark.parametrize("name", ["bcrypt", "argon2"])
def test_a_missing_package_is_a_problem_with_help(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # what Python itself takes for "cannot import"
    (problem,) = check_installed()
    assert (problem.file, problem.code) == ("authentication.basic", "missing-extra")
    assert name in problem.message
    assert ".[basic]" in problem.help
    with pytest.raises(ImportError):
        PasswordThreads()
