"""YAML whose values are those of JSON, with the lines where they stand."""

from __future__ import annotations

from typing import Any, Final

import yaml

from pdp.errors import ConfigurationError, Problem

_HEAVIEST: Final = 1_000_000


class _Loader(yaml.SafeLoader):
    """A time stays a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own form
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse_yaml(data: bytes, file: str) -> tuple[yaml.Node | None, Any]:
    """The one document as nodes and as a value; ConfigurationError if it is not YAML."""
    try:
        return _load(data.decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or _first(error)
        line = mark.line + 1 if mark else None
        problem = Problem(file, line, "bad-yaml", f"is not YAML: {why}")
        raise ConfigurationError([problem]) from error


def _load(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None, None
    if _weight(node, {}) > _HEAVIEST:
        raise yaml.YAMLError("aliases write out to too much")
    return node, loader.construct_document(node)


def _first(error: Exception) -> str:
    """The first line of an error's text, or what kind of error it is."""
    return str(error).partition("\n")[0] or type(error).__name__


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes this is with its aliases written out, so that a few do not become millions.

    A node within itself counts nothing: it has no JSON form, and is refused for that.
    """
    if id(node) not in known:
        known[id(node)] = 0
        known[id(node)] = 1 + sum(_weight(child, known) for child in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    """The nodes in this one; no key of a mapping may occur twice."""
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[str] = set()
    for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
        if key.value in seen:
            raise yaml.MarkedYAMLError(None, None, "a key occurs twice", key.start_mark)
        seen.add(key.value)
    return [child for pair in node.value for child in pair]


def member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """The node that a mapping has under `name`, if it is one and has."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)
