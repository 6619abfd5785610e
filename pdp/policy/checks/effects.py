"""Checks of how effect, kind and decisions fit together."""

from __future__ import annotations

from collections.abc import Iterator

from pdp.errors import Problem, Severity
from pdp.gently import gently
from pdp.policy.checks.registry import on_text
from pdp.policy.effect import EFFECTS
from pdp.policy.shape import LayerText


@on_text
def unknown_effect(text: LayerText) -> Iterator[Problem]:
    """An effect that is none of Casbin's five, to the letter."""
    definition = text.definition("e")
    if definition is not None and text.effect is None and "#" not in definition.span.value:
        yield definition.problem(
            text.model.file,
            "unknown-effect",
            f"`{definition.span.value}` is none of Casbin's effects",
            "write one of: " + " · ".join(f"`{name}`" for name in EFFECTS),
            0,
            len(definition.span.value),
        )


@on_text
def open_grant(text: LayerText) -> Iterator[Problem]:
    """A grant that allows whatever no rule denies."""
    effect, definition = text.effect, text.definition("e")
    if effect and definition and text.settings.kind == "grant" and not effect.requires_allow:
        yield definition.problem(
            text.model.file,
            "open-grant",
            f"as a grant, `{effect.name}` allows everybody whom no rule denies",
            'use `some(where (p.eft == allow)) && …`, or make the layer `kind = "guard"`',
            0,
            len(definition.span.value),
        )


@on_text
def ignored_deny(text: LayerText) -> Iterator[Problem]:
    """A deny row under an effect that never looks at denies."""
    effect = text.effect
    if effect is None or effect.honours_deny or "deny" not in text.values("eft"):
        return
    for row in gently(text.rules):
        if text.column(row, "eft") == "deny":
            yield Problem(
                text.policy.file,
                row.line,
                "ignored-deny",
                f"under `{effect.name}` this deny row changes nothing",
                "write `e = some(where (p.eft == allow)) && !some(where (p.eft == deny))`",
            )


@on_text
def idle_guard(text: LayerText) -> Iterator[Problem]:
    """A guard that allows what nothing denies, and denies nothing."""
    effect = text.effect
    if effect is None or text.settings.kind != "guard" or effect.requires_allow:
        return
    if "deny" not in text.values("eft"):
        yield Problem(
            text.policy.file,
            None,
            "idle-guard",
            f"under `{effect.name}` a guard without a deny row refuses nobody",
            "write rows that end in `deny`, with `eft` as their last field",
            Severity.WARNING,
        )
