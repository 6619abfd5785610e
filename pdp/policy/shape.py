"""What a model defines, read leniently: checks judge it, the build step relies on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdp.gently import gently
from pdp.policy.effect import EFFECTS, Effect
from pdp.policy.settings import LayerSettings
from pdp.policy.text import Definition, ModelText, PolicyText, Row

_PLACE = re.compile(r"(?<![A-Za-z0-9_])_(?![A-Za-z0-9_])")


@dataclass(frozen=True, slots=True)
class LayerText:
    """One layer as text: its settings, its model, its rows, and what the model defines.

    `tokens` are the request's, `columns` the policy's, in order; `roles` maps a role definition
    to its number of places; `arity` maps every policy type to its number of fields. `even` tells
    that work must not tell whether a rule speaks of a resource.
    """

    settings: LayerSettings
    model: ModelText
    policy: PolicyText
    tokens: tuple[str, ...]
    columns: tuple[str, ...]
    roles: Mapping[str, int]
    arity: Mapping[str, int]
    even: bool = False

    def definition(self, letter: str) -> Definition | None:
        """The definition that this layer's section uses for `r`, `p`, `e` or `m`.

        Effects are Casbin's own: one without a number serves all sections.
        """
        own = self.model.get(letter + self.settings.section)
        return self.model.get("e") if own is None and letter == "e" else own

    @property
    def ptype(self) -> str:
        """The policy type whose rows this layer judges."""
        return "p" + self.settings.section

    @property
    def rules(self) -> tuple[Row, ...]:
        """The rows that this layer judges, as they stand."""
        return self.policy.by_type.get(self.ptype, ())

    @property
    def effect(self) -> Effect | None:
        """The effect that the model names, if it is one of Casbin's five, to the letter."""
        definition, suffix = self.definition("e"), self.settings.section
        value = definition.span.value if definition else ""
        return EFFECTS.get(value.replace(f"p{suffix}.eft", "p.eft") if suffix else value)

    def column(self, row: Row, name: str) -> str | None:
        """The value of a named field of a rule, or None if the row or the model has none."""
        index = self.columns.index(name) if name in self.columns else len(row.values)
        return row.values[index] if index < len(row.values) else None

    def values(self, name: str) -> frozenset[str]:
        """Every value that a named field of the rules has."""
        if name not in self.columns:
            return frozenset()
        index = self.columns.index(name)
        return frozenset(row.values[index] for row in gently(self.rules) if index < len(row.values))


def read_shape(settings: LayerSettings, model: ModelText, policy: PolicyText) -> LayerText:
    """The layer that a model and a policy file make."""
    keys = [d.key for d in model.definitions if model.get(d.key) is d]
    arity = {
        key: places(model, key) if key[0] == "g" else len(names(model.get(key)))
        for key in keys
        if key[0] in "pg"
    }
    return LayerText(
        settings=settings,
        model=model,
        policy=policy,
        tokens=names(model.get("r" + settings.section)),
        columns=names(model.get("p" + settings.section)),
        roles={key: count for key, count in arity.items() if key[0] == "g"},
        arity=arity,
    )


def names(definition: Definition | None) -> tuple[str, ...]:
    """The comma-separated names of a request or policy definition."""
    if definition is None:
        return ()
    return tuple(name.strip() for name in definition.span.value.split(","))


def places(model: ModelText, key: str) -> int:
    """The number of underscores in a role definition, those of conditions left out."""
    definition = model.get(key)
    return len(_PLACE.findall(definition.span.value.split("(")[0])) if definition else 0
