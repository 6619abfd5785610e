"""The decision log on full disks, before slow readers, over rotations and at the end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import math
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import support
from prometheus_client import CollectorRegistry
from support import Running

from pdp.model import Outcome, Reason, Verdict
from pdp.runtime.journal import Journal
from pdp.runtime.journal_asking import NOBODY
from pdp.runtime.journal_metrics import JournalMetrics
from pdp.runtime.journal_settings import DecisionLogSettings
from pdp.runtime.journal_shapes import Entry
from pdp.runtime.journal_sink import Sink

ROOT = Path(__file__).parents[2]
IP = "203.0.113.9"
PUBLIC = {"action": "GET", "resource": "/docs/a", "context": {"ip": IP}}
REFUSED = {"action": "GET", "resource": "/invoices/7", "context": {"ip": IP}}


def configured(directory: Path, **settings: object) -> Path:
    """The tests' policies with a section `[decision_log]`."""
    target = support.copy_policies(directory)
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    toml = target / "pdp.toml"
    toml.write_text(toml.read_text() + "\n[decision_log]\n" + "".join(lines))
    return target


async def statuses(server: Running, count: int, body: dict[str, Any] | None = None) -> list[int]:
    """What each of so many questions was answered with: the verdicts', or 503."""
    found = []
    for _ in range(count):
        response, answer = await server.ask("POST", "/v1/decision", json=body or PUBLIC)
        found.append(json.loads(answer)["status"] if response.status == 200 else response.status)
    return found


async def metric(server: Running, name: str) -> float:
    _, body = await server.ask("GET", "/metrics", admin=True)
    (line,) = [line for line in body.decode().splitlines() if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


async def until(server: Running, name: str, least: float) -> None:
    for _ in range(500):
        if await metric(server, name) >= least:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(name)


DROPPED = 'pdp_decision_log_records_total{result="dropped"}'
WRITTEN = 'pdp_decision_log_records_total{result="written"}'
SKIPPED = 'pdp_decision_log_records_total{result="sampled_out"}'
FAILURES = "pdp_decision_log_failures_total"
QUEUE = "pdp_decision_log_queue"


async def test_a_file_is_appended_to_and_is_its_owners_alone(tmp_path: Path) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    for count in (1, 2):
        async with support.pdp(target, decision_log=str(log)) as server:
            await statuses(server, 1)
        assert len(await support.decided(log, count)) == count
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_records_stand_in_the_order_of_decisions(tmp_path: Path) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    batch = {"decisions": [{**PUBLIC, "resource": f"/docs/{n}"} for n in range(500)]}
    async with support.pdp(target, decision_log=str(log)) as server:
        await server.ask("POST", "/v1/decisions", json=batch)
        await until(server, WRITTEN, 500)
        assert await metric(server, QUEUE) == 0
    found = [record["resource"] for record in await support.decided(log, 500)]
    assert found == [f"/docs/{n}" for n in range(500)]


async def test_off_records_nothing(tmp_path: Path) -> None:
    async with support.pdp(support.copy_policies(tmp_path), decision_log="off") as server:
        assert await statuses(server, 2) == [200, 200]
        assert await metric(server, WRITTEN) == 0


@pytest.mark.parametrize("share", [0, 0.5])
async def test_only_allows_are_sampled(tmp_path: Path, share: float) -> None:
    log = tmp_path / "decisions"
    target = configured(tmp_path, sample_allows=share)
    async with support.pdp(target, decision_log=str(log)) as server:
        await statuses(server, 200)
        await statuses(server, 20, REFUSED)
        await statuses(server, 1, {"action": "GET"})
        skipped = int(await metric(server, SKIPPED))
    records = await support.decided(log, 21)
    allowed = [record for record in records if record["verdict"] == "allow"]
    assert len(records) - len(allowed) == 21
    assert len(allowed) + skipped == 200
    assert (skipped == 200) if share == 0 else (50 < skipped < 150)
    assert {record["sampled"] for record in allowed} <= {share}
    assert not any("sampled" in record for record in records if record["verdict"] != "allow")


# what cannot be written


async def test_a_full_disk_changes_no_verdict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = configured(tmp_path, queue=5)
    async with support.pdp(target, decision_log="/dev/full", drain_seconds=0.1) as server:
        assert set(await statuses(server, 200)) == {200}
        await until(server, FAILURES, 3)
        assert await metric(server, DROPPED) > 0
        assert await metric(server, QUEUE) <= 5
    told = [record for record in caplog.records if record.name == "pdp.journal"]
    cannot = [record for record in told if record.message == "cannot record decisions"]
    assert cannot[0].facts["error"] == "No space left on device"  # type: ignore[attr-defined]
    apart = [b.created - a.created for a, b in pairwise(cannot)]
    assert all(seconds >= 0.99 for seconds in apart)


async def test_where_it_must_be_recorded_a_full_disk_is_a_503(tmp_path: Path) -> None:
    target = configured(tmp_path, queue=5, on_full="fail_closed")
    async with support.pdp(target, decision_log="/dev/full", drain_seconds=0.1) as server:
        await statuses(server, 5)
        await until(server, FAILURES, 1)
        await statuses(server, 5)  # which fill the queue
        assert await statuses(server, 50) == [503] * 50
        headers = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Uri": "/docs/a",
            "X-Forwarded-Host": "app.test",
            "X-Forwarded-For": IP,
            "X-Forwarded-Proto": "https",
        }
        response, _ = await server.ask("GET", "/authz/forward", headers=headers)
        assert (response.status, "X-Auth-Subject" in response.headers) == (503, False)
        _, body = await server.ask("GET", "/metrics", admin=True)
        assert b'reason="internal_error",surface="native",verdict="fault"' in body


async def test_once_there_is_room_again_all_is_well(tmp_path: Path) -> None:
    log = tmp_path / "decisions"
    target = configured(tmp_path, queue=5, on_full="fail_closed")
    async with support.pdp(target, decision_log=str(log)) as server:
        with longest_file(900):
            assert (await statuses(server, 100))[-1] == 503
            await until(server, FAILURES, 1)
        for _ in range(100):
            if (await statuses(server, 1)) == [200]:
                break
            await asyncio.sleep(0.02)
        await until(server, QUEUE, 0)
        assert await statuses(server, 3) == [200] * 3
        dropped = int(await metric(server, DROPPED))
    records = await support.decided(log, 5)
    assert sum(record.get("count", 0) for record in records) == dropped > 0
    for record in records:
        assert ("decision_id" in record) is not (record.get("event") == "dropped")


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """As on a disk that is nearly full: a write is cut short, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_write_that_was_cut_short_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sink, lines = Sink(str(log)), [b"%04d\n" % n for n in range(100)]
    with longest_file(203), pytest.raises(OSError, match="File too large"):
        sink.write(lines, lambda: True)
    assert sink.left == 60
    assert sink.write([b"last\n"], lambda: True)
    assert log.read_bytes() == b"".join(lines) + b"last\n"
    sink.close()


def test_a_line_that_was_cut_short_is_written_whole_after_a_rotation(tmp_path: Path) -> None:
    log, old = tmp_path / "log", tmp_path / "log.1"
    sink, lines = Sink(str(log)), [b"%04d\n" % n for n in range(100)]
    with longest_file(203), pytest.raises(OSError, match="File too large"):
        sink.write(lines, lambda: True)
    log.rename(old)
    sink.reopen()
    assert sink.write([], lambda: True)
    assert old.read_bytes() == b"".join(lines[:40]) + b"004"
    assert log.read_bytes() == b"".join(lines[40:])
    sink.close()


def test_what_a_crash_left_is_a_line_by_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"a":1}\n{"torn')
    sink = Sink(str(log))
    sink.write([b'{"b":2}\n'], lambda: True)
    sink.close()
    assert log.read_bytes().splitlines() == [b'{"a":1}', b'{"torn', b'{"b":2}']


# slow readers


def counted(found: bytes) -> int:
    """How many records the whole lines so far tell to be missing."""
    lines = found.split(b"\n")[:-1]
    return sum(json.loads(line).get("count", 0) for line in lines)


async def test_a_slow_reader_delays_no_answer_and_what_is_lost_is_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4_096)
    target, asked = configured(tmp_path, queue=50), 400
    async with support.pdp(target, decision_log=str(fifo)) as server:
        longest = 0.0
        for _ in range(asked):
            started = time.perf_counter()
            assert await statuses(server, 1) == [200]
            longest = max(longest, time.perf_counter() - started)
        assert longest < 1
        dropped = int(await metric(server, DROPPED))
        assert dropped > 0
        found = bytearray()
        while found.count(b'"decision_id"') < asked - dropped or counted(found) < dropped:
            await asyncio.sleep(0.005)
            try:
                found += os.read(reader, 65_536)
            except BlockingIOError:
                continue
    os.close(reader)
    records = [json.loads(line) for line in found.splitlines()]
    assert sum("decision_id" in record for record in records) == asked - dropped
    told = [record for record in records if record.get("event") == "dropped"]
    assert sum(record["count"] for record in told) == dropped
    assert all(record["since"] <= record["timestamp"] for record in told)


async def test_a_reader_that_has_gone_changes_no_verdict(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    target = configured(tmp_path, queue=5)
    async with support.pdp(target, decision_log=str(fifo), drain_seconds=0.1) as server:
        os.close(reader)
        assert set(await statuses(server, 50)) == {200}
        await until(server, FAILURES, 1)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        await until(server, WRITTEN, 1)
    assert os.read(reader, 65_536).startswith(b'{"decision_id":')
    os.close(reader)


async def test_the_end_waits_for_a_reader_no_longer_than_it_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4_096)
    target = support.copy_policies(tmp_path)
    async with support.pdp(target, decision_log=str(fifo), drain_seconds=0.3) as server:
        await statuses(server, 100)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    os.close(reader)
    (told,) = [r for r in caplog.records if r.message == "decisions not recorded at the end"]
    assert 0 < told.facts["count"] < 100  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name == "pdp-journal" and t.is_alive()]


# rotation, and processes


async def test_rotations_lose_no_record(tmp_path: Path) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    with process(target, f"--decision-log={log}") as (running, url):
        asking = asyncio.create_task(ask_many(url, 1_500))
        rotated = []
        while not asking.done():
            await asyncio.sleep(0.1)
            if log.exists():
                rotated.append(log.rename(tmp_path / f"decisions.{len(rotated)}"))
                running.send_signal(signal.SIGHUP)
        ids = await asking
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    files = [*rotated, *([log] if log.exists() else [])]
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert len(rotated) > 2
    assert [json.loads(line)["decision_id"] for line in lines] == ids


async def test_decisions_are_on_stdout_and_logs_on_stderr(tmp_path: Path) -> None:
    target = support.copy_policies(tmp_path)
    with process(target) as (running, url):
        ids = await ask_many(url, 20)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
    assert [json.loads(line)["decision_id"] for line in out.splitlines()] == ids
    assert "serving" in {json.loads(line)["message"] for line in err.splitlines()}
    assert b"decision_id" not in err


@pytest.mark.parametrize("place", ["off", "file"])
async def test_the_environment_says_where(tmp_path: Path, place: str) -> None:
    log, target = tmp_path / "decisions", support.copy_policies(tmp_path)
    where = str(log) if place == "file" else place
    with process(target, PDP_DECISION_LOG=where) as (running, url):
        ids = await ask_many(url, 5)
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=20)
    assert out == b""
    assert log.exists() is (place == "file")
    if log.exists():
        assert [record["decision_id"] for record in await support.decided(log, 5)] == ids


async def test_a_closed_stdout_stops_nothing(tmp_path: Path) -> None:
    target = support.copy_policies(tmp_path)
    with process(target) as (running, url):
        assert running.stdout is not None
        running.stdout.close()
        assert len(await ask_many(url, 50)) == 50
        running.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("where", ["/nowhere/decisions", "/", "fifo"])
def test_a_log_that_cannot_be_opened_is_a_3(tmp_path: Path, where: str) -> None:
    target = support.copy_policies(tmp_path)
    if where == "fifo":  # which nobody reads
        where = str(tmp_path / "fifo")
        os.mkfifo(where)
    words = command(target, f"--decision-log={where}")
    ran = subprocess.run(words, check=False, capture_output=True, timeout=30, cwd=ROOT)  # noqa: S603
    assert (ran.returncode, b"bad-decision-log" in ran.stderr) == (3, True), ran.stderr


def command(directory: Path, *flags: str) -> list[str]:
    ports = [f"--{n.replace('_', '-')}={place}" for n, place in support.places().items()]
    return [sys.executable, "-m", "pdp", "serve", str(directory), *ports, *flags]


@contextmanager
def process(
    directory: Path, *flags: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A PDP in a process of its own, once it serves."""
    words = command(directory, *flags)
    pipe = subprocess.PIPE
    env = {**os.environ, **environment}
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=ROOT, env=env) as running:  # noqa: S603
        try:
            url = f"http://{words[5].partition('=')[2]}"
            wait_for(url)
            yield running, url
        finally:
            running.kill()


def wait_for(url: str) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    for _ in range(400):
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(url)


async def ask_many(url: str, count: int) -> list[str]:
    """The ids of so many decisions, in their order."""
    ids = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            async with session.post(f"{url}/v1/decision", json=PUBLIC) as response:
                ids.append((await response.json())["decision_id"])
    return ids


def test_the_journal_is_no_logger() -> None:
    """Nothing of a decision goes through the process's own log."""
    assert "pdp.decision" not in logging.Logger.manager.loggerDict


async def test_a_record_that_cannot_be_made_is_missing_and_no_other(tmp_path: Path) -> None:
    """Nothing asks for such a one; a bug could."""
    log = tmp_path / "decisions"
    journal = Journal(Sink(str(log)), DecisionLogSettings(), JournalMetrics(CollectorRegistry()))
    verdict = Verdict(Outcome.ALLOW, Reason.GRANTED, revision="sha256:0")
    journal.start()
    for number in range(40):
        at = math.nan if number == 20 else float(number)
        journal.put(Entry(str(number), at, 0, verdict, "native", NOBODY))
    await journal.stop(5)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    found = [record["decision_id"] for record in records if "decision_id" in record]
    assert found == [str(number) for number in range(40) if number != 20]
    assert [record["count"] for record in records if "event" in record] == [1]
