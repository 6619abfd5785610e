"""Problems as text for people, JSON for programs, and annotations for GitHub."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec
import typer

from pdp.cli.terminal import say
from pdp.errors import ConfigurationError, Problem, Severity


class Format(StrEnum):
    """How problems are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}


def show(problem: Problem, *, error: bool = False) -> None:
    """`file:line code message`, the line with a caret, and the help line."""
    place = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
    warning = "warning: " if problem.severity is Severity.WARNING else ""
    style = _STYLES[problem.severity]
    say((place, "bold"), " ", (problem.code, style), f" {warning}{problem.message}", error=error)
    for line in problem.caret().splitlines():
        say(f"    {line}", error=error)
    if problem.help:
        say("    help: ", problem.help, error=error)


def show_refusal(error: ConfigurationError) -> None:
    """Every problem on standard error."""
    for problem in error.problems:
        show(problem, error=True)


def show_json(problems: Iterable[Problem]) -> None:
    """An array of objects with all fields."""
    typer.echo(msgspec.json.format(msgspec.json.encode(list(problems))))


def show_github(problems: Iterable[Problem], directory: Path, config: Path | None) -> None:
    """One workflow command a problem, which GitHub shows beside the line."""
    for problem in problems:
        typer.echo(annotation(problem, _path(problem.file, directory, config)))


def annotation(problem: Problem, path: str) -> str:
    """`::error file=…,line=…,col=…,title=code::message`."""
    properties = {
        "file": path,
        "line": problem.line,
        "col": problem.column,
        "title": problem.code,
    }
    given = (f"{k}={_property(str(v))}" for k, v in properties.items() if v is not None)
    message = f"{problem.message}\n{problem.help}" if problem.help else problem.message
    return f"::{problem.severity} {','.join(given)}::{_data(message)}"


def _data(text: str) -> str:
    """What follows `::`, as GitHub's own toolkit escapes it; `%` goes first."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _path(file: str, directory: Path, config: Path | None) -> str:
    """A problem's file as a path from here: GitHub knows no policy directory."""
    if config is not None and file == config.name:
        return os.path.relpath(config)
    path = directory / file
    return os.path.relpath(path) if path.exists() or path.suffix else file
