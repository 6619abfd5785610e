"""Our compiled layers against freshly built pycasbin enforcers, on generated policies.

Where pycasbin answers, ours must answer the same. Where it raises, ours must give what Kleene's
logic gives over the very atoms that pycasbin can evaluate, row by row: an unknown allow row is
passed over, an unknown deny row denies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import casbin
import pytest
from corpus import EFFECTS, Sample, Tree, samples
from hypothesis import HealthCheck, Phase, given, settings
from judge import (
    ALLOW_AND_DENY,
    ALLOW_OVERRIDE,
    DENY_OVERRIDE,
    Ask,
    Evaluator,
    build,
    fresh_enforcer,
    ours,
    pycasbin_says,
    values_of,
)

from pdp.policy.effect import Decision
from pdp.policy.layer import Layer

ASKS = 8  # questions put to each policy
OUTCOMES = {True: "allow", False: "deny", None: "raised"}
Kleene = bool | None


def truth(tree: Tree, value_of: Callable[[str], Any], truthy: bool, falsy: bool) -> Kleene:
    """Kleene's value; `truthy` and `falsy` say whether a value of any type may stand for it.

    In pycasbin a matcher's result must be a bool or a float, while `and`, `or` and `not` take
    anything: so only the operand that can become the result is held to that.
    """
    parts = tree.parts
    if tree.kind == "not":
        inner = truth(parts[0], value_of, truthy=True, falsy=True)
        return None if inner is None else not inner
    if tree.kind == "if":
        test = truth(parts[0], value_of, truthy=True, falsy=True)
        return None if test is None else truth(parts[1 if test else 2], value_of, truthy, falsy)
    if tree.kind in ("and", "or"):
        both = tree.kind == "and"
        found = [truth(p, value_of, truthy or both, falsy or not both) for p in parts[:-1]]
        found.append(truth(parts[-1], value_of, truthy, falsy))
        decisive = not both
        return decisive if decisive in found else (None if None in found else both)
    try:
        value = value_of(tree.text)
    except Exception:  # noqa: BLE001 - whatever pycasbin raises, the value is not known
        return None
    fits = isinstance(value, bool | float) or (truthy if value else falsy)
    return bool(value) if fits else None


def oracle(
    sample: Sample, enforcer: casbin.Enforcer, evaluator: Evaluator, ask: Ask
) -> tuple[Decision, str | None]:
    """The decision, and the `id` of the rule that determined it, after pycasbin's own sorting."""
    assertion, tokens = enforcer.model["p"]["p"], enforcer.model["r"]["r"].tokens
    asked = dict(zip(tokens, values_of(enforcer, ask), strict=True))
    rows = []
    for values in assertion.policy:
        row = dict(zip(assertion.tokens, values, strict=True))
        rows.append((row["p_id"], row.get("p_eft", "allow"), match(sample, evaluator, asked, row)))
    return fold(sample.effect, rows)


def match(
    sample: Sample, evaluator: Evaluator, asked: dict[str, Any], row: dict[str, str]
) -> Kleene:
    names = {**asked, **row}

    def value_of(text: str) -> Any:
        return evaluator(text, names)

    def resolve(tree: Tree) -> Tree:
        if tree.kind == "eval":
            return sample.rules[row["p_rule"]]
        return Tree(tree.kind, tuple(map(resolve, tree.parts)), tree.text)

    return truth(resolve(sample.matcher), value_of, truthy=False, falsy=False)


def fold(effect: str, rows: list[tuple[str, str, Kleene]]) -> tuple[Decision, str | None]:
    allows = [name for name, eft, found in rows if eft == "allow" and found]
    denies = [name for name, eft, found in rows if eft == "deny" and found is not False]
    if effect == ALLOW_OVERRIDE:
        return (Decision.ALLOW, allows[0]) if allows else (Decision.NONE, None)
    if effect in (DENY_OVERRIDE, ALLOW_AND_DENY) and denies:
        return Decision.DENY, denies[0]
    if effect == DENY_OVERRIDE:
        return Decision.ALLOW, None
    if effect == ALLOW_AND_DENY:
        return (Decision.ALLOW, allows[0]) if allows else (Decision.NONE, None)
    first = next((name for name, _, _ in rows if name in allows or name in denies), None)
    if first is None:
        return Decision.NONE, None
    return (Decision.ALLOW if first in allows else Decision.DENY), first


def ruling_of(sample: Sample, layer: Layer, ask: Ask) -> tuple[Decision, str | None]:
    """Our decision, and the `id` that stands in the line it names."""
    ruling = ours(layer, ask)
    if ruling.rule is None:
        return ruling.decision, None
    line = sample.policy.rows.split("\n")[ruling.rule.line - 1]
    return ruling.decision, next(part for part in line.split(", ") if part.startswith("row"))


def compare(sample: Sample, counts: Counter[str]) -> None:
    layer, problems = build(sample.policy)
    counts["built" if layer else "refused"] += 1
    if layer is None:
        counts.update(f"refused: {code}" for code in {problem.code for problem in problems})
        return
    enforcer = fresh_enforcer(sample.policy)
    evaluator = Evaluator(enforcer)
    for ask in sample.asks:
        says = pycasbin_says(enforcer, ask)
        found = ruling_of(sample, layer, ask)
        wanted = oracle(sample, enforcer, evaluator, ask)
        where = f"{ask}\n{sample.policy.model}\n{sample.policy.rows}"
        assert found == wanted, f"ours {found}, oracle {wanted}, pycasbin {says}: {where}"
        if says is not None:
            assert (found[0] is Decision.ALLOW) is says, f"ours {found}, pycasbin {says}: {where}"
        counts[OUTCOMES[says]] += 1
        if says is None and found[0] is Decision.ALLOW:
            counts["raised, passed over"] += 1


def test_ours_decides_as_a_fresh_pycasbin(pairs: int, request: pytest.FixtureRequest) -> None:
    counts: dict[str, Counter[str]] = {effect: Counter() for effect in EFFECTS}

    @settings(
        max_examples=max(100, pairs // ASKS),
        deadline=None,
        database=None,
        derandomize=request.config.getoption("--pairs", None) is None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(samples(ASKS))
    def run(sample: Sample) -> None:
        compare(sample, counts[sample.effect])

    run()
    for effect, found in counts.items():
        print(effect, dict(found))  # noqa: T201 - shown with `-s`, and when the test fails
    assert_worth_something(counts)


def assert_worth_something(counts: Mapping[str, Counter[str]]) -> None:
    """The corpus is not trivial: most policies build, every outcome and effect is frequent."""
    total = sum(counts.values(), Counter[str]())
    decided = sum(total[outcome] for outcome in OUTCOMES.values())
    assert total["built"] >= 0.7 * (total["built"] + total["refused"])
    for outcome in OUTCOMES.values():
        assert total[outcome] >= 0.15 * decided, outcome
    for effect, found in counts.items():
        assert all(found[outcome] for outcome in OUTCOMES.values()), effect
