"""Keeps revocations live: what a directory's `revoked.csv` says, and who judges by it."""

from __future__ import annotations

import os
from pathlib import Path

from pdp.errors import Problem
from pdp.identity.chain import Authenticator
from pdp.identity.revocation import FILE, NONE, Revocations, read_revocations
from pdp.runtime.following import Problems, Take
from pdp.runtime.sources import read_file


def load_revocations(directory: Path) -> tuple[Revocations | None, list[Problem]]:
    """What a directory's `revoked.csv` revokes, and everything wrong with it; None without one."""
    path = directory / FILE
    if not os.path.lexists(path):
        return None, []
    data, problems = read_file(path, FILE)
    return (NONE, problems) if data is None else read_revocations(data)


class RevocationFile:
    """The `revoked.csv` of a directory, and who judges by it.

    INVARIANT: what is revoked stays so until a file without problems, and which stands still,
    does not say so any more. What is added counts at once.
    """

    def __init__(self, directory: Path, authenticator: Authenticator, *, expected: bool) -> None:
        self.path = directory / FILE
        self.problems: Problems = ()
        self._authenticator = authenticator
        self._expected = expected  # there was such a file, so there must be one

    def read(self) -> Take:
        """A good file replaces what is revoked; a bad one adds to it what could be read."""
        found, problems = load_revocations(self.path.parent)
        if found is None:
            return self._absent
        # INVARIANT: nobody else replaces these. The sets may be large, so compare them here.
        before = self._authenticator.revocations
        added = before | found
        added, found = (before if after == before else after for after in (added, found))
        exact = added if problems else found
        return lambda settled: self._take(exact if settled else added, tuple(problems))

    def _absent(self, _settled: bool) -> None:
        self.problems = (_gone(),) if self._expected else ()

    def _take(self, revocations: Revocations, problems: Problems) -> str | None:
        self._expected, self.problems = True, problems
        if revocations is self._authenticator.revocations:
            return None
        self._authenticator.revocations = revocations
        return f"{revocations.size} revocations"


def _gone() -> Problem:
    help_ = "write it again; only a restart accepts that there is none"
    return Problem(FILE, None, "missing-file", "is gone: what it said goes on to hold", help_)
