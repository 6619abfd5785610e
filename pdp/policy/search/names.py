"""Which names a policy knows of subjects, resources and actions: its literals, and its `g` rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pdp.policy.layer import Layer
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.roles import RoleGraph
from pdp.policy.search.opening import Naming
from pdp.policy.search.reading import Reader, expressions
from pdp.policy.search.spelled import spelled

_PATTERN = re.compile(r"[*^$+?|()\[\]{}\\]|(?:^|/):")


@dataclass(frozen=True, slots=True)
class Mention:
    """Something of a layer that the name of an open part is compared with.

    `of` is a policy column, a text of the matcher, or a role definition (whose members are meant).
    `function` is the pattern function that compares, if one does.
    """

    layer: str
    naming: Naming
    of: int | str | RoleGraph
    function: str | None = None


def mentions(layer: Layer, reader: Reader) -> Iterator[Mention]:
    """Everything that the open part is compared with in a layer."""
    for expression in expressions(layer):
        for node in ast.walk(expression.tree):
            if isinstance(node, ast.Compare):
                yield from _compared(layer, reader, node)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield from _called(layer, reader, node, node.func.id)


def _compared(layer: Layer, reader: Reader, node: ast.Compare) -> Iterator[Mention]:
    sides = [node.left, *node.comparators]
    for side in sides:
        naming = reader.naming(side)
        if naming:
            others = (other for other in sides if other is not side)
            for text in (text for other in others for text in _texts(reader, other)):
                yield Mention(layer.name, naming, text)


def _texts(reader: Reader, node: ast.AST) -> Iterator[int | str]:
    column = reader.column(node)
    if column is not None:
        yield column
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for item in node.elts:
            yield from _texts(reader, item)


def _called(layer: Layer, reader: Reader, node: ast.Call, name: str) -> Iterator[Mention]:
    naming = reader.naming(node.args[0]) if node.args else None
    if naming is None:
        return
    if name in layer.graphs:
        yield Mention(layer.name, naming, layer.graphs[name])
    function = name if name in PATTERN_FUNCTIONS else None
    if function or name in layer.graphs:
        for text in _texts(reader, node.args[1]):
            yield Mention(layer.name, naming, text, function)


def names_of(layer: Layer, mention: Mention) -> Iterable[str]:
    """The names that a mention of this layer spells out, with repetitions."""
    of = mention.of
    if isinstance(of, RoleGraph):
        return _members(of)
    if isinstance(of, str):
        return spelled(mention.function, of)
    texts = {row.values[of] for row in layer.rows}
    return (name for text in texts for name in spelled(mention.function, text))


def _members(graph: RoleGraph) -> Iterator[str]:
    """Those who have roles; where names are patterns, without those that look like one."""
    plain = type(graph) is RoleGraph
    for links in graph.links.values():
        for member in links:
            if plain or not _PATTERN.search(member):
                yield member


def is_group(graphs: Iterable[RoleGraph]) -> Callable[[str], bool]:
    """What tells whether a name is a role, which somebody else can hold."""
    known = list(graphs)
    names = frozenset[str]().union(*(graph.names() for graph in known))
    patterns = [graph for graph in known if not graph.listed]
    return lambda name: name in names or any(graph.matches_role(name) for graph in patterns)
