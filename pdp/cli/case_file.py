"""Reads `cases.yaml`: decisions that must hold, every one with the line where it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml

from pdp import strict_json
from pdp.cli.times import parse_time
from pdp.cli.yaml_text import member, parse_yaml
from pdp.config import decode, unknown_keys
from pdp.errors import ConfigurationError, Problem, RequestError
from pdp.model import Reason
from pdp.runtime.sources import CASES, read_file
from pdp.surfaces.questions import QuestionBody, parse_body

FILE: Final = CASES
_SHAPE: Final = "write a list of cases, or a mapping with `now` and `cases`"
_ASKED: Final = ("action", "resource", "subject", "context")


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What must come out; what is left out may be anything."""

    status: Literal[200, 400, 401, 403, 404, 429, 503]
    reason: Reason | None = None
    rule: str | None = None  # file:line


class _CaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """A case as written; what it asks has the types of `POST /v1/decision`."""

    action: Any
    resource: Any
    expect: Expectation
    name: str | None = None
    token: dict[str, Any] | None = None
    subject: Any = None
    context: Any = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Case:
    """One question with the expected verdict; `token` holds claims, and may leave some out."""

    name: str
    line: int
    question: QuestionBody
    token: dict[str, Any] | None
    expect: Expectation


@dataclass(frozen=True, slots=True)
class CaseFile:
    """All cases, and the time they are judged at in Unix seconds, if the file says one."""

    now: float | None
    cases: tuple[Case, ...]


def read_cases(directory: Path) -> CaseFile:
    """The cases of a policy directory, or ConfigurationError with every problem of the file."""
    data, problems = read_file(directory / FILE, FILE)
    if data is None:
        raise ConfigurationError(problems)
    node, value = parse_yaml(data, FILE)
    entries, lines, now, problems = _entries(node, value)
    cases: list[Case] = []
    for index, (entry, line) in enumerate(zip(entries, lines, strict=True)):
        case, found = _case(entry, line, index)
        problems += found
        cases += [case] if case else []
    if problems:
        raise ConfigurationError(problems)
    return CaseFile(now, tuple(cases))


def _entries(
    node: yaml.Node | None, value: Any
) -> tuple[list[Any], list[int], float | None, list[Problem]]:
    """The cases with their lines, and the time."""
    problems: list[Problem] = []
    now: float | None = None
    if isinstance(value, dict):
        problems += unknown_keys({str(name): None for name in value}, ("now", "cases"), FILE)
        now, found = _now(value)
        problems += found
        value = value.get("cases")
        node = member(node, "cases")
    if not isinstance(value, list) or not value or not isinstance(node, yaml.SequenceNode):
        return [], [], now, [*problems, Problem(FILE, None, "no-cases", "has no cases", _SHAPE)]
    return value, [item.start_mark.line + 1 for item in node.value], now, problems


def _now(value: dict[Any, Any]) -> tuple[float | None, list[Problem]]:
    if "now" not in value:
        return None, []
    try:
        return parse_time(value["now"]), []
    except ValueError as error:
        return None, [Problem(FILE, None, "wrong-type", f"`now` {error}")]


def _case(entry: Any, line: int, index: int) -> tuple[Case | None, list[Problem]]:
    key = f"cases[{index}]"
    try:
        table = strict_json.loads(json.dumps(entry, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError):
        return None, [Problem(FILE, line, "wrong-type", f"`{key}` holds what JSON cannot say")]
    body, problems = decode(_CaseBody, table, FILE, key)
    if body is None:
        return None, [_at(problem, line) for problem in problems]
    asked = {name: table[name] for name in _ASKED if name in table}
    try:
        question = parse_body(json.dumps(asked).encode(), QuestionBody)
    except RequestError as error:
        message = f"`{key}.{error.field}`: {error.problem}"
        return None, [Problem(FILE, line, "wrong-type", message)]
    return Case(body.name or key, line, question, body.token, body.expect), []


def _at(problem: Problem, line: int) -> Problem:
    return Problem(problem.file, line, problem.code, problem.message, problem.help)
