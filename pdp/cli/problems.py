"""Problems as text for people, JSON for programs, and annotations for code hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib import resources
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import msgspec
import typer

from pdp import __version__
from pdp.cli.terminal import say
from pdp.errors import ConfigurationError, Problem, Severity
from pdp.policy import checks
from pdp.policy.checks.codes import FILE, Code, read_codes


class Format(StrEnum):
    """How problems are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
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


def show_sarif(problems: Iterable[Problem], directory: Path, config: Path | None) -> None:
    """A log of one run, as GitHub's code scanning and most other hosts read it."""
    found = [(problem, _path(problem.file, directory, config)) for problem in problems]
    typer.echo(msgspec.json.format(msgspec.json.encode(sarif(found, known_codes()))))


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


def known_codes() -> Mapping[str, Code]:
    """What the codes of policies mean."""
    return read_codes((resources.files(checks) / FILE).read_bytes())


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


def sarif(problems: Iterable[tuple[Problem, str]], codes: Mapping[str, Code]) -> dict[str, Any]:
    """A SARIF 2.1.0 log of problems with their paths; its rules are all `codes`, and those found.

    Codes that are not in `codes` are those of the configuration beside the policy.
    """
    found = list(problems)
    ids = list(dict.fromkeys([*codes, *(problem.code for problem, _ in found)]))
    rules = [_rule(code, codes.get(code)) for code in ids]
    results = [_result(problem, path, ids.index(problem.code)) for problem, path in found]
    driver = {"name": "pdp", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str, code: Code | None) -> dict[str, Any]:
    if code is None:
        return {"id": name}
    examples = f"Instead of:\n\n{_indented(code.bad)}\n\nwrite:\n\n{_indented(code.good)}"
    return {
        "id": name,
        "shortDescription": {"text": code.what},
        "fullDescription": {"text": f"{code.what} {code.why}"},
        "help": {"text": f"{code.instead}\n\n{examples}"},
        "defaultConfiguration": {"level": code.severity.value},
    }


def _indented(example: str) -> str:
    return "\n".join(f"    {line}" for line in example.split("\n"))


def _result(problem: Problem, path: str, index: int) -> dict[str, Any]:
    message = f"{problem.message}\n{problem.help}" if problem.help else problem.message
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(PurePath(path).as_posix())}}
    if problem.line is not None:
        place["region"] = _region(problem)
    return {
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": problem.severity.value,
        "message": {"text": message},
        "locations": [{"physicalLocation": place}],
    }


def _region(problem: Problem) -> dict[str, Any]:
    """Lines and columns count from 1; `endColumn` is the first behind what is marked."""
    if problem.column is None:
        return {"startLine": problem.line}
    end = problem.column + max(1, problem.width)
    return {"startLine": problem.line, "startColumn": problem.column, "endColumn": end}
