"""The request tokens of a layer: the templates that fill them, and what they mean in a matcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdp.config import suggest
from pdp.errors import Problem
from pdp.policy.matcher.scope import Scope
from pdp.policy.shape import LayerText
from pdp.policy.template import DEFAULTS, Template, compile_template


def templates_of(text: LayerText, file: str) -> tuple[dict[str, Template], list[Problem]]:
    """Every request token's template, given or default."""
    layer, given = f"layers.{text.settings.name}", text.settings.request
    templates: dict[str, Template] = {}
    problems = [
        Problem(
            file,
            None,
            "unknown-token",
            f"`{layer}.request.{token}` is no token of the model's request",
            suggest(token, text.tokens),
        )
        for token in given
        if token not in text.tokens
    ]
    for token in text.tokens:
        source = given.get(token, DEFAULTS.get(token))
        if source is None:
            help_ = f'write `request = {{ {token} = "{{context.{token}}}" }}` or its like'
            problems.append(
                Problem(
                    file,
                    None,
                    "unfilled-token",
                    f"nothing fills the request token `{token}` of layer `{text.settings.name}`",
                    help_,
                )
            )
            continue
        try:
            templates[token] = compile_template(source)
        except ValueError as error:
            message = f"`{layer}.request.{token}` {error}"
            problems.append(Problem(file, None, "bad-template", message))
    return templates, problems


def uncertain(text: LayerText, templates: Mapping[str, Template]) -> Iterable[Template]:
    """Templates whose values a frame keeps: all but those that are one step away."""
    return (templates[token] for token in text.tokens if templates[token].path is None)


def scope_of(text: LayerText, templates: Mapping[str, Template]) -> Scope:
    """What names mean in the matcher of a layer."""
    suffix, kept = text.settings.section, list(uncertain(text, templates))
    return Scope(
        request="r" + suffix,
        policy="p" + suffix,
        tokens={
            token: (kept.index(template) if template in kept else -1, template)
            for token, template in templates.items()
        },
        columns={column: i for i, column in enumerate(text.columns)},
        roles=text.roles,
    )
