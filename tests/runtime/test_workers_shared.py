"""The table and the directory that workers share, and turns to write the log."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pdp.runtime.journal_sink import Sink
from pdp.runtime.together import Together, make_directory, mark, remove_directory
from pdp.runtime.turns import LockedTurn

# Whoever forks beside threads is warned, from Python 3.12 on; these children do next to nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def together(tmp_path: Path) -> Together:
    return Together(2, tmp_path)


def child(work: Callable[[], None]) -> int:
    """A fork that does one thing; its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def patiently() -> Callable[[], bool]:
    end = time.monotonic() + 0.2
    return lambda: time.monotonic() < end


def test_what_one_process_says_another_sees(together: Together) -> None:
    one, other = together.rows

    def work() -> None:
        one.begin(os.getpid())
        one.has_prepared("sha256:2")
        one.decides_by("sha256:1")

    assert [*together.others(1)] == []
    assert child(work) == 0
    assert one.pid not in {0, os.getpid()}
    assert (one.live, one.prepared[0]) == (mark("sha256:1"), 0)
    assert [row.index for row in together.others(1)] == [0]
    assert other.pid == other.live == 0
    one.clear()
    assert [*together.others(1)] == []


def test_who_is_silent_for_long_is_not_counted_upon(together: Together) -> None:
    row = together.rows[0]
    row.decides_by("sha256:1")
    assert not row.answers  # it never said that it lives
    row.beat()
    assert row.answers
    row._words[1] -= 4_000_000_000
    assert not row.answers


def test_the_directory_is_the_users_own(tmp_path: Path) -> None:
    made = make_directory({"RUNTIME_DIRECTORY": str(tmp_path)})
    if made.parent == tmp_path:  # unless the path is too long for a socket
        assert made.stat().st_mode & 0o777 == 0o700
    (made / "0.sock").touch()
    remove_directory(made)
    assert not made.exists()
    remove_directory(made)


def test_a_path_too_long_for_sockets_is_not_taken(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 100)
    long.mkdir()
    made = make_directory({"RUNTIME_DIRECTORY": str(long)})
    assert made.parent != long
    assert [*long.iterdir()] == []
    remove_directory(made)


def test_a_turn_is_ones_own_until_it_is_given(together: Together) -> None:
    turn = LockedTurn(together)
    assert turn.take(patiently())
    assert turn.take(patiently())
    assert child(lambda: _must(not LockedTurn(together).take(patiently()))) == 0
    turn.give()
    assert child(lambda: _must(LockedTurn(together).take(patiently()))) == 0
    assert turn.take(patiently())
    assert not turn.found_torn()


def _must(holds: bool) -> None:
    if not holds:
        raise AssertionError


def test_who_dies_within_a_line_is_found_out_once(together: Together) -> None:
    def work() -> None:
        turn = LockedTurn(together)
        turn.take(patiently())
        turn.writing()
        os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL
    turn = LockedTurn(together)
    assert turn.take(patiently())
    assert (turn.found_torn(), turn.found_torn()) == (True, False)
    turn.give()
    assert turn.take(patiently())
    assert not turn.found_torn()


def test_what_a_killed_writer_left_of_a_line_is_a_line_by_itself(
    together: Together, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sink = Sink(str(log), LockedTurn(together))
    assert sink.write([b"whole\n"], patiently())

    def work() -> None:
        turn = LockedTurn(together)
        turn.take(patiently())
        turn.writing()
        with log.open("ab", buffering=0) as file:
            file.write(b"hal")
        os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL
    assert sink.write([b"next\n", b"last\n"], patiently())
    assert log.read_bytes() == b"whole\nhal\nnext\nlast\n"
    assert sink.count() == 3
    sink.close()


def test_one_that_ended_between_two_lines_left_nothing_to_mend(
    together: Together, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sink = Sink(str(log), LockedTurn(together))

    def work() -> None:
        other = Sink(str(log), LockedTurn(together))
        other.write([b"other\n"], patiently())
        together.torn = True  # as just before a write
        os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL
    assert sink.write([b"own\n"], patiently())
    assert log.read_bytes() == b"other\nown\n"
    sink.close()


def test_who_must_wait_for_a_turn_keeps_what_it_has(together: Together, tmp_path: Path) -> None:
    log = tmp_path / "log"
    sink, turn = Sink(str(log), LockedTurn(together)), LockedTurn(together)
    assert turn.take(patiently())  # another's, though it is in this process
    assert not sink.write([b"late\n"], lambda: False)
    assert sink.left == 1
    turn.give()
    assert sink.write((), patiently())
    assert log.read_bytes() == b"late\n"
    sink.close()
