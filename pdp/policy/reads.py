"""Which properties and facts a policy reads: what a record needs so that it can be judged again."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from pdp.gently import gently, growing
from pdp.policy.facts import Facts, Known, Source
from pdp.policy.layer import Layer
from pdp.policy.matcher.rules import eval_columns
from pdp.policy.matcher.scope import NameProblem, Scope
from pdp.policy.matcher.syntax import Expression, parse_expression
from pdp.policy.matcher.terms import EVALUATION_ERRORS
from pdp.policy.text import Definition, Span

Path = tuple[str, ...]
Noted = Mapping[Source, Counter[Path]]
_MOST: Final = 200  # names of one source that are recorded
_EMPTY: Final = ""
# Texts and numbers; and what makes it unclear where a text begins or ends.
_LITERAL: Final = re.compile(
    r"""(?<!\w)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<![\w.])[0-9]+(?:\.[0-9]+)?(?![\w.])"""
)
_THRICE: Final = re.compile(r"""\"\"\"|'''""")
_UNCLEAR: Final = re.compile(r"""["'#]""")


class Reads(msgspec.Struct, frozen=True):
    """Paths of properties and of context facts, the shortest only: `("address", "city")`.

    `whole` tells that the context is read as a whole.
    """

    subject: tuple[Path, ...] = ()
    resource: tuple[Path, ...] = ()
    action: tuple[Path, ...] = ()
    context: tuple[Path, ...] = ()
    whole: bool = False


NOTHING: Final = Reads()


class _Probe(str):
    """Stands for any value, and notes which of its members is asked for.

    It is text, so that templates fill it in, and a mapping, so that paths lead through it.
    """

    __slots__ = ("path", "read")
    path: Path
    read: Counter[Path]  # how often; what was only on the way is counted off

    @classmethod
    def at(cls, path: Path, read: Counter[Path]) -> _Probe:
        probe = cls(_EMPTY)
        probe.path, probe.read = path, read
        return probe

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: Any) -> Any:
        path = (*self.path, str(name))
        if self.path and self.read[self.path]:
            self.read[self.path] -= 1
        self.read[path] += 1
        return _Probe.at(path, self.read)

    def get(self, name: str, _default: object = None) -> Any:
        return self[name]

    def keys(self) -> tuple[str, ...]:
        """As `{**context}` asks: everything is read."""
        self.read[self.path] += 1
        return ()


Mapping.register(_Probe)


def reads_of(layers: Iterable[Layer]) -> Reads:
    """What the templates, matchers and rules of these layers read, whichever rule decides."""
    read: Noted = {source: Counter() for source in Source}
    for layer in layers:
        _probe(layer, read)
    found = {source: _shortest(set(+paths)) for source, paths in read.items()}
    whole = read[Source.CONTEXT][()] > 0
    known = Reads(
        subject=found[Source.SUBJECT],
        resource=found[Source.RESOURCE],
        action=found[Source.ACTION],
        context=() if whole else found[Source.CONTEXT],
        whole=whole,
    )
    return NOTHING if known == NOTHING else known


def _probe(layer: Layer, read: Noted) -> None:
    def known(source: Source) -> Known:
        return Known(_EMPTY, _EMPTY, (_anything(source, read),))

    context = _anything(Source.CONTEXT, read)
    subject, resource, action = map(known, (Source.SUBJECT, Source.RESOURCE, Source.ACTION))
    frame = layer.frame(Facts(subject, resource, action, context, (), 0.0))
    for expression, scope in _expressions(layer):
        for path in _chains(expression.tree, scope):
            try:
                value, _ = scope.resolve(list(path))
                found = value(frame, ())
            except (*EVALUATION_ERRORS, NameProblem):
                continue  # a policy's column, or a part of the time: nothing of the question
            if isinstance(found, _Probe):
                found.read[found.path] += 1  # all of it, which may be on the way elsewhere


def _anything(source: Source, read: Noted) -> Any:
    return _Probe.at((), read[source])


def _expressions(layer: Layer) -> Iterator[tuple[Expression, Scope]]:
    """The matcher's parts, and one of each form of the rules in columns that it evaluates."""
    for part in layer.clause.parts:
        expression = _compiled(part.python)
        yield expression, part.scope
        for column in eval_columns(expression, part.scope):
            index = part.scope.columns[column]
            forms = growing()
            for row in gently(layer.rows):
                form = _form(row.values[index]) if index < len(row.values) else None
                if form is not None and form not in forms:
                    forms[form] = row.values[index], row.line
            rules = (_rule(text, line, layer.file) for text, line in gently(forms.values()))
            yield from ((rule, part.scope) for rule in rules if rule is not None)


def _form(rule: str) -> str:
    """What two rules have in common that differ in texts and numbers only: these read the same."""
    form = _LITERAL.sub("0", rule)
    return rule if _THRICE.search(rule) or _UNCLEAR.search(form) else form


def _compiled(python: str) -> Expression:
    """What has been compiled before, and is therefore known to be good."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(python, mode="eval").body
    definition = Definition("", "", 0, Span(python, ((0, 0, 0, python),)))
    return Expression(tree, python, tuple(range(len(python) + 1)), definition, "")


def _rule(text: str, line: int, file: str) -> Expression | None:
    definition = Definition("", "", line, Span(text, ((0, line, 1, text),)))
    return parse_expression(definition, file)[0]


def _chains(tree: ast.AST, scope: Scope) -> Iterator[Path]:
    """Every `r.x.y`, each as long as it is written."""
    todo = [tree]
    while todo:
        node = todo.pop()
        path = _dotted(node)
        if path is None:
            todo += ast.iter_child_nodes(node)
        elif path[0] == scope.request and len(path) > 1:
            yield path


def _dotted(node: ast.AST) -> Path | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) and names else None


def _shortest(paths: set[Path]) -> tuple[Path, ...]:
    """Without those within another: where all of an object is read, its parts are, too."""
    kept = [p for p in sorted(paths) if p and not any(p[:n] in paths for n in range(1, len(p)))]
    return tuple(kept[:_MOST])
