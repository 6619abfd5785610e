"""`pdp test`: do the decisions that must hold still hold, and would they notice a change?"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from pdp.cli.case_file import FILE, Case, CaseFile, read_cases
from pdp.cli.case_report import Report, json_report, show_report
from pdp.cli.cases import Result, judge
from pdp.cli.directory import load_leniently
from pdp.cli.junit import write_junit
from pdp.cli.mutants import Trial, attempt, breed
from pdp.cli.options import Config, Directory, Format, policy_directory
from pdp.cli.policy_files import PolicyFiles, read_policy_files
from pdp.cli.problems import show
from pdp.cli.row_coverage import measure
from pdp.cli.terminal import give_up, say
from pdp.runtime.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_ALL = 100


def _percentage(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= _ALL:  # nor is it "nan", which is no such range's
        raise typer.BadParameter("must be from 0 to 100")
    return value


Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="List what is well, too, and rows without a case."),
]
ListRows = Annotated[
    bool, typer.Option("--coverage", help="List the policy rows that no case exercises.")
]
FailUnder = Annotated[
    float | None,
    typer.Option(
        metavar="PERCENT",
        callback=_percentage,
        show_default=False,
        help="Fail if fewer of the policy rows are exercised.",
    ),
]
Mutate = Annotated[
    bool,
    typer.Option("--mutate", help="Drop or flip each policy row in turn; fail if no case notices."),
]
Junit = Annotated[
    Path | None,
    typer.Option(metavar="FILE", show_default=False, help="Write the cases as JUnit XML, too."),
]
Written = Annotated[Format, typer.Option("--format", help="How to write results down.")]


@app.command("test")
def run_cases(  # noqa: PLR0913 - the options, each by its name
    directory: Directory = None,
    *,
    config: Config = None,
    verbose: Verbose = False,
    coverage: ListRows = False,
    fail_under: FailUnder = None,
    mutate: Mutate = False,
    junit: Junit = None,
    format_: Written = Format.TEXT,
) -> None:
    """Judge every case of the directory's cases.yaml.

    The clock is the file's `now`, if it has one. Exits with 1 if a case fails. For example:

    pdp test policies --fail-under 100 --mutate
    """
    report = _examine(policy_directory(directory), config, mutate=mutate)
    if format_ is Format.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(json_report(report))))
    else:
        show_report(report, verbose=verbose, coverage=coverage)
    if junit is not None:
        write_junit(junit, report.results)
    if _fails(report, fail_under, mutate=mutate):
        raise typer.Exit(1)


def _examine(directory: Path, config: Path | None, *, mutate: bool) -> Report:
    loaded, file = _load(directory, config)
    policy = read_policy_files(loaded)
    now = time.time() if file.now is None else file.now
    results = [_timed(case, loaded, now) for case in file.cases]
    coverage = measure(policy.rows(), file.cases, loaded, now)
    # Where a case fails anyhow, failing says nothing about a mutant.
    holds = mutate and all(result.passed for result in results)
    trials = _try_mutants(policy, loaded, file.cases, now) if holds else None
    return Report(results, coverage, trials)


def _load(directory: Path, config: Path | None) -> tuple[Loaded, CaseFile]:
    loaded = load_leniently(directory, config)
    for problem in loaded.warnings:
        show(problem, error=True)
    if not (directory / FILE).exists():
        help_ = "`pdp init` writes one to start from"
        give_up(f"{directory / FILE} does not exist: there is nothing to test", 3, help_)
    return loaded, read_cases(directory)


def _timed(case: Case, loaded: Loaded, now: float) -> Result:
    start = time.perf_counter()
    result = judge(case, loaded, now)
    return replace(result, seconds=time.perf_counter() - start)


def _try_mutants(
    policy: PolicyFiles, loaded: Loaded, cases: Sequence[Case], now: float
) -> list[Trial]:
    """Every mutant's fate, with a bar on standard error if that is a terminal."""
    watched = track(
        list(breed(policy)),
        "mutants",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),  # whatever FORCE_COLOR says
    )
    return [attempt(mutant, policy, loaded, cases, now) for mutant in watched]


def _fails(report: Report, fail_under: float | None, *, mutate: bool) -> bool:
    """Whether anything is not as it was asked for; what the results do not show is told here."""
    low = fail_under is not None and not report.coverage.reaches(fail_under)
    if low:
        told = f"fewer than {fail_under:g} % of the policy rows are exercised"
        say(("error: ", "bold red"), told, error=True)
    if mutate and report.trials is None:
        told = "no mutants were tried, because cases fail that should hold"
        say(("error: ", "bold red"), told, error=True)
    return low or report.passed < len(report.results) or bool(report.survivors)
