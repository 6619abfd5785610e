"""The error tree: whose fault it is decides what the asker sees.

PdpError
├── ConfigurationError   the operator's or policy author's: problems by file, line, code; exit 3
├── RequestError         the caller's: 400, naming the field or header
└── Unavailable          ours, or an upstream's: 503
    ├── KeysUnavailable      an issuer's keys were never loaded
    └── DeadlineExceeded     a bound on waiting was hit
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pdp.model import Reason


class Severity(StrEnum):
    """Errors keep a policy from going live; warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where, a stable code, what, and what to write instead.

    `line` and `column` count from 1 and are None where the whole file is meant. `source` is the
    offending line, `width` how many characters of it, from `column`, a caret should mark.
    """

    file: str
    line: int | None
    code: str
    message: str
    help: str = ""
    severity: Severity = Severity.ERROR
    column: int | None = None
    width: int = 1
    source: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} {self.code} {self.message}"

    def caret(self) -> str:
        """The offending line with a caret line below it, or an empty string."""
        if not self.source or self.column is None:
            return ""
        indent = "".join("\t" if c == "\t" else " " for c in self.source[: self.column - 1])
        return f"{self.source}\n{indent}{'^' * max(1, self.width)}"


class Unusable(Exception):
    """Why a file, a row of it or a secret cannot be used; quotes nothing that may be secret."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code = code
        self.help = help_

    def problem(self, file: str, line: int | None = None) -> Problem:
        """The same, with its place."""
        return Problem(file, line, self.code, str(self), self.help)


class PdpError(Exception):
    """The root of every error that is ours."""


class ConfigurationError(PdpError):
    """The configuration or the policy cannot be loaded; carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(p) for p in self.problems))


class RequestError(PdpError):
    """A question that cannot be understood.

    `field` names a member or a header; neither it nor `problem` holds a byte of what was sent.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}" if field else problem)

    def below(self, prefix: str) -> RequestError:
        """The same, of a field that stands at `prefix`."""
        return RequestError(prefix + self.field, self.problem)


class Unavailable(PdpError):
    """The PDP could not decide: 503, whatever the question was."""

    reason = Reason.INTERNAL_ERROR


class KeysUnavailable(Unavailable):
    """No key of the token's issuer has been loaded so far."""

    reason = Reason.KEYS_UNAVAILABLE


class DeadlineExceeded(Unavailable):
    """A bounded wait ran out."""

    reason = Reason.DEADLINE_EXCEEDED
