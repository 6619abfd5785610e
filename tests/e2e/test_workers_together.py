"""What several processes share: policies that go live together, one log, pages of searches."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Self

import grpc
import pytest
import support
from grpc_health.v1 import health_pb2, health_pb2_grpc
from workers_group import Group, eventually, total, workers

ROWS = 10_000
PAGE = Path(__file__).parents[2] / "docs" / "workers.md"
FIXTURE = Path(__file__).parents[1] / "authzen" / "fixture"


def grow(policies: Path, rows: int) -> None:
    with (policies / "rbac.csv").open("a") as file:
        file.writelines(f"p, member, /grown/{n}, ^GET$\n" for n in range(rows))


class Watching:
    """When each worker was first seen with a new revision, asked over and over."""

    def __init__(self, group: Group, before: str) -> None:
        self.seen: dict[int, float] = {}
        self._group, self._before = group, before
        self._threads = [threading.Thread(target=self._watch, args=(index,)) for index in (0, 1)]

    def _watch(self, index: int) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self._group.revision(index) != self._before:
                self.seen[index] = time.monotonic()
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(40)


def test_an_edit_is_live_in_all_within_a_second_of_the_first(policies: Path) -> None:
    grow(policies, ROWS)
    with workers(policies) as group:
        for _ in range(3):
            before = group.revision(0)
            with Watching(group, before) as watching:
                grow(policies, 1)
            assert watching.seen.keys() == {0, 1}
            assert abs(watching.seen[0] - watching.seen[1]) < 1
            assert group.revision(0) == group.revision(1) != before
            assert group.told("workers are late") == []


def test_a_reload_on_demand_is_one_of_all(policies: Path) -> None:
    with workers(policies) as group:
        before = group.revision(0)
        with Watching(group, before) as watching:
            grow(policies, 5)
            status, body = group.ask("POST", "/v1/reload", admin=True)
        assert status == 200
        assert abs(watching.seen[0] - watching.seen[1]) < 1
        live = json.loads(body)["revision"]
        assert live == group.revision(0) == group.revision(1) != before


def load(group: Group, ends: threading.Event, padding: str) -> int:
    """Questions on connections that are kept for a while, until told to end."""
    count = 0
    token = support.token("alice")
    headers = {"Content-Type": "application/json", "X-Request-ID": "r" * 64}
    body = json.dumps(
        {
            "token": token,
            "action": "GET",
            "resource": "/docs/" + padding,
            "context": {"ip": "203.0.113.9", "user_agent": padding},
        }
    )
    while not ends.is_set():
        connection = http.client.HTTPConnection(group.listen, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException):  # of one that was killed
            for _ in range(50):
                connection.request("POST", "/v1/decision", body, headers)
                assert connection.getresponse().read()
                count += 1
        connection.close()
    return count


def test_no_line_of_the_log_is_torn_on_a_pipe(policies: Path) -> None:
    read, write = os.pipe()
    lines: list[bytes] = []

    def follow() -> None:
        with os.fdopen(read, "rb", buffering=0) as pipe:
            rest = b""
            while data := pipe.read(30_000):
                rest += data
                *whole, rest = rest.split(b"\n")
                lines.extend(whole)
                time.sleep(0.002)  # a reader that is slower than they are: the pipe is full
            assert rest == b""

    reader = threading.Thread(target=follow)
    reader.start()
    ends, counts = threading.Event(), list[int]()
    with workers(policies, "--decision-log", "-", stdout=write) as group:
        os.close(write)
        paddings = ["a" * 10, "b" * 900, "c" * 3_000, "d" * 7_000]  # over PIPE_BUF, too
        loads = [
            threading.Thread(target=lambda p=p: counts.append(load(group, ends, p)))  # type: ignore[misc]
            for p in paddings
        ]
        for thread in loads:
            thread.start()
        time.sleep(3)
        ends.set()
        for thread in loads:
            thread.join()
        found = eventually(lambda: _all_written(group, sum(counts)))
        assert min(total(group.own(index), "pdp_decisions_total") for index in (0, 1)) > 0
        assert group.end(signal.SIGTERM) == 0
    reader.join(20)
    records = [json.loads(line) for line in lines]
    assert len(records) == sum(counts) == found
    assert len({record["decision_id"] for record in records}) == len(records)
    assert max(map(len, lines)) > 4_096


def _all_written(group: Group, count: int) -> float:
    written = group.metrics()[("pdp_decision_log_records_total", (("result", "written"),))]
    return written if written == count else 0


def test_a_line_that_a_killed_writer_left_does_not_spoil_the_next(
    policies: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with workers(policies, "--decision-log", str(log)) as group:
        ends, counts = threading.Event(), list[int]()
        thread = threading.Thread(target=lambda: counts.append(load(group, ends, "a" * 900)))
        thread.start()
        for _ in range(2):
            time.sleep(1.5)
            os.kill(group.pids()[0], signal.SIGKILL)
        ends.set()
        thread.join()
        eventually(lambda: group.working() == 2)
        assert group.decide() == 200
        time.sleep(0.3)
    torn = [line for line in log.read_bytes().splitlines() if line and not _is_record(line)]
    assert len(torn) <= 2


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def test_a_page_begun_with_one_goes_on_with_any(tmp_path: Path) -> None:
    policies = shutil.copytree(FIXTURE, tmp_path / "many")
    people = [f"reader-{n:02}" for n in range(60)]
    (policies / "cases.yaml").unlink()
    (policies / "people.csv").write_text("".join(f"p, {n}, record, active, read\n" for n in people))
    entities = json.loads((policies / "entities.json").read_text())
    entities += [{"type": "user", "id": name} for name in people]
    (policies / "entities.json").write_text(json.dumps(entities))
    body = {
        "subject": {"type": "user"},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "record-1"},
    }
    with workers(policies, "--decision-log=off") as group:
        found: list[str] = []
        page: dict[str, object] = {"limit": 4}
        while True:
            status, answer = group.ask("POST", "/access/v1/search/subject", {**body, "page": page})
            assert status == 200
            told = json.loads(answer)
            found += [result["id"] for result in told["results"]]
            page = {"token": told["page"]["next_token"]}
            if not page["token"]:
                break
        assert set(people) <= set(found)
        assert len(set(found)) == len(found)


def test_grpc_is_served_by_all(policies: Path) -> None:
    listen = f"127.0.0.1:{support.free_port()}"
    with workers(policies, "--grpc-listen", listen) as group:
        for _ in range(10):
            options = (("grpc.use_local_subchannel_pool", 1),)
            with grpc.insecure_channel(listen, options=options) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                found = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert found.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", int(listen.rpartition(":")[2])))
        assert group.end(signal.SIGTERM) == 0


def test_the_page_lists_what_only_workers_tell(policies: Path) -> None:
    told = re.findall(r"^\| `(pdp_\w+)` \| (?:gauge|counter) \|", PAGE.read_text(), re.MULTILINE)
    with workers(policies) as group:
        together, alone = (
            {name for name, _ in found if not name.endswith("_created")}
            for found in (group.metrics(), group.own(0))
        )
    assert together - alone == set(told)
