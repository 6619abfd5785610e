"""`pdp test`: do the decisions that must hold still hold?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pdp.cli.case_file import FILE, Expectation, read_cases
from pdp.cli.cases import Actual, Result, judge
from pdp.cli.directory import load_leniently
from pdp.cli.options import Config, Directory, Format, policy_directory
from pdp.cli.problems import show
from pdp.cli.terminal import give_up, say

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("test")
def run_cases(
    directory: Directory = None,
    *,
    config: Config = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List the cases that pass, too.")
    ] = False,
    format_: Annotated[
        Format, typer.Option("--format", help="How to write results down.")
    ] = Format.TEXT,
) -> None:
    """Judge every case of the directory's cases.yaml.

    The clock is the file's `now`, if it has one. Exits with 1 if a case fails. For example:

    pdp test policies -v
    """
    place = policy_directory(directory)
    results = _judge_all(place, config)
    if format_ is Format.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(_report(results))))
    else:
        _show(results, verbose=verbose)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _judge_all(directory: Path, config: Path | None) -> list[Result]:
    loaded = load_leniently(directory, config)
    for problem in loaded.warnings:
        show(problem, error=True)
    if not (directory / FILE).exists():
        help_ = "`pdp init` writes one to start from"
        give_up(f"{directory / FILE} does not exist: there is nothing to test", 3, help_)
    file = read_cases(directory)
    now = time.time() if file.now is None else file.now
    return [judge(case, loaded, now) for case in file.cases]


def _show(results: Sequence[Result], *, verbose: bool) -> None:
    for result in results:
        place = (f"{FILE}:{result.case.line} ", "bold")
        if not result.passed:
            wanted, got = _told(result.case.expect), _told(result.actual)
            differ = f": expected {wanted}, got {got}"
            say(("FAIL ", "bold red"), place, result.case.name, differ)
        elif verbose:
            say(("pass ", "green"), place, f"{result.case.name}: {_told(result.actual)}")
    passed = sum(result.passed for result in results)
    style = "bold green" if passed == len(results) else "bold red"
    say((f"{passed} of {len(results)} cases passed", style))


def _told(verdict: Expectation | Actual) -> str:
    """`403 guard_denied office.csv:5`, as far as it is known."""
    detail = f"({verdict.detail})" if isinstance(verdict, Actual) and verdict.detail else None
    parts = (str(verdict.status), verdict.reason, verdict.rule, detail)
    return " ".join(part for part in parts if part)


def _report(results: Sequence[Result]) -> dict[str, Any]:
    passed = sum(result.passed for result in results)
    return {
        "passed": passed,
        "failed": len(results) - passed,
        "cases": [
            {
                "name": result.case.name,
                "line": result.case.line,
                "passed": result.passed,
                "expected": result.case.expect,
                "actual": result.actual,
            }
            for result in results
        ],
    }
