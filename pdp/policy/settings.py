"""The sections of `pdp.toml` that say which layers there are and what is concealed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pdp.errors import Problem
from pdp.policy.matcher.functions import compile_key_match2
from pdp.policy.matcher.regex import pattern_code

Refusal = Literal["guard_denied", "insufficient_scope", "step_up_required"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class LayerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[[layers]]`: a Casbin model with its policy file, as a guard or as a grant."""

    name: Name
    kind: Literal["guard", "grant"]
    model: str
    policy: str
    section: Literal["", "2", "3", "4"] = ""  # "2" judges by r2, p2, e2 and m2
    reason: Refusal = "guard_denied"  # what a guard's refusal is called, and answered with
    request: dict[str, str] = {}  # templates of request tokens; others have defaults
    # Casbin's matching functions, by role definition: what programs set there in code.
    role_matching: dict[str, str] = {}
    domain_matching: dict[str, str] = {}
    scan_limit: Annotated[int, msgspec.Meta(ge=1)] = 10_000  # rules tried one by one, at worst


class ConcealmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[concealment]`: whose existence a refusal must not reveal."""

    resources: tuple[str, ...] = ()  # keyMatch2 patterns
    reveal_action: str = "GET"
    unknown_resource: Literal[404, 403] = 404


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides besides models, rules and entities."""

    layers: tuple[LayerSettings, ...] = ()
    concealment: ConcealmentSettings = ConcealmentSettings()


# A directory that holds only these two files, as every Casbin user has, is one grant layer.
CASBIN_PAIR = LayerSettings(name="policy", kind="grant", model="model.conf", policy="policy.csv")


def check_settings(settings: PolicySettings, file: str) -> list[Problem]:
    """What is wrong with these sections beyond their types."""
    problems = []
    names = [layer.name for layer in settings.layers]
    if not any(layer.kind == "grant" for layer in settings.layers):
        problems.append(
            Problem(
                file,
                None,
                "no-grant",
                "there is no layer that could grant anything",
                'add a [[layers]] with `kind = "grant"`',
            )
        )
    problems += [
        Problem(file, None, "duplicate-layer", f"two layers are named `{name}`")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return problems + _check_concealment(settings.concealment, file)


def _check_concealment(concealment: ConcealmentSettings, file: str) -> list[Problem]:
    problems = []
    if concealment.resources and concealment.unknown_resource != 404:  # noqa: PLR2004
        problems.append(
            Problem(
                file,
                None,
                "revealing-status",
                "`concealment.unknown_resource` tells hidden resources from absent ones",
                "leave it at 404 where anything is concealed",
            )
        )
    for pattern in concealment.resources:
        try:
            compile_key_match2(pattern)
        except ValueError as error:
            message = f"`concealment.resources`: `{pattern}` {error}"
            problems.append(Problem(file, None, pattern_code(error), message))
    return problems
