"""`pdp check`: everything that is wrong with a policy directory, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdp.cli.directory import downgrade, load_leniently
from pdp.cli.options import Config, Directory, policy_directory
from pdp.cli.plan import plan_lines
from pdp.cli.policy_files import read_policy_files
from pdp.cli.problems import Format, show, show_github, show_json, show_sarif
from pdp.cli.terminal import say
from pdp.errors import ConfigurationError, Problem, Severity
from pdp.policy.snapshot import Snapshot, check_deeply
from pdp.runtime.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("check")
def check(
    directory: Directory = None,
    *,
    config: Config = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail the check, too.")] = False,
    format_: Annotated[
        Format, typer.Option("--format", help="How to write problems down.")
    ] = Format.TEXT,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show how each layer finds its rules.")
    ] = False,
) -> None:
    """Find every problem of a policy directory.

    Exits with 1 if there are errors. Once there are none, rules are compared with one another.
    For example:

    pdp check policies --strict
    """
    if plan and format_ is not Format.TEXT:
        raise typer.BadParameter("`--plan` is written as text only")
    place = policy_directory(directory)
    problems, snapshot = _find(place, config)
    if format_ is Format.JSON:
        show_json(problems)
    elif format_ is Format.GITHUB:
        show_github(problems, place, config)
    elif format_ is Format.SARIF:
        show_sarif(problems, place, config)
    else:
        _show(problems, snapshot)
        _show_plan(snapshot if plan else None)
    if any(strict or problem.severity is Severity.ERROR for problem in problems):
        raise typer.Exit(1)


def _find(directory: Path, config: Path | None) -> tuple[list[Problem], Snapshot | None]:
    """All problems; a directory that is none is no policy to check: exit 3."""
    try:
        loaded = load_leniently(directory, config)
    except ConfigurationError as error:
        if not directory.is_dir():
            raise
        return downgrade(error.problems), None
    return [*loaded.warnings, *_find_deeply(loaded)], loaded.snapshot


def _find_deeply(loaded: Loaded) -> list[Problem]:
    """What takes a look at all rules together, in a directory that is known to load."""
    policy = read_policy_files(loaded)
    return check_deeply(policy.files, policy.settings.layers)


def _show(problems: list[Problem], snapshot: Snapshot | None) -> None:
    for problem in problems:
        show(problem)
    if problems or snapshot is None:
        errors = sum(problem.severity is Severity.ERROR for problem in problems)
        say(f"{count(errors, 'error')}, {count(len(problems) - errors, 'warning')}")
        return
    layers, rules = len(snapshot.layers), sum(len(layer.rows) for layer in snapshot.layers)
    say(("no problems", "bold green"), f": {count(layers, 'layer')}, {count(rules, 'rule')}")


def _show_plan(snapshot: Snapshot | None) -> None:
    for layer in snapshot.layers if snapshot else ():
        say("")
        for line in plan_lines(layer):
            say(*line)


def count(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
