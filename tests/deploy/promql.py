"""Reads that part of PromQL which the samples are written in: a rough parser, not an engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"[^"]*")
      | (?P<duration>\d+(?:ms|[smhd])\b|\$__rate_interval)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[a-zA-Z_]\w*)
      | (?P<op>=~|!~|!=|==|>=|<=|[-+*/<>=(){}\[\],])
    )""",
    re.VERBOSE,
)
AGGREGATES = {"sum", "max", "min", "avg", "count"}
# How many arguments each takes; those of a range are told apart by what they are given.
RANGES = {"rate", "increase", "changes"}
FUNCTIONS = {**dict.fromkeys(RANGES, 1), "absent": 1, "time": 0, "histogram_quantile": 2}
BINARY = ["or", "and", "==", "!=", ">", "<", ">=", "<=", "+", "-", "*", "/"]
VECTOR, RANGE, SCALAR = "vector", "range", "scalar"


@dataclass
class Selector:
    """A metric, the labels that are asked for, and their values."""

    metric: str
    labels: dict[str, str] = field(default_factory=dict)


class Expression:
    """What an expression is made of; ValueError if it is none."""

    def __init__(self, text: str) -> None:
        self.selectors: list[Selector] = []
        self.grouped: set[str] = set()
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if not found:
                raise ValueError(f"cannot be read: {text[at:]}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        self._binary()
        if self._tokens:
            raise ValueError(f"stands behind the end: {self._tokens[0][1]}")

    def _next(self) -> str:
        return self._tokens[0][1] if self._tokens else ""

    def _take(self, kind: str = "", value: str = "") -> str:
        found = self._tokens.pop(0) if self._tokens else ("end", "the end")
        if (kind and found[0] != kind) or (value and found[1] != value):
            raise ValueError(f"`{kind or value}` expected, and not {found[1]}")
        return found[1]

    def _binary(self) -> str:
        kinds = [self._unary()]
        while self._next() in BINARY:
            self._take()
            kinds.append(self._unary())
        if len(kinds) > 1 and RANGE in kinds:
            raise ValueError("a range has no operators")
        return VECTOR if VECTOR in kinds else kinds[0]

    def _unary(self) -> str:
        if self._next() == "(":
            self._take()
            kind = self._binary()
            self._take(value=")")
            return kind
        if self._tokens and self._tokens[0][0] == "number":
            self._take()
            return SCALAR
        name = self._take("name")
        if name in AGGREGATES:
            return self._aggregate()
        return self._call(name) if self._next() == "(" else self._selector(name)

    def _aggregate(self) -> str:
        if self._next() == "by":
            self._take()
            self.grouped.update(self._names("(", ")"))
        self._take(value="(")
        if self._binary() != VECTOR:
            raise ValueError("an aggregate is of a vector")
        self._take(value=")")
        return VECTOR

    def _call(self, name: str) -> str:
        kinds = []
        self._take(value="(")
        while self._next() != ")":
            kinds.append(self._binary())
            if self._next() != ")":
                self._take(value=",")
        self._take(value=")")
        if FUNCTIONS.get(name) != len(kinds) or (name in RANGES) != (RANGE in kinds):
            raise ValueError(f"`{name}` is no function, or not of {kinds}")
        return SCALAR if name == "time" else VECTOR

    def _selector(self, metric: str) -> str:
        found = Selector(metric)
        self.selectors.append(found)
        if self._next() == "{":
            self._take()
            while self._next() != "}":
                label = self._take("name")
                if self._take("op") not in {"=", "!=", "=~", "!~"}:
                    raise ValueError("no such comparison of labels")
                found.labels[label] = self._take("string").strip('"')
                if self._next() != "}":
                    self._take(value=",")
            self._take()
        kind = VECTOR
        if self._next() == "[":
            self._take()
            self._take("duration")
            self._take(value="]")
            kind = RANGE
        if self._next() == "offset":
            self._take()
            self._take("duration")
        return kind

    def _names(self, opening: str, closing: str) -> list[str]:
        self._take(value=opening)
        names = [self._take("name")]
        while self._next() == ",":
            self._take()
            names.append(self._take("name"))
        self._take(value=closing)
        return names
