"""What can be wrong with a policy, one function per problem code."""

from __future__ import annotations

from collections.abc import Iterable

from pdp.errors import Problem
from pdp.policy.checks import calls, deep, effects, model, rows
from pdp.policy.checks.registry import CALL_CHECKS, DEEP_CHECKS, TEXT_CHECKS
from pdp.policy.matcher.calls import Call
from pdp.policy.shape import LayerText

__all__ = ["calls", "check_calls", "check_text", "deep", "deep_checks", "effects", "model", "rows"]


def check_text(text: LayerText) -> list[Problem]:
    """Every problem that a layer's text has, before anything is compiled."""
    return [problem for check in TEXT_CHECKS for problem in check(text)]


def check_calls(text: LayerText, found: Iterable[Call]) -> list[Problem]:
    """Every problem of values that functions of the matcher judge."""
    calls_ = list(found)
    return [problem for check in CALL_CHECKS for problem in check(text, calls_)]


def deep_checks(text: LayerText) -> list[Problem]:
    """What is odd about a layer's rules as a whole, in the order of its lines.

    The text must be one that a layer was built of. Near-linear in its rows, but not for every load.
    """
    found = [problem for check in DEEP_CHECKS for problem in check(text)]
    return sorted(found, key=lambda problem: problem.line or 0)
