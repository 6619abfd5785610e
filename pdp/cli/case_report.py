"""What `pdp test` found, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pdp.cli.case_file import FILE
from pdp.cli.cases import Result, told
from pdp.cli.mutants import Fate, Trial
from pdp.cli.policy_files import FileRow
from pdp.cli.row_coverage import Coverage
from pdp.cli.terminal import Part, say

_FATES = {Fate.CAUGHT: "green", Fate.REFUSED: "green", Fate.SURVIVED: "bold red"}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found; `trials` is None where no mutants were tried."""

    results: Sequence[Result]
    coverage: Coverage
    trials: Sequence[Trial] | None

    @property
    def passed(self) -> int:
        """How many cases hold."""
        return sum(result.passed for result in self.results)

    @property
    def survivors(self) -> list[Trial]:
        """Every mutant that no case catches."""
        return [trial for trial in self.trials or () if trial.fate is Fate.SURVIVED]


def show_report(report: Report, *, verbose: bool, coverage: bool) -> None:
    """What is amiss, line by line, then the summary; `verbose` lists what is well, too."""
    for result in report.results:
        _show_result(result, verbose=verbose)
    for row in report.coverage.unexercised if verbose or coverage else ():
        say(("no case ", "bold yellow"), *_row(row))
    for trial in report.trials or ():
        if verbose or trial.fate is Fate.SURVIVED:
            change = f" ({trial.mutant.change})"
            say((f"{trial.fate} ", _FATES[trial.fate]), *_row(trial.mutant.row), change)
    _summarise(report)


def _show_result(result: Result, *, verbose: bool) -> None:
    place = (f"{FILE}:{result.case.line} ", "bold")
    if not result.passed:
        differ = f": expected {told(result.case.expect)}, got {told(result.actual)}"
        say(("FAIL ", "bold red"), place, result.case.name, differ)
    elif verbose:
        say(("pass ", "green"), place, f"{result.case.name}: {told(result.actual)}")


def _row(row: FileRow) -> tuple[Part, Part]:
    file, line = row.place
    return (f"{file}:{line} ", "bold"), row.text


def _summarise(report: Report) -> None:
    cases, rows, trials = len(report.results), len(report.coverage.rows), report.trials
    _count(report.passed, cases, f"{report.passed} of {cases} cases passed", "bold red")
    exercised = report.coverage.exercised
    _count(exercised, rows, f"rows: {exercised} of {rows} exercised", "bold yellow")
    if trials is not None:
        caught = len(trials) - len(report.survivors)
        _count(caught, len(trials), f"mutants: {caught} of {len(trials)} caught", "bold red")


def _count(good: int, all_: int, text: str, otherwise: str) -> None:
    say((text, "bold green" if good == all_ else otherwise))


def json_report(report: Report) -> dict[str, Any]:
    """The same for programs; `mutants` is null where none were tried."""
    return {
        "passed": report.passed,
        "failed": len(report.results) - report.passed,
        "cases": [_case_object(result) for result in report.results],
        "coverage": {
            "rows": len(report.coverage.rows),
            "exercised": report.coverage.exercised,
            "unexercised": [_row_object(row) for row in report.coverage.unexercised],
        },
        "mutants": None if report.trials is None else _mutants_object(report),
    }


def _case_object(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "line": result.case.line,
        "passed": result.passed,
        "expected": result.case.expect,
        "actual": result.actual,
    }


def _mutants_object(report: Report) -> dict[str, Any]:
    fates = [trial.fate for trial in report.trials or ()]
    return {
        "tried": len(fates),
        "caught": len(fates) - len(report.survivors),
        "refused": fates.count(Fate.REFUSED),  # among those that are caught
        "survivors": [
            {**_row_object(trial.mutant.row), "change": trial.mutant.change}
            for trial in report.survivors
        ],
    }


def _row_object(row: FileRow) -> dict[str, Any]:
    file, line = row.place
    return {"file": file, "line": line, "text": row.text}
