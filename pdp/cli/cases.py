"""Judges cases by the pipeline, and says where verdict and expectation differ."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from pdp.cli.case_file import FILE, Case, Expectation, read_cases
from pdp.cli.question import understand
from pdp.errors import ConfigurationError, Problem, RequestError
from pdp.identity.claims import identify
from pdp.identity.introspection import identify_introspected
from pdp.model import STATUS, Identity, Outcome, Query, Reason, Rejected, vouched_identity
from pdp.pipeline import decide
from pdp.runtime.load import Loaded

_HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class Actual:
    """What came out; `rule` is `file:line`, `detail` says what could not be understood."""

    status: int
    reason: Reason
    rule: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A case with its outcome, and how long it took."""

    case: Case
    actual: Actual
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything that is expected came out."""
        return self.answered and self.case.expect.rule in (None, self.actual.rule)

    @property
    def answered(self) -> bool:
        """Whether status and reason are those that are expected, whichever row decided."""
        wanted, got = self.case.expect, self.actual
        return wanted.status == got.status and wanted.reason in (None, got.reason)


def judge(case: Case, loaded: Loaded, now: float) -> Result:
    """The verdict on one case at `now`, in Unix seconds, as any surface would give it.

    ConfigurationError for a token where no issuer is configured to have issued it.
    """
    try:
        query = understand(case.question, loaded, presented=case.token is not None)
    except RequestError as error:
        status = STATUS[Outcome.BAD_REQUEST]
        return Result(case, Actual(status, Reason.REQUEST_INVALID, detail=str(error)))
    verdict = decide(query, identity_of(case, query, loaded, now), loaded.snapshot, now)
    rule = str(verdict.rule) if verdict.rule else None
    return Result(case, Actual(verdict.status, verdict.reason, rule))


def told(verdict: Expectation | Actual) -> str:
    """`403 guard_denied office.csv:5`, as far as it is known."""
    detail = f"({verdict.detail})" if isinstance(verdict, Actual) and verdict.detail else None
    parts = (str(verdict.status), verdict.reason, verdict.rule, detail)
    return " ".join(part for part in parts if part)


def failing_cases(loaded: Loaded) -> list[Problem]:
    """The cases of a directory that do not hold, as problems that keep it from going live.

    None where there is no `cases.yaml`, or where `server.activate` is "checked".
    """
    if loaded.server.activate == "checked" or not os.path.lexists(loaded.directory / FILE):
        return []
    try:
        file = read_cases(loaded.directory)
        now = time.time() if file.now is None else file.now
        results = [judge(case, loaded, now) for case in file.cases]
    except ConfigurationError as error:
        return list(error.problems)
    return [_failed(result) for result in results if not result.passed]


def _failed(result: Result) -> Problem:
    expected, got = told(result.case.expect), told(result.actual)
    message = f"`{result.case.name}`: expected {expected}, got {got}"
    help_ = "`pdp test` shows each case; set `server.activate` to `checked` to do without"
    return Problem(FILE, result.case.line, "case-failed", message, help_)


def identity_of(case: Case, query: Query, loaded: Loaded, now: float) -> Identity | Rejected:
    """Who asks: whom the token's claims make it, or the subject that is vouched for."""
    return vouched_identity(query) if case.token is None else _bearer(case, loaded, now)


def _bearer(case: Case, loaded: Loaded, now: float) -> Identity | Rejected:
    """Who a token with these claims, signed well by the issuer they name, would make it."""
    issuers = {issuer.issuer: issuer for issuer in loaded.authentication.issuers}
    if not issuers:
        message = "a `token` is given, but no issuer is configured"
        help_ = "name a `subject`, or add [[authentication.issuers]]"
        raise ConfigurationError([Problem(FILE, case.line, "no-issuer", message, help_)])
    claims: dict[str, Any] = {"iss": next(iter(issuers)), **(case.token or {})}
    issuer = issuers.get(claims["iss"]) if isinstance(claims["iss"], str) else None
    if issuer is None:
        return Rejected(Reason.ISSUER_UNKNOWN)
    if issuer.introspected:
        return identify_introspected({"active": True, **claims}, issuer, now)
    return identify({"aud": issuer.audiences[0], "exp": now + _HOUR, **claims}, issuer, now)
