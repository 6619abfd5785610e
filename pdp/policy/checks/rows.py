"""Checks of a policy file: rows that Casbin drops, misreads, or chokes on when asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pdp.config import suggest
from pdp.errors import Problem
from pdp.gently import gently
from pdp.policy.checks.chains import too_deep
from pdp.policy.checks.registry import on_text
from pdp.policy.order import RoleCycle, subject_depths
from pdp.policy.roles import MAX_EDGES
from pdp.policy.shape import LayerText
from pdp.policy.text import Row

_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})  # Unicode's general categories
_COMMENT = re.compile(r"\s#")
_DECISIONS = ("allow", "deny")


def _at(text: LayerText, row: Row, code: str, message: str, help_: str = "") -> Problem:
    return Problem(text.policy.file, row.line, code, message, help_)


@on_text
def undefined_type(text: LayerText) -> Iterator[Problem]:
    """A row whose type the model does not define: Casbin drops it."""
    if text.policy.by_type.keys() <= text.arity.keys():
        return
    for row in gently(text.policy.rows):
        if row.ptype not in text.arity:
            yield _at(
                text,
                row,
                "undefined-type",
                f"the model defines no `{_shown(row.ptype)}`, so this row is dropped",
                suggest(row.ptype, text.arity),
            )


@on_text
def row_length(text: LayerText) -> Iterator[Problem]:
    """A row with more or fewer fields than its type has."""
    by_type = text.policy.by_type
    lengths = {k: {len(row.values) for row in gently(rows)} for k, rows in by_type.items()}
    if all(given == {text.arity.get(ptype)} for ptype, given in lengths.items()):
        return
    for row in gently(text.policy.rows):
        wanted, given = text.arity.get(row.ptype), len(row.values)
        if wanted is None or wanted == given or not row.balanced:
            continue
        code = "short-row" if given < wanted else "long-row"
        yield _at(
            text,
            row,
            code,
            f"`{row.ptype}` has {wanted} fields, this row has {given}",
            _fields_help(text, row.ptype),
        )


def _fields_help(text: LayerText, ptype: str) -> str:
    definition = text.model.get(ptype)
    return f"the model says `{ptype} = {definition.span.value}`" if definition else ""


@on_text
def unbalanced(text: LayerText) -> Iterator[Problem]:
    """A bracket without its partner, which swallows the commas behind it."""
    for row in gently(text.policy.rows):
        if not row.balanced:
            yield _at(
                text,
                row,
                "unbalanced-bracket",
                "a bracket is not closed, or closes nothing",
                "close it, or leave it out: commas inside brackets do not separate",
            )


def _misread(value: str) -> bool:
    return bool(_COMMENT.search(value)) or value[:1] in ("#", '"', "'")


@on_text
def misread_value(text: LayerText) -> Iterator[Problem]:
    """A comment or quotes, which become a part of the value."""
    for row in text.policy.odd_rows:
        for value in row.values:
            if _COMMENT.search(value) or value.startswith("#"):
                yield _at(
                    text,
                    row,
                    "trailing-comment",
                    f"`{_shown(value)}`: the comment is a part of the value",
                    "put comments on lines of their own, beginning with `#`",
                )
            elif value[:1] in "\"'" and value:
                yield _at(
                    text,
                    row,
                    "quoted-value",
                    f"`{_shown(value)}`: the quotes are a part of the value",
                    "leave the quotes out; brackets protect commas",
                )


@on_text
def control_character(text: LayerText) -> Iterator[Problem]:
    """An invisible character inside a value."""
    for row in text.policy.odd_rows:
        joined = "".join(row.values)
        if joined.isprintable():  # in most of these rows nothing is odd
            continue
        if found := next(filter(_is_invisible, joined), ""):
            yield _at(
                text,
                row,
                "control-character",
                f"a value holds an invisible character, U+{ord(found):04X}",
                "delete it, and write the value anew",
            )


def _is_invisible(character: str) -> bool:
    return character != " " and unicodedata.category(character) in _INVISIBLE


def _shown(value: str) -> str:
    return "".join("?" if _is_invisible(character) else character for character in value)


@on_text
def bad_decision(text: LayerText) -> Iterator[Problem]:
    """An `eft` that is neither `allow` nor `deny`: Casbin passes the row over."""
    if text.values("eft").issubset(_DECISIONS):
        return
    for row in gently(text.rules):
        decision = text.column(row, "eft")
        if decision is not None and decision not in _DECISIONS and not _misread(decision):
            yield _at(
                text,
                row,
                "bad-effect-value",
                f"`{_shown(decision)}` is neither `allow` nor `deny`",
                suggest(decision.lower(), _DECISIONS),
            )


def _is_priority(value: str) -> bool:
    return value.isascii() and value.isdigit()


@on_text
def bad_priority(text: LayerText) -> Iterator[Problem]:
    """A priority that Casbin would sort as text, or not at all."""
    if all(_is_priority(value) for value in gently(text.values("priority"))):
        return
    for row in gently(text.rules):
        priority = text.column(row, "priority")
        if priority is not None and not _is_priority(priority):
            yield _at(
                text,
                row,
                "bad-priority",
                f"the priority `{_shown(priority)}` is no whole number of 0 or more",
                "write 1, 2, 3 …: the smallest is judged first",
            )


@on_text
def deep_roles(text: LayerText) -> Iterator[Problem]:
    """A chain of roles that Casbin stops following."""
    for definition in text.roles:
        links = text.policy.by_type.get(definition, ())
        rows = [row for row in gently(links) if len(row.values) > 1]
        for start, row in too_deep(rows):
            yield _at(
                text,
                row,
                "deep-roles",
                f"`{row.values[1]}` is more than {MAX_EDGES} steps from `{start}`",
                "shorten the chain: Casbin follows it no further",
            )


@on_text
def role_cycle(text: LayerText) -> Iterator[Problem]:
    """Roles that go round under subjectPriority, whose order is then undefined."""
    effect = text.definition("e")
    if effect is None or not effect.span.value.startswith("subjectPriority"):
        return
    if "g" not in text.roles:
        yield effect.problem(
            text.model.file,
            "missing-definition",
            "subjectPriority needs roles",
            "define `g = _, _`",
        )
        return
    try:
        subject_depths(r.values for r in text.policy.by_type.get("g", ()) if len(r.values) > 1)
    except RoleCycle:
        yield Problem(
            text.policy.file,
            None,
            "role-cycle",
            "the roles of `g` go round, and subjectPriority cannot order them",
            "break the circle",
        )
