"""YAML whose values are those of JSON, with the lines where they stand."""

from __future__ import annotations

from typing import Any

import yaml

from pdp.errors import ConfigurationError, Problem


class _Loader(yaml.SafeLoader):
    """A time stays a text, and no key occurs twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own form
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = "a key occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(data: bytes, file: str) -> tuple[yaml.Node | None, Any]:
    """The one document as nodes and as a value; ConfigurationError if it is not YAML."""
    try:
        loader = _Loader(data.decode("utf-8-sig"))
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", type(error).__name__)
        line = mark.line + 1 if mark else None
        problem = Problem(file, line, "bad-yaml", f"is not YAML: {why}")
        raise ConfigurationError([problem]) from error


def member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """The node that a mapping has under `name`, if it is one and has."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)
