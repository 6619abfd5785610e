"""A reload builds nothing in vain, and lets go of what it replaced."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support import copy_policies

from pdp.errors import Problem
from pdp.policy.layer import Layer
from pdp.policy.snapshot import Snapshot
from pdp.runtime import reload
from pdp.runtime.load import Loaded, load
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service

ROW = "p, nobody, /nowhere, ^GET$\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return copy_policies(tmp_path)


@pytest.fixture
def service(directory: Path) -> Service:
    return Service(load(directory))


def passing(_: Loaded) -> list[Problem]:
    return []


def edit(service: Service, row: str = ROW) -> None:
    with (service.loaded.directory / "rbac.csv").open("a") as file:
        file.write(row)


def alive(kind: type[Any]) -> int:
    gc.unfreeze()
    gc.collect()
    return sum(type(item) is kind for item in gc.get_objects())


async def settled(reloader: Reloader) -> None:
    while reloader._tasks:
        await asyncio.wait(reloader._tasks)


async def test_a_policy_that_was_replaced_is_let_go(service: Service) -> None:
    reloader = Reloader(service, passing)
    snapshots, layers = alive(Snapshot), alive(Layer)
    for _ in range(3):
        edit(service)
        assert (await reloader.reload()).result == "activated"
        await settled(reloader)
    assert (alive(Snapshot), alive(Layer)) == (snapshots, layers)
    assert service.loaded.snapshot is service.snapshot


async def test_a_policy_that_still_judges_is_left_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "RETIRE_SECONDS", 0.001)
    reloader, judging = Reloader(service, passing), service.snapshot
    revision, layers = judging.revision, judging.layers
    edit(service)
    assert (await reloader.reload()).result == "activated"
    await asyncio.sleep(0.02)
    assert reloader._tasks  # it waits for who still asks
    monkeypatch.setattr(reload, "RETIRE_ROUNDS", 0)
    assert (judging.revision, judging.layers) == (revision, layers)
    del judging, layers
    await settled(reloader)


async def test_an_edit_beside_the_policy_builds_nothing(service: Service) -> None:
    reloader = Reloader(service, passing)
    before = service.loaded.snapshot
    again = service.loaded.again()
    assert again.snapshot is before
    assert again.warnings == service.loaded.warnings
    (service.loaded.directory / "notes.txt").write_text("not of the policy")
    assert (await reloader.reload()).result == "unchanged"
    edit(service)
    assert (await reloader.reload()).result == "activated"
    assert service.loaded.again().snapshot is service.snapshot


async def test_warnings_of_files_that_stay_are_told_again(service: Service) -> None:
    reloader = Reloader(service, passing)
    edit(service, "p, nobody, /now.here, ^GET$\n")
    first, again = await reloader.reload(), await reloader.reload()
    assert (first.result, again.result) == ("activated", "unchanged")
    assert [p.code for p in again.problems] == [p.code for p in first.problems]
    assert "regex-in-path" in [p.code for p in again.problems]


async def test_of_very_many_problems_the_first_are_told(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = Reloader(service, passing)
    edit(service, "p, short\n" * 1_500)
    with caplog.at_level(logging.ERROR, "pdp.reload"):
        attempt = await reloader.reload()
    lines = [problem.line for problem in attempt.problems]
    assert (attempt.result, len(lines), attempt.left_out) == ("rejected", 1_000, 500)
    assert lines == sorted(lines, key=lambda line: line or 0)
    facts = caplog.records[-1].facts  # type: ignore[attr-defined]
    assert (len(facts["problems"]), facts["problems_left_out"]) == (1_000, 500)
    assert json.dumps(facts)
