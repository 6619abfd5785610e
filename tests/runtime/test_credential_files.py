"""Credentials in files: what is withdrawn counts at once, what is added only once it is sure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from pdp.errors import Problem, Severity
from pdp.identity.api_keys import ApiKeys, read_api_keys
from pdp.model import Identity, Reason, Rejected
from pdp.runtime.credential_files import CredentialFile, load_credential_file
from pdp.runtime.following import INTERVAL_SECONDS, follow

FILE = "k.csv"
LIVE_WITHIN = 2.0
NOW = 1_750_000_000.0


def row(key: str, *more: str, subject: str = "") -> str:
    return ",".join([f"id-{key}", sha256(key.encode()).hexdigest(), subject or f"s-{key}", *more])


def write(path: Path, *rows: str) -> None:
    """As one should: to another name first."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(f"{each}\n" for each in rows))
    temporary.replace(path)


def load(path: Path, *rows: str) -> CredentialFile[ApiKeys]:
    write(path, *rows)
    file, problems = load_credential_file(path, FILE, read_api_keys)
    assert file is not None
    assert problems == []
    return file


def live(file: CredentialFile[ApiKeys], *keys: str, now: float = NOW) -> str:
    """Those of the keys a to e that are good."""
    found = {key: file.current().find(key, now) for key in keys or "abcde"}
    return "".join(key for key, who in found.items() if isinstance(who, Identity))


def codes(file: CredentialFile[ApiKeys]) -> list[str]:
    return [problem.code for problem in file.problems]


EDITS: list[tuple[str, list[str], str, str]] = [  # live before: a and b
    ("the same", [row("a"), row("b")], "ab", "ab"),
    ("in other words", ["# x", row("b"), row("a", "", "", "false")], "ab", "ab"),
    ("added", [row("a"), row("b"), row("c")], "ab", "abc"),
    ("withdrawn", [row("a")], "a", "a"),
    ("swapped", [row("a"), row("c")], "a", "ac"),
    ("all withdrawn", ["# nobody"], "", ""),
    ("disabled", [row("a"), row("b", "", "", "true")], "a", "a"),
    ("changed", [row("a"), row("b", "boss")], "a", "ab"),
    ("somebody else's", [row("a"), row("b", subject="carol")], "a", "ab"),
    ("expired", [row("a"), row("b", "", "1")], "a", "a"),
    ("expires later", [row("a"), row("b", "", "1750000009")], "ab", "ab"),
    ("a typo elsewhere", [row("a"), row("b"), row("c"), "?"], "ab", "ab"),
    ("a typo and withdrawn", [row("a"), row("c"), "?"], "a", "a"),
    ("a typo and disabled", [row("a"), row("b", "", "", "true"), row("c"), "?"], "a", "a"),
    ("a typo in a row", [row("a"), row("b", "", "tomorrow"), row("c")], "a", "a"),
    ("torn", [row("a"), row("b")[:-2]], "a", "ab"),
    ("twice", [row("a"), row("b"), row("b", "", "", "true")], "a", "a"),
]


@pytest.mark.parametrize(("name", "rows", "at_once", "settled"), EDITS)
def test_what_an_edit_does(
    tmp_path: Path, name: str, rows: list[str], at_once: str, settled: str
) -> None:
    file = load(tmp_path / FILE, row("a"), row("b"))
    write(tmp_path / FILE, *rows)
    file.read()(False)
    assert live(file) == at_once
    file.read()(True)
    assert live(file) == settled
    assert bool(file.problems) == (name.startswith("a typo") or name == "twice")


def test_an_end_moves_forward_at_once_and_back_when_it_is_sure(tmp_path: Path) -> None:
    path = tmp_path / FILE
    file = load(path, row("a", "", "1750000005"))
    for end, at_once, settled in (("1750000003", 3, 3), ("1750000009", 3, 9), ("", 9, None)):
        write(path, row("a", "", end))
        for still, expected in ((False, at_once), (True, settled)):
            file.read()(still)
            found = file.current().find("a", NOW)
            assert isinstance(found, Identity)
            assert found.expires == (None if expected is None else NOW + expected)


def test_what_was_withdrawn_comes_back_only_by_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / FILE
    file = load(path, row("a"), row("b"))
    steps: list[tuple[list[str], bool, str]] = [
        ([row("a")], False, "a"),
        ([row("a"), row("b")], False, "a"),
        ([row("a"), row("b"), "?"], True, "a"),
        ([row("a"), row("b")], False, "a"),
        ([row("a"), row("b")], True, "ab"),
    ]
    for rows, still, expected in steps:
        write(path, *rows)
        file.read()(still)
        assert live(file) == expected


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf \r\n")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("absent")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


LOST: list[tuple[Callable[[Path], None], list[str]]] = [
    (removed, ["missing-file"]),
    (a_directory, ["missing-file"]),
    (a_dead_link, ["missing-file"]),
    (a_pipe, ["missing-file"]),
    (emptied, ["empty-file"]),
    (blank, ["empty-file", "byte-order-mark"]),
]


@pytest.mark.parametrize(("lose", "expected"), LOST)
def test_a_file_that_says_nothing_takes_nothing_back(
    tmp_path: Path, lose: Callable[[Path], None], expected: list[str]
) -> None:
    file = load(tmp_path / FILE, row("a"))
    before = file.current()
    lose(tmp_path / FILE)
    for still in (False, True, True):
        assert file.read()(still) is None
        assert file.current() is before
        assert codes(file) == expected
        assert all(problem.file == FILE and problem.help for problem in file.problems)


@pytest.mark.parametrize(("lose", "expected"), LOST)
def test_nothing_starts_with_a_file_that_says_nothing(
    tmp_path: Path, lose: Callable[[Path], None], expected: list[str]
) -> None:
    write(tmp_path / FILE, row("a"))
    lose(tmp_path / FILE)
    _, problems = load_credential_file(tmp_path / FILE, FILE, read_api_keys)
    assert [(p.file, p.code) for p in problems] == [(FILE, code) for code in expected]
    assert {p.severity for p in problems} == {Severity.ERROR}


def test_a_mistake_at_start_is_told(tmp_path: Path) -> None:
    write(tmp_path / FILE, row("a"), "?")
    _, problems = load_credential_file(tmp_path / FILE, FILE, read_api_keys)
    assert [str(p) for p in problems] == ["k.csv:2 short-row has 1 values"]


def test_only_what_is_new_is_news(tmp_path: Path) -> None:
    path = tmp_path / FILE
    file = load(path, row("a"), row("b"))
    before = file.current()
    write(path, "# in other words", row("b"), row("a"))
    assert [file.read()(still) for still in (False, True)] == [None, None]
    assert file.current() is before
    write(path, row("a"), row("c"))
    told = [file.read()(still) for still in (False, True, True)]
    assert told == ["1 credentials", "2 credentials", None]


@dataclass(frozen=True)
class Names:
    """Another kind of registry; its reader warns of capitals."""

    names: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return len(self.names)

    def __and__(self, other: Names) -> Names:
        return replace(self, names=self.names & other.names)


def read_names(data: bytes, file: str) -> tuple[Names, list[Problem]]:
    names = data.decode().split()
    loud = [name for name in names if name.isupper()]
    problems = [Problem(file, 1, "loud", "is loud", severity=Severity.WARNING) for _ in loud]
    return Names(frozenset(names)), problems


def test_a_warning_keeps_nothing_from_going_live(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("ann BOB")
    file, problems = load_credential_file(path, "names", read_names)
    assert file is not None
    assert [p.code for p in problems] == ["loud"]
    path.write_text("ann BOB CAROL")
    assert file.read()(True) == "3 credentials"
    assert file.current().names == {"ann", "BOB", "CAROL"}
    assert file.problems == ()


@contextlib.asynccontextmanager
async def followed(file: CredentialFile[ApiKeys]) -> AsyncIterator[None]:
    task = asyncio.create_task(follow(file))
    try:
        await asyncio.sleep(2.5 * INTERVAL_SECONDS)  # until the file is settled
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < LIVE_WITHIN
        await asyncio.sleep(0.02)


async def test_an_edit_is_live_within_two_seconds(tmp_path: Path) -> None:
    path = tmp_path / FILE
    file = load(path, row("a"), row("b"))
    async with followed(file):
        write(path, row("a"), row("c"))
        await until(lambda: live(file) == "a")
        await until(lambda: live(file) == "ac")
        write(path, row("a"), row("b"), row("c", "", "", "true"), "?")
        await until(lambda: live(file) == "a" and codes(file) == ["short-row"])
        await asyncio.sleep(3 * INTERVAL_SECONDS)
        assert live(file) == "a"
        write(path, row("a"), row("b"))
        await until(lambda: live(file) == "ab" and not file.problems)


async def test_no_half_of_a_file_lets_anybody_in(tmp_path: Path) -> None:
    path = tmp_path / FILE
    file = load(path, row("a", "viewer"))
    seen: set[tuple[str, ...]] = set()
    whole = row("a", "viewer;member", "1750000005") + "\n" + row("b", "", "1750000005") + "\n"
    async with followed(file):
        with path.open("w") as slow:
            for character in whole[:200]:
                slow.write(character)
                slow.flush()
                await asyncio.sleep(0.012)
                for key in "ab":
                    found = file.current().find(key, NOW)
                    seen.add((found.id, *found.roles) if isinstance(found, Identity) else ())
            slow.write(whole[200:])
        assert seen == {(), ("s-a", "viewer")}
        await until(lambda: live(file) == "ab")
        assert live(file, now=NOW + 5) == ""


async def test_a_file_that_is_lost_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / FILE
    file = load(path, row("a"))
    async with followed(file):
        path.unlink()
        await until(lambda: codes(file) == ["missing-file"])
        await asyncio.sleep(2 * INTERVAL_SECONDS)
        assert live(file) == "a"
        write(path, row("a"), row("b"))
        await until(lambda: live(file) == "ab" and not file.problems)
    assert [record.message for record in caplog.records] == [
        "file has problems",
        "file is good again",
        "now live: 2 credentials",
    ]


async def test_a_swapped_link_is_noticed(tmp_path: Path) -> None:
    for name, rows in (("..1", (row("a"), row("b"))), ("..2", (row("a"), row("c")))):
        (tmp_path / name).mkdir()
        write(tmp_path / name / FILE, *rows)
        os.utime(tmp_path / name / FILE, (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / FILE).symlink_to(f"..data/{FILE}")
    file, _ = load_credential_file(tmp_path / FILE, FILE, read_api_keys)
    assert file is not None
    async with followed(file):
        assert live(file) == "ab"
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await until(lambda: live(file) == "ac")


async def test_no_log_and_no_problem_holds_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / FILE
    secret = "pdp_" + "s" * 43
    file = load(path, row("a"))
    async with followed(file):
        write(path, row("a"), f"ci,{secret},alice", f"{secret},x,y", secret)
        await until(lambda: codes(file) == ["whole-key"] * 3)
    told = repr(file.problems) + "".join(str(vars(record)) for record in caplog.records)
    assert "whole-key" in told
    assert secret not in told
    assert file.current().find(secret, NOW) == Rejected(Reason.API_KEY_INVALID)
