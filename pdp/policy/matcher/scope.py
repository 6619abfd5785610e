"""The names a matcher may use: request tokens, policy columns, roles, whole entities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from typing import Any

from pdp.config import suggest
from pdp.policy.facts import Source, Unknown, step_into
from pdp.policy.matcher.terms import Frame, Value
from pdp.policy.template import UNFILLED, Template, compile_reference, read_property

Read = Callable[[Frame], Any]  # a value that no row has a part in
ROLE_PLACES = (2, 3)


class NameProblem(Exception):
    """A name that means nothing; carries the message and the help line."""

    def __init__(self, message: str, help_: str = "", code: str = "unknown-name") -> None:
        super().__init__(message)
        self.message, self.help, self.code = message, help_, code


@dataclass(frozen=True, slots=True)
class Scope:
    """What `r.…` and `p.…` mean in one layer: tokens by template, columns by index."""

    request: str  # "r", or "r2" in a layer of section 2
    policy: str
    tokens: Mapping[str, tuple[int, Template]]  # an index is of use where there is no path
    columns: Mapping[str, int]
    roles: Mapping[str, int]  # role definition to its number of places

    def resolve(self, path: list[str]) -> tuple[Value, frozenset[Source]]:
        """The value that a dotted path stands for and what it depends on, or NameProblem."""
        root, *rest = path
        if root == self.policy and rest:
            return self._column(rest)
        if root == self.request and rest:
            return self._token(rest) if rest[0] in self.tokens else self._entity(rest)
        known = [f"{self.request}.{t}" for t in self.tokens]
        known += [f"{self.policy}.{c}" for c in self.columns]
        raise NameProblem(f"unknown name `{'.'.join(path)}`", suggest(".".join(path), known))

    def _column(self, path: list[str]) -> tuple[Value, frozenset[Source]]:
        name, *rest = path
        if name not in self.columns:
            raise NameProblem(
                f"unknown policy field `{self.policy}.{name}`", suggest(name, self.columns)
            )
        if rest:
            raise NameProblem(f"`{self.policy}.{name}` is text and has no attributes")
        index = self.columns[name]
        return (lambda _frame, row: row[index]), frozenset()

    def path(self, token: str) -> str | None:
        """Where a frame has what fills a token, if that is always known."""
        template = self.tokens[token][1] if token in self.tokens else None
        return f"facts.{template.path}" if template and template.path else None

    def _token(self, path: list[str]) -> tuple[Value, frozenset[Source]]:
        name, *rest = path
        index, template = self.tokens[name]
        if not rest and (known := self.path(name)):
            get = attrgetter(known)
            return (lambda frame, _row: get(frame)), template.depends
        if not rest:
            read = filled(index)
            return (lambda frame, _row: read(frame)), template.depends
        if template.entity is not None:
            of = read_property(template.entity, rest)
            return (lambda frame, _row: of(frame.facts)), frozenset({template.entity})
        if template.depends == {Source.CONTEXT}:
            read = filled(index)
            return (lambda frame, _row: reduce(step_into, rest, read(frame))), template.depends
        raise NameProblem(
            f"`{self.request}.{name}` is filled from several entities and has no attributes",
            f"write `{self.request}.subject.properties.NAME` or its like",
        )

    def _entity(self, path: list[str]) -> tuple[Value, frozenset[Source]]:
        if path[0] not in Source.__members__.values():
            known = [*self.tokens, *Source.__members__.values()]
            raise NameProblem(
                f"unknown request token `{self.request}.{path[0]}`", suggest(path[0], known)
            )
        try:
            source, read = compile_reference(path)
        except ValueError as error:
            raise NameProblem(str(error)) from None
        return (lambda frame, _row: read(frame.facts)), frozenset({source})


def filled(index: int) -> Read:
    """The value of a token that a frame keeps; Unknown where nothing fills it."""

    def read(frame: Frame) -> Any:
        found = frame.tokens[index]
        if found is UNFILLED:
            raise Unknown
        return found

    return read
