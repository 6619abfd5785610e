"""What each layer's index does, in words: for `pdp check --plan` and `pdp bench`."""

from __future__ import annotations

from collections.abc import Iterator

from pdp.cli.terminal import Part
from pdp.policy.index.plan import BranchPlan, plan
from pdp.policy.layer import Layer


def plan_lines(layer: Layer) -> Iterator[tuple[Part, ...]]:
    """The plan of a layer, a line at a time, as `say` takes them."""
    rules = len(layer.rows)
    yield ((layer.name, "bold"), f": {layer.kind}, {rules} rule{'' if rules == 1 else 's'}")
    branches = plan(layer.indexes)
    for branch in branches:
        same = [other for other in branches if other.rules == branch.rules]
        which = f", alternative {same.index(branch) + 1} of {len(same)}" if len(same) > 1 else ""
        told = "coverage, distinct" if branch.rules == "coverage" else f"{branch.rules} rules"
        yield (f"  {told}{which}: {branch.rows}",)
        yield from ((f"    {line}",) for line in _branch(branch))
    if not branches:
        yield ("  no rule can match",)


def _branch(branch: BranchPlan) -> Iterator[str]:
    for heading, clauses in (
        ("once     ", branch.once),
        ("indexed  ", branch.indexed),
        ("row by row", branch.residual),
    ):
        if clauses:
            yield f"{heading:<12}{' · '.join(clauses)}"
    yield f"{'at worst':<12}{branch.scanned} tried one by one" + (
        f", {branch.unknown} where a value is missing" if branch.unknown else ""
    )
