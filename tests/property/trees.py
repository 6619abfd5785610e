"""Matchers as trees: read from their text the way Casbin reads it, and written again."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Tree:
    """An expression: `parts` are the sides of a connective, `text` is an atom's or `eval`'s."""

    kind: str  # atom, and, or, not, if, eval
    parts: tuple[Tree, ...] = ()
    text: str = ""

    def __str__(self) -> str:
        return self.written(symbolic=True)

    def written(self, *, symbolic: bool) -> str:
        if self.kind in ("atom", "eval"):
            return self.text
        inside = [self._inside(part, symbolic) for part in self.parts]
        if self.kind == "not":
            return f"!({self.parts[0]})" if symbolic else f"not ({inside[0]})"
        if self.kind == "if":
            test, then, otherwise = inside
            return f"({then} if {test} else {otherwise})"
        words = {"and": " && ", "or": " || "} if symbolic else {"and": " and ", "or": " or "}
        return words[self.kind].join(inside)

    def _inside(self, part: Tree, symbolic: bool) -> str:
        text = part.written(symbolic=symbolic)
        return f"({text})" if part.kind in ("and", "or") and self.kind != "not" else text

    def atoms(self) -> list[str]:
        """The texts of all atoms, `eval` not looked into."""
        own = [self.text] if self.kind == "atom" else []
        return own + [text for part in self.parts for text in part.atoms()]


@lru_cache(maxsize=1 << 12)
def read_tree(text: str) -> Tree:
    """The tree of a matcher or of a rule."""
    python = text.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"!(?!=)", " not ", python).strip()
    with warnings.catch_warnings():  # Python warns of `\d` in a text
        warnings.simplefilter("ignore")
        return _tree(python, ast.parse(python, mode="eval").body)


def _tree(python: str, node: ast.expr) -> Tree:
    if isinstance(node, ast.BoolOp):
        kind = "and" if isinstance(node.op, ast.And) else "or"
        return Tree(kind, tuple(_tree(python, side) for side in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return Tree("not", (_tree(python, node.operand),))
    if isinstance(node, ast.IfExp):
        return Tree("if", tuple(_tree(python, n) for n in (node.test, node.body, node.orelse)))
    source = ast.get_source_segment(python, node) or ""
    rule = isinstance(node, ast.Call) and source.startswith("eval(")
    return Tree("eval" if rule else "atom", text=source)
