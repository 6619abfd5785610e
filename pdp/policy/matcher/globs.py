"""Shell patterns with `**` and braces, as pycasbin's globMatch has wcmatch read them."""

from __future__ import annotations

import re
from typing import Any, Final

from casbin.util import builtin_operators

from pdp.policy.matcher.regex import Match, compile_regex

_operators: Any = builtin_operators
glob: Final = _operators.glob  # the wcmatch that pycasbin has
_FLAGS: Final = glob.GLOBSTAR | glob.BRACE
_STARS: Final = re.compile(r"\*{2,}")
# What wcmatch writes for `**`, with and without more behind, and for a star that another follows;
# and the same without look-arounds. None can come of a pattern's own text, where wcmatch escapes.
_DEEP: Final = r"(?:(?!(?:[/]|^)\.).)*?"
_VISIBLE: Final = "[^/.](?:[^/]|/+[^/.])*"
_REWRITTEN: Final = (
    (rf"(?=[/]){_DEEP}(?:^|$|[/]+)(?<=[/])[/]*?)\Z", rf"/+(?:{_VISIBLE}/+)?)\Z"),
    (rf"^(?s:{_DEEP}(?:^|$|[/]+)(?<=[/])[/]*?)\Z", rf"^(?s:(?:/*{_VISIBLE})?/+)\Z"),
    (rf"(?=[/]){_DEEP}(?:^|$|[/]+))\Z", rf"/+(?:{_VISIBLE}/*)?)\Z"),
    (rf"(?=[/]){_DEEP}(?:^|[/]+)", f"(?:/+{_VISIBLE})?/+"),
    (rf"^(?s:{_DEEP}(?:^|$|[/]+))\Z", rf"^(?s:(?:/*{_VISIBLE})?/*)\Z"),
    (rf"^(?s:{_DEEP}(?:^|[/]+)", f"^(?s:(?:/*{_VISIBLE}/+|/*)"),
    ("(?>(?=[^/.])", "(?:(?=[^/.])"),
    ("(?>[^/]*?", "(?:[^/]*?"),
    (r")\Z", r"\Z)"),
)


def compile_glob(pattern: str) -> Match:
    """Whether a whole path matches, in linear time.

    ValueError for what is no shell pattern; CatastrophicPattern if there is no fast way.
    """
    try:
        expressions, _ = glob.translate(_adapted(pattern), flags=_FLAGS)
    except (AttributeError, TypeError):
        raise  # no text: for whoever judges by it, an operand of the wrong type
    except Exception as error:  # noqa: BLE001 - braces can exceed wcmatch's limit, a bare Exception
        raise ValueError(f"is not a shell pattern: {error}") from None
    matches = [compile_regex(_rewritten(expression)) for expression in expressions]

    def match_any(value: Any) -> bool:
        if not isinstance(value, str):
            raise TypeError("is no path")
        return any(match(value) for match in matches)

    return match_any


def _rewritten(expression: str) -> str:
    expression = rf"{expression.removesuffix('$')}\Z"
    for theirs, ours in _REWRITTEN:
        expression = expression.replace(theirs, ours)
    return expression


def _adapted(pattern: str) -> str:
    """The pattern as pycasbin hands it on: `**` is whole segments, or else a star like any other.

    `/a/**` matches `/a`, too, and `*/` at the beginning the empty text before a slash only.
    """
    if pattern.startswith("*/"):
        pattern = pattern[1:]
    parts = pattern.split("/")
    adapted = "/".join(part if part == "**" else _STARS.sub("*", part) for part in parts)
    return f"{{{adapted[:-3]},{adapted}}}" if adapted.endswith("/**") else adapted
