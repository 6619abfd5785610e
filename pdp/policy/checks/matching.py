"""Checks of `role_matching` and `domain_matching`, which make names of `g` rows patterns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pdp.config import suggest
from pdp.errors import Problem
from pdp.gently import gently
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.matcher.regex import CatastrophicPattern
from pdp.policy.name_patterns import is_pattern
from pdp.policy.roles import WITH_DOMAIN
from pdp.policy.shape import LayerText

MOST_PATTERNS: Final = 1_000  # of a role definition: each question may try all of them
MOST_PAIRS: Final = 2_000_000  # of a role that is a pattern and a name: all are tried at load
_FEW_HELP: Final = "write fewer patterns, or plain names in a layer of their own"
_REPEATS_HELP: Final = "let no two repeats read the same characters: `[^/]+` instead of `.*`"
_ADDRESSES: Final = "ipMatch"  # under which a name that is no address is a name


def check_matching(text: LayerText, settings_file: str) -> list[Problem]:
    """What is wrong with a layer's matching functions, and with names that they make patterns."""
    if not (text.settings.role_matching or text.settings.domain_matching):
        return []
    problems = [*_settings(text, settings_file)]
    if not problems:
        for definition in text.roles:
            problems += _patterns(text, definition)
    return problems


def _settings(text: LayerText, file: str) -> Iterator[Problem]:
    layer = text.settings
    for key in ("role_matching", "domain_matching"):
        for definition, function in getattr(layer, key).items():
            name = f"`layers.{layer.name}.{key}.{definition}`"
            if definition not in text.roles:
                message = f"{name} is no role definition of the model"
                help_ = suggest(definition, text.roles)
                yield Problem(file, None, "matching-definition", message, help_)
            elif key == "domain_matching" and text.roles[definition] not in WITH_DOMAIN:
                message = f"{name}: roles of `{definition}` have no domain"
                help_ = f"define `{definition} = _, _, _`, or use `role_matching`"
                yield Problem(file, None, "matching-domain", message, help_)
            if function not in PATTERN_FUNCTIONS:
                message = f"{name}: `{function}` is no pattern function"
                help_ = suggest(function, PATTERN_FUNCTIONS)
                yield Problem(file, None, "matching-function", message, help_)


def _patterns(text: LayerText, definition: str) -> Iterator[Problem]:
    """Names of rows that do not compile, that are slow to match, or that are too many."""
    links = text.policy.by_type.get(definition, ())
    rows = [row for row in gently(links) if len(row.values) > 1]
    names = {name: row.line for row in gently(reversed(rows)) for name in row.values[:2]}
    placed = (row for row in gently(reversed(rows)) if len(row.values) in WITH_DOMAIN)
    domains = {row.values[2]: row.line for row in placed}
    layer = text.settings
    of_names = layer.role_matching.get(definition)
    if of_names:
        yield from _each(text, of_names, names)
        roles = {r.values[1] for r in gently(rows) if is_pattern(of_names, r.values[1])}
        if len(roles) * len(names) > MOST_PAIRS:
            pairs = (
                f"roles of `{definition}` are patterns: {len(roles):,}, for {len(names):,} names"
            )
            yield Problem(text.policy.file, None, "too-many-patterns", pairs, _FEW_HELP)
    if of_domains := layer.domain_matching.get(definition):
        yield from _each(text, of_domains, domains)


def _each(text: LayerText, function: str, names: dict[str, int]) -> Iterator[Problem]:
    file = text.policy.file
    patterns = [name for name in gently(names) if is_pattern(function, name)]
    if len(patterns) > MOST_PATTERNS:
        message = f"names of role rows are patterns of {function}: {len(patterns):,} of them"
        help_ = f"at most {MOST_PATTERNS:,} are tried for each question: {_FEW_HELP}"
        yield Problem(file, None, "too-many-patterns", message, help_)
        return
    for name in patterns:
        try:
            PATTERN_FUNCTIONS[function](name)
        except CatastrophicPattern as error:
            message = f"`{name}` {error}"
            yield Problem(file, names[name], "catastrophic-pattern", message, _REPEATS_HELP)
        except ValueError as error:
            if function != _ADDRESSES:
                help_ = f"`{function}` reads every name of these role rows as a pattern"
                yield Problem(file, names[name], "bad-pattern", f"`{name}` {error}", help_)
