"""Matcher text to a syntax tree, with every node traceable to its line and column.

matcher    = expression                  ; Python's, as simpleeval evaluates it for Casbin
expression = … with "&&", "||" and "!" for "and", "or" and "not"
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from pdp.errors import Problem
from pdp.policy.text import Definition

_TOKEN = re.compile(
    r"""(?P<text>"{3}.*?"{3}|'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<op>&&|\|\||!(?!=))|(?P<bad>[;\#])""",
    re.VERBOSE,
)
_WORDS = {"&&": " and ", "||": " or ", "!": " not "}
_REWRITTEN = re.compile(r"&&|\|\||!(?!=)|\b[rp]\d*\.")
MAX_DEPTH = 100


def _glued(text: str, start: int, end: int) -> bool:
    """Whether the word that replaces an operator would run into a name, or into another word."""
    before, after = text[start - 1 : start], text[end : end + 2]
    negates = after[:1] == "!" and after != "!="
    return any(c.isalnum() or c == "_" for c in (before, after[:1]) if c) or negates


def _glued_not(text: str, start: int, _end: int) -> bool:
    before = text[start - 1 : start]
    return before.isalnum() or before == "_"


_GLUED = {"&&": _glued, "||": _glued, "!": _glued_not}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; `offsets[i]` is where character i of the Python text came from."""

    tree: ast.expr
    python: str
    offsets: tuple[int, ...]
    definition: Definition
    file: str

    def problem(self, node: ast.AST, code: str, message: str, help_: str = "") -> Problem:
        """A problem whose caret marks `node`."""
        start = self._character(getattr(node, "col_offset", 0))
        end = self._character(getattr(node, "end_col_offset", start + 1))
        return self.at(start, end, code, message, help_)

    def at(self, start: int, end: int, code: str, message: str, help_: str = "") -> Problem:
        """A problem that marks characters `start` to `end` of the Python text."""
        return locate(self.file, self.definition, self.offsets, (start, end), code, message, help_)

    def _character(self, byte: int) -> int:
        """Python's trees count bytes of UTF-8."""
        return len(self.python.encode()[:byte].decode(errors="ignore"))

    def source(self, node: ast.AST) -> str:
        """The text of `node`, for messages."""
        return ast.get_source_segment(self.python, node) or ""


def locate(
    file: str,
    definition: Definition,
    offsets: tuple[int, ...],
    span: tuple[int, int],
    code: str,
    message: str,
    help_: str = "",
) -> Problem:
    """A problem at a span of translated text, in terms of the file."""
    last = len(offsets) - 1
    begin = offsets[min(max(0, span[0]), last)]
    end = offsets[min(max(0, span[1]), last)]
    return definition.problem(file, code, message, help_, begin, end - begin)


def parse_expression(definition: Definition, file: str) -> tuple[Expression | None, list[Problem]]:
    """The expression that a definition's value is, or what is wrong with its syntax."""
    text = definition.span.value
    python, offsets, problems = _translate(definition, file)
    if problems:
        return None, problems
    if not text.strip():
        return None, [definition.problem(file, "bad-matcher", "the matcher is empty")]
    try:
        with warnings.catch_warnings():  # Python warns of `\d` in a string; it means what it says
            warnings.simplefilter("ignore")
            tree = ast.parse(python, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, [_syntax_problem(error, definition, file, offsets)]
    if _depth(tree) > MAX_DEPTH:
        return None, [definition.problem(file, "bad-matcher", "is nested too deeply")]
    return Expression(tree, python, offsets, definition, file), []


def _translate(definition: Definition, file: str) -> tuple[str, tuple[int, ...], list[Problem]]:
    """Casbin's operators as Python's, outside of string literals, lengths tracked."""
    text, pieces, offsets, problems, at = definition.span.value, [""], list[int](), [], 0
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        pieces.append(text[at:start])
        offsets.extend(range(at, start))
        word = _WORDS.get(match.group(), match.group())
        pieces.append(word)
        offsets.extend([start] * (len(word) - 1) + [end - 1] if match["op"] else range(start, end))
        problems += _token_problems(match, definition, file)
        at = end
    pieces.append(text[at:])
    offsets.extend(range(at, len(text) + 1))
    return (*_flush_left("".join(pieces), offsets), problems)


def _flush_left(python: str, offsets: list[int]) -> tuple[str, tuple[int, ...]]:
    """Without leading blanks, which Python would take for an indentation."""
    lead = len(python) - len(python.lstrip())
    return python[lead:], tuple(offsets[lead:])


def _token_problems(match: re.Match[str], definition: Definition, file: str) -> list[Problem]:
    wrong = _misread(match, definition.key)
    start, width = match.start(), match.end() - match.start()
    return [definition.problem(file, *wrong, start, width)] if wrong else []


def _misread(match: re.Match[str], key: str) -> tuple[str, str, str] | None:
    """Code, message and help for a token that Casbin takes for something else."""
    if match["bad"]:
        message = f"`{match['bad']}` ends the matcher here, silently"
        return "inline-comment", message, "put comments on lines of their own"
    if match["op"] and _GLUED[match["op"]](match.string, match.start(), match.end()):
        message = f"Casbin reads `{match['op']}` as a part of the name beside it"
        return "glued-operator", message, f"put blanks around `{match['op']}`"
    text, help_ = match["text"] or "", "compare with a policy field or an attribute instead"
    if "#" in text and key.startswith("m"):  # a rule of a row is not cut
        return "rewritten-literal", f"Casbin cuts the matcher at the `#` in {text}", help_
    if _REWRITTEN.search(text):
        return "rewritten-literal", f"Casbin rewrites operators inside the text {text}", help_
    return None


def _syntax_problem(
    error: Exception, definition: Definition, file: str, offsets: tuple[int, ...]
) -> Problem:
    start = (getattr(error, "offset", None) or 1) - 1
    end = max(start + 1, (getattr(error, "end_offset", None) or 0) - 1)
    assigns = re.search(r"(?<![=!<>])=(?!=)", definition.span.value)
    if assigns:
        return definition.problem(
            file, "assignment", "`=` assigns", "compare with `==`", assigns.start(), 1
        )
    message = getattr(error, "msg", None) or "cannot be parsed"
    return locate(
        file, definition, offsets, (start, end), "bad-matcher", f"not an expression: {message}"
    )


def _depth(tree: ast.AST) -> int:
    """How deeply expressions nest, without recursion of our own."""
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth
