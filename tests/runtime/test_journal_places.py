"""The decision log where its path becomes something else: no record is lost, and it is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import support
from support import Running

PUBLIC = {"action": "GET", "resource": "/docs/a", "context": {"ip": "203.0.113.9"}}


async def ask(server: Running, count: int) -> list[str]:
    """The ids of so many decisions."""
    found = []
    for _ in range(count):
        _, body = await server.ask("POST", "/v1/decision", json=PUBLIC)
        found.append(json.loads(body)["decision_id"])
    return found


def reopen(server: Running) -> None:
    """As SIGHUP does."""
    journal = server.service.journal
    assert journal is not None
    journal.reopen()


def ids(*files: Path) -> list[str]:
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return [json.loads(line)["decision_id"] for line in lines]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a directory", "a FIFO"])
async def test_where_it_cannot_be_opened_anew_it_goes_on_as_before(
    tmp_path: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    log, rotated = tmp_path / "decisions", tmp_path / "decisions.1"
    target = support.copy_policies(tmp_path)
    async with support.pdp(target, decision_log=str(log)) as server:
        asked = await ask(server, 3)
        await support.decided(log, 3)
        log.rename(rotated)
        make(log)
        reopen(server)
        asked += await ask(server, 3)
        await support.decided(rotated, 6)
        assert [r.name for r in caplog.records if r.levelno >= logging.ERROR] == ["pdp.journal"]
        log.rmdir() if log.is_dir() else log.unlink()
        reopen(server)
        asked += await ask(server, 3)
        await support.decided(log, 3)
    assert ids(rotated, log) == asked


async def test_a_storm_of_reopenings_loses_and_tears_nothing(tmp_path: Path) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    async with support.pdp(target, decision_log=str(log)) as server:
        files = len([*Path("/proc/self/fd").iterdir()])

        async def storm() -> None:
            for _ in range(300):
                reopen(server)
                await asyncio.sleep(0.001)

        _, asked = await asyncio.gather(storm(), ask(server, 200))
        await support.decided(log, 200)
        assert len([*Path("/proc/self/fd").iterdir()]) <= files + 5
    assert ids(log) == asked


async def test_a_link_is_followed_anew(tmp_path: Path) -> None:
    one, other, log = tmp_path / "one", tmp_path / "other", tmp_path / "decisions"
    target = support.copy_policies(tmp_path)
    log.symlink_to(one)
    async with support.pdp(target, decision_log=str(log)) as server:
        asked = await ask(server, 2)
        await support.decided(one, 2)
        log.unlink()
        log.symlink_to(other)
        asked += await ask(server, 2)
        await support.decided(one, 4)
        reopen(server)
        asked += await ask(server, 2)
        await support.decided(other, 2)
    assert (ids(one, other), len(ids(other))) == (asked, 2)
