"""Mutants of a policy, each with one row changed: a case that no longer holds catches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pdp.cli.case_file import Case
from pdp.cli.cases import judge
from pdp.cli.policy_files import FileRow, PolicyFiles
from pdp.policy.effect import Decision
from pdp.policy.snapshot import Files, build_snapshot
from pdp.runtime.load import Loaded
from pdp.runtime.sources import SETTINGS

_GONE: Final = "# dropped"  # a comment, so that every other row keeps its line
_OPPOSITE: Final = {Decision.ALLOW: Decision.DENY, Decision.DENY: Decision.ALLOW}


class Fate(StrEnum):
    """What became of a mutant; one that the checks refuse could never go live."""

    CAUGHT = "caught"
    REFUSED = "refused"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A row and the line that stands in its place; `change` says what was done to it."""

    row: FileRow
    change: str
    line: str

    def files(self, files: Files) -> Files:
        """These files, with the one row changed."""
        file, number = self.row.place
        lines = files[file].split(b"\n")
        lines[number - 1] = self.line.encode()
        return {**files, file: b"\n".join(lines)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant with what became of it."""

    mutant: Mutant
    fate: Fate


def breed(policy: PolicyFiles) -> Iterator[Mutant]:
    """Every row dropped, and every one that says `allow` or `deny` turned into its opposite."""
    decisions = _decisions(policy)
    for row in policy.rows():
        yield Mutant(row, "dropped", _GONE)
        index = decisions.get((row.file, row.row.ptype))
        if index is not None:
            yield _flipped(row, index)


def _decisions(policy: PolicyFiles) -> dict[tuple[str, str], int]:
    """Where a rule's decision stands, by file and type, in models that give it a column."""
    return {
        (shape.policy.file, shape.ptype): shape.columns.index("eft")
        for shape in policy.shapes()
        if "eft" in shape.columns
    }


def _flipped(row: FileRow, index: int) -> Mutant:
    values = list(row.row.values)
    opposite = _OPPOSITE[Decision(values[index])]
    values[index] = opposite
    return Mutant(row, f"flipped to {opposite}", ", ".join((row.row.ptype, *values)))


def attempt(
    mutant: Mutant, policy: PolicyFiles, loaded: Loaded, cases: Sequence[Case], now: float
) -> Trial:
    """Whether the checks refuse the mutant, or else some case gets another status or reason.

    Which row decides is not compared. `cases` must hold for the policy as it is.
    """
    credentialing = loaded.snapshot.credentialing
    files = mutant.files(policy.files)
    snapshot, _ = build_snapshot(files, policy.settings, credentialing, SETTINGS)
    if snapshot is None:
        return Trial(mutant, Fate.REFUSED)
    mutated = replace(loaded, snapshot=snapshot)
    holds = all(judge(case, mutated, now).answered for case in cases)
    return Trial(mutant, Fate.SURVIVED if holds else Fate.CAUGHT)
