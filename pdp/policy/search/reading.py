"""What matchers say of the open part, read from their text: its name, and its properties."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pdp.policy.facts import Facts, Source
from pdp.policy.layer import Layer
from pdp.policy.matcher.rules import eval_columns
from pdp.policy.matcher.scope import Scope
from pdp.policy.matcher.syntax import Expression, parse_expression
from pdp.policy.search.opening import PLAIN, Naming, naming_of
from pdp.policy.text import Definition, Span

_FIXED = {"id", "name"}


@lru_cache(maxsize=1 << 10)
def read(text: str) -> Expression | None:
    """An expression that was compiled before; None for what is no text of one."""
    return parse_expression(Definition("", "p", 0, Span(text, ((0, 0, 1, text),))), "")[0]


def expressions(layer: Layer) -> Iterator[Expression]:
    """The matcher, side by side, and the distinct rules of its `eval` columns."""
    for part in layer.clause.parts:
        whole = read(part.python)
        if whole is None:
            continue
        yield whole
        for column in eval_columns(whole, part.scope):
            place = part.scope.columns[column]
            for text in {row.values[place] for row in layer.rows}:
                rule = read(text)
                if rule is not None:
                    yield rule


def scope_of(layer: Layer) -> Scope:
    """What names mean in a layer."""
    return layer.clause.parts[0].scope


@dataclass(frozen=True, slots=True)
class Reader:
    """Recognizes the open part in a layer's matcher, for one question."""

    scope: Scope
    source: Source
    facts: Facts  # with that part open

    def naming(self, node: ast.AST) -> Naming | None:
        """How `node` names the open part: as a token, or as `r.subject.id` and its like."""
        path = self._path(node)
        if len(path) == 1 and path[0] in self.scope.tokens:
            return naming_of(self.scope.tokens[path[0]][1], self.facts, self.source)
        whole = path[:1] == [self.source] and self.source not in self.scope.tokens
        return PLAIN if whole and len(path) > 1 and path[1] in _FIXED else None

    def property(self, node: ast.AST) -> tuple[str, ...] | None:
        """Which property of the open part `node` is, by its path, if it is one."""
        path = self._path(node)
        if not path:
            return None
        token = self.scope.tokens.get(path[0])
        if token is not None:
            of = token[1].entity
            return tuple(path[1:]) if of is self.source and len(path) > 1 else None
        known = path[:2] == [self.source, "properties"] and len(path) > len(("r", "p"))
        return tuple(path[2:]) if known else None

    def reads_type(self, node: ast.AST) -> bool:
        """Whether `node` is the type of the open part, by itself or within a token."""
        path = self._path(node)
        if len(path) == 1 and path[0] in self.scope.tokens:
            found = naming_of(self.scope.tokens[path[0]][1], self.facts, self.source)
            template = self.scope.tokens[path[0]][1]
            return template.path == f"{self.source}.type" or bool(found and found.typed)
        return path == [self.source, "type"]

    def _path(self, node: ast.AST) -> list[str]:
        """`["sub", "age"]` of `r.sub.age`; empty for anything else."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        return names if isinstance(node, ast.Name) and node.id == self.scope.request else []

    def column(self, node: ast.AST) -> int | None:
        """The policy column that `node` is."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            here = node.value.id == self.scope.policy
            return self.scope.columns.get(node.attr) if here else None
        return None
