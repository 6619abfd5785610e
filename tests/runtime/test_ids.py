"""Decision ids are UUIDs of version 7 that sort by time."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid

from pdp.runtime.ids import decision_id


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    for _ in range(1_000):
        text = decision_id()
        found = uuid.UUID(text)
        assert str(found) == text
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert before <= found.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_are_distinct() -> None:
    assert len({decision_id() for _ in range(10_000)}) == 10_000


FORKS = """
import os
from pdp.runtime.ids import decision_id
decision_id()
child = os.fork()
os.write(1, decision_id()[15:].encode() + b"\\n")
if child: os.waitpid(child, 0)
"""


def test_a_forked_process_has_ids_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)  # noqa: S603
    ends = done.stdout.split()
    assert len(ends) == len(set(ends)) == 2
