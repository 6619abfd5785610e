"""What an index does for each alternative of a matcher, and how much it has to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from pdp.gently import gently
from pdp.policy.index.branch import Branch, is_node, leaves
from pdp.policy.index.build import Index, Indexes


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """One alternative over `rows` rows.

    `once` are clauses that are judged once for a request, `indexed` find their rows, `residual`
    are judged row by row. `scanned` is how many rows, patterns and keys one request can make it try
    one by one, at worst, for each role and each text of a list that it brings; `unknown` how many
    rows where a value is missing, so that a clause is unknown.
    """

    rules: str  # "allow", "deny" or "coverage"
    rows: int
    once: tuple[str, ...]
    indexed: tuple[str, ...]
    residual: tuple[str, ...]
    scanned: int
    unknown: int


def plan(indexes: Indexes) -> tuple[BranchPlan, ...]:
    """The plan of a layer: each alternative of its matcher, for each decision and for coverage."""
    return (
        *_plans("allow", indexes.allows),
        *_plans("deny", indexes.denies),
        *_plans("coverage", indexes.covers),
    )


def most_scanned(indexes: Indexes) -> int:
    """How much one request can make a layer try one by one, at worst."""
    judged, covered = 0, 0
    for branch in plan(indexes):
        if branch.rules == "coverage":
            covered += branch.scanned
        else:
            judged += branch.scanned
    return max(judged, covered)


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
            unknown=_unknown(branch) if branch.lenient and branch.levels else 0,
        )


def _scanned(branch: Branch) -> int:
    """The largest leaf that is not sure as a whole, as often as one value leads to such leaves."""
    unsure = max(
        (len(leaf) for leaf, n in gently(leaves(branch.root)) if branch.rest[n]), default=0
    )
    times = prod(level.most for level in branch.levels)
    return min(unsure * times, len(branch.positions)) + sum(level.tried for level in branch.levels)


def _unknown(branch: Branch) -> int:
    """The largest part of the tree behind a level that can tell; all rows where none can."""
    if branch.rest[-1]:
        return len(branch.positions)
    trees = (branch, *branch.turned) if branch.turned else ()
    parts = (part for tree in trees if is_node(tree.root) for part in tree.root.values())
    sizes = (sum(len(leaf) for leaf, _ in leaves(part)) for part in gently(parts))
    return max(sizes, default=1)
