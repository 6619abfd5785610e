"""Files of credentials, kept live: what is withdrawn counts at once, what is added once it is sure.

What a file says is an immutable registry. Two of them are joined by `&`: what both say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Generic, Protocol, Self, TypeVar

from pdp.errors import Problem, Severity
from pdp.identity.lines import is_empty
from pdp.runtime.following import Take
from pdp.runtime.sources import read_file


class Registry(Protocol):
    """The credentials that a file lists; never changed, compared by value."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def __and__(self, other: Self) -> Self:
        """What both say: no credential that is missing, other or disabled in either."""
        ...


_HOLDS: Final = "what it said goes on to hold"
_AGAIN: Final = "write it again; to withdraw all, write a file that holds a comment"

R = TypeVar("R", bound=Registry)
Reader = Callable[[bytes, str], tuple[R, list[Problem]]]


class CredentialFile(Generic[R]):
    """A followed file and what of it is live; `name` is what problems call it.

    INVARIANT: a credential is live only if a file without errors, which stood still, said so as
    it is, and no file that could be read since then has not. A file that is gone, unreadable or
    empty says nothing.
    """

    def __init__(self, path: Path, name: str, reader: Reader[R], registry: R) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = ()  # errors only: why not all of the file is live
        self._name = name
        self._reader = reader
        self._registry = registry

    def current(self) -> R:
        """What is live."""
        return self._registry

    def read(self) -> Take:
        """Read the file, which may block; what is returned makes it live (see `Followed`)."""
        data, problems = read_file(self.path, self._name)
        # INVARIANT: nobody else replaces this one. Registries may be large, so compare them here.
        before = self._registry
        if data is None:
            lost = [replace(p, message=f"{p.message}: {_HOLDS}", help=_AGAIN) for p in problems]
            return self._taker(before, before, lost)
        found, problems = self._reader(data, self._name)
        if is_empty(data):
            return self._taker(before, before, problems)
        less = before & found
        less, found = (before if before == after else after for after in (less, found))
        return self._taker(less, found, problems)

    def _taker(self, less: R, found: R, problems: list[Problem]) -> Take:
        errors = tuple(p for p in problems if p.severity is Severity.ERROR)

        def take(settled: bool) -> str | None:
            before, self.problems = self._registry, errors
            self._registry = found if settled and not errors else less
            return None if self._registry is before else f"{self._registry.size} credentials"

        return take


def load_credential_file(
    path: Path, name: str, reader: Reader[R]
) -> tuple[CredentialFile[R] | None, list[Problem]]:
    """A file of credentials at start, to be followed, and everything wrong with it.

    None where there is nothing to read. Whatever its problems are, all that could be read is
    live in it: with an error among them, do not start.
    """
    data, problems = read_file(path, name)
    if data is None:
        return None, problems
    registry, problems = reader(data, name)
    return CredentialFile(path, name, reader, registry), problems
