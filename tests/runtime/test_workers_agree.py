"""Policies that workers make live together, each in its own time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pdp.errors import ConfigurationError, Problem, Severity
from pdp.runtime import worker as module
from pdp.runtime.load import Loaded, load
from pdp.runtime.metrics import Metrics
from pdp.runtime.reload import Reloader
from pdp.runtime.replacing import load_anew
from pdp.runtime.service import Service
from pdp.runtime.together import Together, mark
from pdp.runtime.worker import Worker, join

ROW = "p, member, /new, ^GET$\n"


@pytest.fixture
def together(tmp_path: Path) -> Together:
    shared = tmp_path / "shared"
    shared.mkdir()
    return Together(2, shared)


@pytest.fixture
async def pair(together: Together) -> AsyncIterator[tuple[Worker, Worker]]:
    workers = Worker(together, 0), Worker(together, 1)
    for worker in workers:
        worker.row.begin(1)
        worker.decides_by("sha256:1")
    living = [
        asyncio.create_task(w.live(os.getppid(), lambda: None, lambda: None)) for w in workers
    ]
    await asyncio.sleep(0)
    yield workers
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)


async def test_neither_goes_first(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    waiting = asyncio.create_task(one.agree("sha256:2", 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert await other.agree("sha256:2", 10)
    assert await asyncio.wait_for(waiting, 1)


async def test_who_never_prepares_it_is_not_waited_for_for_ever(
    pair: tuple[Worker, Worker],
) -> None:
    began = time.monotonic()
    assert await pair[0].agree("sha256:2", 0.3)
    assert 0.3 <= time.monotonic() - began < 2


async def test_who_is_about_to_end_is_not_waited_for(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    waiting = asyncio.create_task(one.agree("sha256:2", 60))
    await asyncio.sleep(0.05)
    other.leaves()
    assert await asyncio.wait_for(waiting, 1)


async def test_who_has_read_the_older_one_reads_again(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    older = asyncio.create_task(one.agree("sha256:2", 60))
    await asyncio.sleep(0.05)
    newer = asyncio.create_task(other.agree("sha256:3", 60))
    assert not await asyncio.wait_for(older, 1)
    assert await asyncio.wait_for(one.agree("sha256:3", 60), 1)
    assert await asyncio.wait_for(newer, 1)


async def test_who_missed_the_edit_is_told_of_it(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    asked = asyncio.Event()
    await other.answer(Metrics(), asked.set)
    assert await one.agree("sha256:1", 1)  # what it decides by is no news
    assert not asked.is_set()
    assert await one.agree("sha256:2", 1)
    assert asked.is_set()
    await other.stop()


class Fickle:
    """Workers of which one has read something newer, so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.live = times, ""
        self.seconds = 0.0

    async def agree(self, revision: str, seconds: float) -> bool:
        assert revision
        self.seconds = seconds
        self.times -= 1
        return self.times < 0

    def gives_up(self) -> None:
        self.live = "given up"

    def decides_by(self, revision: str) -> None:
        self.live = revision


@pytest.mark.parametrize(("times", "left"), [(0, -1), (2, -1), (9, 4)])
async def test_a_policy_is_read_again_until_all_agree_or_often_enough(
    policies: Path, times: int, left: int
) -> None:
    service, others = Service(load(policies)), Fickle(times)
    reloader = Reloader(service, lambda _: [], others)
    with (policies / "rbac.csv").open("a") as file:
        file.write(ROW)
    assert (await reloader.reload()).result == "activated"
    assert (others.times, others.live) == (left, service.snapshot.revision)
    assert others.seconds >= 2


async def test_others_have_time_to_build_it_while_they_are_asked(policies: Path) -> None:
    service, others = Service(load(policies)), Fickle(0)

    def slowly(_: Loaded) -> list[Problem]:
        began = time.thread_time()
        while time.thread_time() - began < 0.25:
            pass
        return []

    with (policies / "rbac.csv").open("a") as file:
        file.write(ROW)
    assert (await Reloader(service, slowly, others).reload()).result == "activated"
    assert others.seconds > 0.25 * 10


@pytest.mark.parametrize(
    ("verify", "result"), [([], "unchanged"), (["case"], "rejected")], ids=["same", "bad"]
)
async def test_what_does_not_go_live_is_not_waited_for(
    policies: Path, verify: list[str], result: str
) -> None:
    service, others = Service(load(policies)), Fickle(0)
    problems = [Problem("cases.yaml", 1, "case-failed", text, "") for text in verify]
    reloader = Reloader(service, lambda _: problems, others)
    if verify:
        with (policies / "rbac.csv").open("a") as file:
            file.write(ROW)
    assert (await reloader.reload()).result == result
    assert (others.times, others.live) == (0, "given up")


async def test_who_comes_later_decides_by_what_the_others_do(
    policies: Path, pair: tuple[Worker, Worker]
) -> None:
    one, other = pair
    service = Service(load(policies))
    one.leaves()
    with (policies / "rbac.csv").open("a") as file:
        file.write(ROW)
    other.decides_by(load(policies).snapshot.revision)
    await join(one, service, Reloader(service, lambda _: []))
    assert one.row.live == other.row.live == mark(service.snapshot.revision)


async def test_who_would_decide_by_something_else_does_not(
    policies: Path, pair: tuple[Worker, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_JOIN_SECONDS", 0.1)
    one, service = pair[0], Service(load(policies))
    one.leaves()
    with pytest.raises(ConfigurationError, match="workers-differ"):
        await join(one, service, Reloader(service, lambda _: []))
    assert one.row.live == 0


async def test_where_nobody_decides_it_starts_as_one_alone_would(
    policies: Path, pair: tuple[Worker, Worker]
) -> None:
    one, service = pair[0], Service(load(policies))
    pair[1].leaves()
    await join(one, service, Reloader(service, lambda _: []))
    assert one.row.live == mark(service.snapshot.revision)


# settings


def changed(directory: Path, old: str, new: str) -> Loaded:
    start = load(directory)
    settings = directory / "pdp.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new, 1))
    return start


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ('realm = "tests"', 'realm = "other"', "authentication"),
        ("[authentication]", "[server]\nmax_batch = 7\n[authentication]", "server"),
        ("[authentication]", "[limits]\nblock_seconds = 7\n[authentication]", "limits"),
        ("[authentication]", "[decision_log]\nqueue = 7\n[authentication]", "decision_log"),
    ],
)
def test_settings_of_the_operator_take_a_restart_of_all(
    policies: Path, old: str, new: str, section: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"restart-needed.*`{section}` has changed"):
        load_anew(changed(policies, old, new))


def test_the_policy_and_the_files_beside_it_are_those_of_now(policies: Path) -> None:
    start = load(policies)
    with (policies / "rbac.csv").open("a") as file:
        file.write(ROW)
    (policies / "revoked.csv").write_text("sub, mallory\n")
    fresh = load_anew(start)
    assert fresh.snapshot.revision != start.snapshot.revision
    assert fresh.authenticator.revocations.size == 1


LIMITED = '[limits]\nrequests_per_address = "5 per second"\nrequests_per_subject = "off"\n'


def codes(directory: Path, workers: int) -> list[tuple[str, Severity]]:
    text = (directory / "pdp.toml").read_text()
    if LIMITED not in text:
        (directory / "pdp.toml").write_text(LIMITED + text)
    loaded = load(directory, flags={"workers": workers})
    return [(problem.code, problem.severity) for problem in loaded.warnings]


def test_limits_that_each_worker_counts_for_itself_are_warned_of(policies: Path) -> None:
    assert codes(policies, 2) == [("limits-by-worker", Severity.WARNING)]
    assert codes(policies, 1) == []


async def test_metrics_are_put_together_once_for_all_who_ask_meanwhile(
    pair: tuple[Worker, Worker],
) -> None:
    one, other = pair
    await one.answer(Metrics(), lambda: None)
    await other.answer(Metrics(), lambda: None)
    first, *rest = await asyncio.gather(*(one.exposition() for _ in range(50)))
    assert all(found is first for found in rest)
    assert b"pdp_workers 2.0" in first
    assert await one.exposition() is not first
    await one.stop()
    await other.stop()
