"""The registry of checks: a check is a function that yields problems of one code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pdp.errors import Problem
from pdp.policy.matcher.calls import Call
from pdp.policy.shape import LayerText

TextCheck = Callable[[LayerText], Iterator[Problem]]
CallCheck = Callable[[LayerText, Iterable[Call]], Iterator[Problem]]

TEXT_CHECKS: list[TextCheck] = []
CALL_CHECKS: list[CallCheck] = []
DEEP_CHECKS: list[TextCheck] = []


def on_text(check: TextCheck) -> TextCheck:
    """Register a check that reads a layer's text."""
    TEXT_CHECKS.append(check)
    return check


def on_calls(check: CallCheck) -> CallCheck:
    """Register a check that needs to know which functions judge which fields."""
    CALL_CHECKS.append(check)
    return check


def on_all(check: TextCheck) -> TextCheck:
    """Register a check that compares rules with one another, for a sound text only."""
    DEEP_CHECKS.append(check)
    return check
