"""Checks of a model file: what Casbin drops, truncates or takes for something else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from pdp.config import suggest
from pdp.errors import Problem
from pdp.gently import gently
from pdp.policy.checks.registry import on_text
from pdp.policy.roles import WITH_DOMAIN
from pdp.policy.shape import LayerText, names
from pdp.policy.text import SECTIONS, Definition

_KEY = re.compile(r"^[rpgem]([2-9]|[1-9]\d+)?$")
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_LIKE_EFT = re.compile(r"^(e|ef|eff|eft|efft|effect|policy_?effect|decision)$", re.IGNORECASE)
_REQUIRED = {
    "r": "[request_definition] with `r = sub, obj, act`",
    "p": "[policy_definition] with `p = sub, obj, act`",
    "e": "[policy_effect] with `e = some(where (p.eft == allow))`",
    "m": "[matchers] with `m = r.sub == p.sub && r.obj == p.obj && r.act == p.act`",
}


@on_text
def stray_line(text: LayerText) -> Iterator[Problem]:
    """A line that is neither `[section]` nor `key = value`."""
    for line, source in text.model.stray:
        yield Problem(
            text.model.file,
            line,
            "stray-line",
            f"`{source}` is neither a section nor `key = value`",
            "put comments on lines of their own, beginning with `#`",
        )


@on_text
def unknown_section(text: LayerText) -> Iterator[Problem]:
    """A section that Casbin never reads."""
    for definition in text.model.definitions:
        if definition.section not in SECTIONS:
            yield _at_key(
                text,
                definition,
                "unknown-section",
                f"Casbin knows no section `{definition.section}`",
                suggest(definition.section, SECTIONS),
            )


@on_text
def unknown_definition(text: LayerText) -> Iterator[Problem]:
    """A key that its section does not have."""
    for definition in text.model.definitions:
        letter = SECTIONS.get(definition.section)
        if letter and not (_KEY.match(definition.key) and definition.key[0] == letter):
            yield _at_key(
                text,
                definition,
                "unknown-definition",
                f"section `{definition.section}` has no key `{definition.key}`",
                f"write `{letter}`, or `{letter}2` and so on",
            )


@on_text
def duplicate_definition(text: LayerText) -> Iterator[Problem]:
    """A key that is defined twice: Casbin takes the last one."""
    seen = Counter((d.section, d.key) for d in text.model.definitions)
    for definition in text.model.definitions:
        if seen[definition.section, definition.key] > 1 and (
            text.model.get(definition.key) is definition
        ):
            yield _at_key(
                text,
                definition,
                "duplicate-definition",
                f"`{definition.key}` is defined twice in `{definition.section}`",
                "keep one of them",
            )


@on_text
def unreached_definition(text: LayerText) -> Iterator[Problem]:
    """A numbered key without its predecessor: Casbin counts up, and stops where one is missing."""
    for definition in text.model.definitions:
        letter, number = definition.key[:1], definition.key[1:]
        if text.model.get(definition.key) is not definition or not _KEY.match(definition.key):
            continue
        before = letter + str(int(number) - 1) if number not in ("", "2") else letter
        if text.model.get(before) is None:
            yield _at_key(
                text,
                definition,
                "unreached-definition",
                f"Casbin reads `{definition.key}` only if there is a `{before}`",
                f"define `{before}`, or rename `{definition.key}`",
            )


@on_text
def missing_definition(text: LayerText) -> Iterator[Problem]:
    """A model without one of its four necessary parts."""
    for letter, help_ in _REQUIRED.items():
        if text.definition(letter) is None:
            yield Problem(
                text.model.file,
                None,
                "missing-definition",
                f"defines no `{letter}{text.settings.section}`",
                f"add {help_}",
            )


@on_text
def cut_continuation(text: LayerText) -> Iterator[Problem]:
    """A continuation that runs into a comment, a blank line or the end: the rest is dropped."""
    for definition in text.model.definitions:
        if definition.cut:
            yield _at_key(
                text,
                definition,
                "cut-continuation",
                "a line that ends in `\\` is not continued, so the definition is cut short",
                "put the next part on the very next line",
            )


@on_text
def inline_comment(text: LayerText) -> Iterator[Problem]:
    """A comment behind a definition, which becomes a part of it, or cuts it."""
    for definition in text.model.definitions:
        at = definition.span.value.find("#")
        # A matcher's are told when it is parsed; a role's parentheses, as what they do.
        told = definition.key.startswith("m") or (
            definition.key.startswith("g") and "(" in definition.span.value
        )
        if at >= 0 and not told:
            yield definition.problem(
                text.model.file,
                "inline-comment",
                f"`#` does not begin a comment behind `{definition.key} = …`",
                "put comments on lines of their own",
                at,
            )


@on_text
def bad_name(text: LayerText) -> Iterator[Problem]:
    """A token or field whose name is no name, or that stands twice."""
    for letter in "rp":
        definition = text.definition(letter)
        found = names(definition)
        for name in dict.fromkeys(found):
            if definition and "#" not in name and (not _NAME.match(name) or found.count(name) > 1):
                wrong = "stands twice" if _NAME.match(name) else "is no name"
                yield definition.problem(
                    text.model.file,
                    "bad-name",
                    f"`{name}` {wrong} in `{definition.key}`",
                    "write plain names, separated by commas: `sub, obj, act`",
                    max(0, definition.span.value.find(name)),
                    len(name),
                )


def _holds_decisions(text: LayerText, name: str) -> bool:
    rules = text.rules
    decisions = ("allow", "deny")
    return bool(rules) and all(text.column(rule, name) in decisions for rule in gently(rules))


@on_text
def misnamed_effect(text: LayerText) -> Iterator[Problem]:
    """A field that is meant to be `eft` and is not: its denies would be allows."""
    definition = text.definition("p")
    if definition is None or "eft" in text.columns:
        return
    for name in text.columns:
        if _LIKE_EFT.match(name) or _holds_decisions(text, name):
            yield definition.problem(
                text.model.file,
                "misnamed-effect",
                f"the field `{name}` has no effect: every row would be an allow",
                "name it `eft`",
                definition.span.value.find(name),
                len(name),
            )


@on_text
def bad_role_definition(text: LayerText) -> Iterator[Problem]:
    """A role definition that is not `_, _` or `_, _, _`, conditional ones included."""
    for key, count in text.roles.items():
        definition = text.model.get(key)
        if definition is None:  # pragma: no cover - roles come from definitions
            continue
        value = definition.span.value
        if "(" in value:
            yield definition.problem(
                text.model.file,
                "conditional-role",
                f"parentheses make the roles of `{key}` conditional",
                f"write `{key} = _, _` or `{key} = _, _, _`",
                value.index("("),
            )
        elif "#" not in value and (
            count not in (2, *WITH_DOMAIN) or value.replace(" ", "") != ",".join("_" * count)
        ):
            yield _at_key(
                text,
                definition,
                "bad-role-definition",
                f"`{key} = {value}` is no role definition",
                f"write `{key} = _, _`, or `{key} = _, _, _` for roles with a domain",
            )


def _at_key(
    text: LayerText, definition: Definition, code: str, message: str, help_: str
) -> Problem:
    return Problem(text.model.file, definition.line, code, message, help_)
