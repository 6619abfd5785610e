"""What an index does for each alternative of a matcher, and how much it has to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pdp.policy.index.branch import Branch, leaves
from pdp.policy.index.build import Index, Indexes


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """One alternative over `rows` rows.

    `once` are clauses that are judged once for a request, `indexed` find their rows, `residual`
    are judged row by row. `scanned` is how many rows and patterns one request can make it try one
    by one, at worst; `unknown` the same where a value is missing, so that a clause is unknown.
    """

    rules: str  # "allow" or "deny"
    rows: int
    once: tuple[str, ...]
    indexed: tuple[str, ...]
    residual: tuple[str, ...]
    scanned: int
    unknown: int


def plan(indexes: Indexes) -> tuple[BranchPlan, ...]:
    """The plan of a layer, one line for each alternative of its matcher and each decision."""
    return (*_plans("allow", indexes.allows), *_plans("deny", indexes.denies))


def most_scanned(indexes: Indexes) -> int:
    """How many rows and patterns one request can make a layer try one by one, at worst."""
    return sum(branch.scanned for branch in plan(indexes))


def _plans(rules: str, index: Index) -> Iterable[BranchPlan]:
    for branch in index.branches:
        depth = len(branch.levels)
        others = branch.literals[depth:]
        yield BranchPlan(
            rules=rules,
            rows=len(branch.positions),
            once=tuple(literal.source for literal in others if not literal.columns),
            indexed=tuple(literal.source for literal in branch.literals[:depth]),
            residual=tuple(literal.source for literal in others if literal.columns),
            scanned=_scanned(branch),
            unknown=len(branch.positions) if branch.lenient and branch.levels else 0,
        )


def _scanned(branch: Branch) -> int:
    """The largest leaf that is not sure as a whole, and what patterns have to be tried before."""
    unsure = (len(leaf) for leaf, depth in leaves(branch.root) if branch.rest[depth])
    return max(unsure, default=0) + sum(level.tried for level in branch.levels)
