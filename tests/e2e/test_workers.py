"""Several processes that decide as one: shared metrics, replaced when they die, one end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import support
from workers_group import Group, eventually, fallen, gone, refused, total, workers

DECISIONS = "pdp_decisions_total"


@pytest.fixture
def group(policies: Path, tmp_path: Path) -> Iterator[Group]:
    with workers(policies, "--decision-log", str(tmp_path / "decisions")) as live:
        yield live


def asked(group: Group, count: int) -> None:
    for _ in range(count):
        assert group.decide() == 200


def test_all_of_them_decide_and_any_tells_the_metrics_of_all(group: Group) -> None:
    asked(group, 60)
    shares = [total(group.own(index), DECISIONS) for index in (0, 1)]
    assert min(shares) > 0
    assert sum(shares) == 60
    for _ in range(10):  # whoever answers
        found = group.metrics()
        assert total(found, DECISIONS) == total(found, "pdp_decision_duration_seconds_count") == 60
        assert found[("pdp_ready", ())] == 1
        assert len([name for name, _ in found if name == "pdp_policy_info"]) == 1
        assert found[("pdp_workers", ())] == 2
        assert found[("pdp_worker_restarts_total", ())] == 0


def test_one_that_dies_is_replaced_and_no_counter_falls(group: Group) -> None:
    asked(group, 40)
    before, first = group.metrics(), group.pids()
    os.kill(first[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        eventually(lambda: group.decide() == 200, 5)
        found = eventually(group.metrics, 5)
        assert not fallen(before, found)
        before = found
        if found[("pdp_worker_restarts_total", ())] and found[("pdp_workers", ())] == 2:
            break
    assert found[("pdp_worker_restarts_total", ())] == 1
    assert first[0] not in group.pids()
    assert first[1] in group.pids()
    counted = total(found, DECISIONS)
    asked(group, 40)
    assert total(group.metrics(), DECISIONS) == counted + 40
    shares = [total(group.own(index), DECISIONS) for index in (0, 1)]
    assert sum(shares) == counted + 40


def test_beside_a_broken_directory_the_others_serve_on(group: Group, policies: Path) -> None:
    rules = policies / "rbac.csv"
    good, live = rules.read_bytes(), group.revision(1)
    rules.write_text("p, member\n")
    eventually(lambda: group.told("policy rejected"))
    victim = group.pids()[0]
    os.kill(victim, signal.SIGKILL)
    told = eventually(lambda: group.told("worker cannot go on"))
    assert "rbac.csv:1 short-row" in told[0]["problems"][0]
    eventually(lambda: gone(victim))
    for _ in range(20):
        assert group.decide() == 200
    assert group.revision(1) == live
    assert group.working() == 1
    rules.write_bytes(good)
    eventually(lambda: group.working() == 2)
    assert {group.revision(0), group.revision(1)} == {live}


def test_one_that_takes_a_place_does_not_decide_by_what_the_others_refuse(
    group: Group, policies: Path
) -> None:
    settings = policies / "pdp.toml"
    settings.write_text(settings.read_text().replace('realm = "tests"', 'realm = "other"'))
    eventually(lambda: group.told("policy rejected"))
    os.kill(group.pids()[0], signal.SIGKILL)
    told = eventually(lambda: group.told("worker cannot go on"))
    assert "restart-needed" in told[0]["problems"][0]
    assert group.decide() == 200
    assert group.process.poll() is None


def test_it_decides_by_what_was_made_live_since_the_start(group: Group, policies: Path) -> None:
    assert group.decide(resource="/new") == 404
    with (policies / "rbac.csv").open("a") as file:
        file.write("p, authenticated, /new, ^GET$\n")
    eventually(
        lambda: group.revision(0) == group.revision(1) and group.decide(resource="/new") == 200
    )
    victim = group.pids()[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: gone(victim) and group.working() == 2)
    for _ in range(20):
        assert group.decide(resource="/new") == 200


def test_one_that_stands_still_is_told_and_hides_nothing(group: Group) -> None:
    asked(group, 30)
    before = group.metrics()
    stopped = group.told("serving")[0]["worker"]
    pid = next(p for p in group.pids() if _holds(p, group.directory / f"{stopped}.sock"))
    os.kill(pid, signal.SIGSTOP)
    try:
        found = eventually(lambda: group.metrics(1.0))  # if the other one is asked
        assert found[("pdp_workers_silent", ())] == 1
        assert not fallen(before, found)
        eventually(lambda: group.working() == 1)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: group.metrics(1.0)[("pdp_workers_silent", ())] == 0)
    assert group.working() == 2


def _holds(pid: int, place: Path) -> bool:
    """Whether a process listens on a Unix socket: by the number that the kernel knows it by."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    numbers = {row[6] for row in rows if row[-1] == str(place)}
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
    return any(f"socket:[{number}]" in links for number in numbers)


def test_sighup_is_for_all_of_them(group: Group, tmp_path: Path) -> None:
    asked(group, 4)
    log = tmp_path / "decisions"
    eventually(lambda: log.read_bytes().count(b"\n") == 4)
    log.rename(tmp_path / "rotated")
    eventually(lambda: len(group.told("policy unchanged")) == 2)  # of the start
    group.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(group.told("policy unchanged")) == 4)
    asked(group, 60)
    eventually(lambda: log.read_bytes().count(b"\n") == 60)
    assert (tmp_path / "rotated").read_bytes().count(b"\n") == 4
    assert group.working() == 2
    assert group.metrics()[("pdp_worker_restarts_total", ())] == 0


def half(group: Group) -> socket.socket:
    """A request whose body is still to come."""
    host, _, port = group.listen.partition(":")
    made = socket.create_connection((host, int(port)), timeout=10)
    made.sendall(b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
    time.sleep(0.2)
    return made


def test_sigterm_ends_all_once_everything_is_answered(group: Group) -> None:
    pids, directory = group.pids(), group.directory
    with half(group) as one, half(group) as other:
        group.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert group.process.poll() is None
        for connection in (one, other):
            connection.sendall(b"}")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert group.process.wait(15) == 0
    assert all(map(gone, pids))
    assert not directory.exists()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_asked_a_second_time_it_ends_at_once(group: Group, second: int) -> None:
    pids = group.pids()
    with half(group):
        group.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert group.process.poll() is None
        began = time.monotonic()
        assert group.end(second) == 0
        assert time.monotonic() - began < 5
    assert all(map(gone, pids))


def test_nobody_stays_behind_a_supervisor_that_was_killed(group: Group) -> None:
    pids, directory = group.pids(), group.directory
    group.process.kill()
    group.process.wait()
    for pid in pids:
        eventually(lambda pid=pid: gone(pid))  # type: ignore[misc]
    assert not directory.exists()
    assert group.told("the supervisor is gone")


def test_two_instances_never_share_a_port(group: Group, policies: Path) -> None:
    other = f"127.0.0.1:{support.free_port()}"
    for count in (1, 2):
        flags = (f"--workers={count}", f"--listen={group.listen}", f"--admin-listen={other}")
        found = refused(policies, *flags)
        assert found.returncode == 4
        assert f"cannot listen on {group.listen}" in found.stderr
    same = refused(policies, "--workers=2", f"--listen={other}", f"--admin-listen={other}")
    assert same.returncode == 4
    assert f"cannot listen on {other}" in same.stderr
    asked(group, 5)


def test_a_unix_socket_is_shared_and_removed(policies: Path, tmp_path: Path) -> None:
    place = tmp_path / "s"
    with workers(policies, "--listen", f"unix:{place}") as live:
        assert place.stat().st_mode & 0o777 == 0o660
        os.kill(live.pids()[0], signal.SIGKILL)
        eventually(lambda: live.metrics()[("pdp_worker_restarts_total", ())] == 1)
        for _ in range(10):
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(5)
                asking.connect(str(place))
                asking.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                assert asking.recv(100).startswith(b"HTTP/1.1 200 ")
        assert live.end(signal.SIGTERM) == 0
    assert not place.exists()


def broken(directory: Path, package: str) -> dict[str, str]:
    """An environment in which a package cannot be imported."""
    (directory / package).mkdir()
    (directory / package / "__init__.py").write_text("raise ImportError('it is not there')\n")
    return {"PYTHONPATH": os.pathsep.join((str(directory), os.environ.get("PYTHONPATH", "")))}


def test_without_its_extra_it_is_3(policies: Path, tmp_path: Path) -> None:
    found = refused(policies, "--workers=2", env=broken(tmp_path, "gunicorn"))
    assert found.returncode == 3
    assert "server.workers missing-extra" in found.stderr
    assert "pip install '.[workers]'" in found.stderr


def test_a_first_worker_that_cannot_start_ends_all_and_says_why_once(
    policies: Path, tmp_path: Path
) -> None:
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in support.places().items()]
    grpc = f"--grpc-listen=127.0.0.1:{support.free_port()}"
    found = refused(policies, "--workers=3", *flags, grpc, env=broken(tmp_path, "grpc"))
    assert found.returncode == 3
    assert found.stderr.count("server.grpc_listen missing-extra") == 1
    assert '"serving"' not in found.stderr


@pytest.mark.parametrize("flag", ["--workers=0", "--workers=65", "--workers=x"])
def test_a_number_that_is_none_is_2(policies: Path, flag: str) -> None:
    assert refused(policies, flag).returncode == 2


def test_what_does_not_go_together_is_3(policies: Path, tmp_path: Path) -> None:
    found = refused(policies, "--workers=2", f"--grpc-listen=unix:{tmp_path / 'g'}")
    assert (found.returncode, "bad-workers" in found.stderr) == (3, True)


def test_if_none_is_left_nobody_is_answered_until_one_can_start(
    group: Group, policies: Path
) -> None:
    rules = policies / "rbac.csv"
    good = rules.read_bytes()
    rules.write_text("p, member\n")
    eventually(lambda: len(group.told("policy rejected")) == 2)
    for pid in group.pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(group.told("worker cannot go on")) >= 2)
    with pytest.raises(ConnectionRefusedError):
        group.decide()
    with (policies / "rbac.csv").open("wb") as file:
        file.write(good + b"p, authenticated, /new, ^GET$\n")
    eventually(lambda: group.working() == 2)
    assert group.revision(0) == group.revision(1)
    assert group.decide(resource="/new") == 200


def test_what_is_missing_for_a_new_worker_does_not_end_the_others(group: Group) -> None:
    shutil.rmtree(group.directory)
    os.kill(group.pids()[0], signal.SIGKILL)
    eventually(lambda: "cannot start a worker" in group.said())
    for _ in range(10):
        assert group.decide() == 200
    assert group.working() == 1
    assert group.end(signal.SIGTERM) == 0
