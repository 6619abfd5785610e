"""Our compiled layers against freshly built pycasbin enforcers, on generated policies.

Where pycasbin answers, ours must answer the same and name the row that determined it. Where it
raises, ours must give what Kleene's logic gives over the very atoms that pycasbin can evaluate.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from corpus import ASKS, generate
from corpus_pools import EFFECTS
from differential import FUNCTIONS, OUTCOMES, Tally, run
from differential_cases import CASES, answered, expected, read, written
from judge import silence
from oracle import Oracle
from reducing import reduced

LEAST_OUTCOME, LEAST_KIND = 0.20, 0.03  # shares of the pairs


def test_ours_decides_as_a_fresh_pycasbin(pairs: int, seed: int) -> None:
    tally = Tally()
    print(f"seed {seed}")  # noqa: T201 - shown with `-s`, and when the test fails
    for difference in run(seed, count(), tally, pairs):
        small = reduced(difference)
        case = written(small.sample, str(small))
        pytest.fail(f"{difference}\n\nsave as {CASES}/NAME.yaml:\n\n{case}", pytrace=False)
    print("\n".join(tally.lines()))  # noqa: T201
    assert_worth_something(tally)


def assert_worth_something(tally: Tally) -> None:
    """The corpus is not trivial: few policies are refused, and everything is frequent."""
    assert tally.refused["policies"] <= 0.1 * tally.policies
    kinds = (*EFFECTS, *FUNCTIONS, "g", "g with a domain")
    shares = {**tally.outcomes, **tally.effects, **tally.functions}
    rare = {
        kind: shares.get(kind, 0)
        for kind in kinds
        if shares.get(kind, 0) < LEAST_KIND * tally.pairs
    }
    assert not rare
    for outcome in OUTCOMES.values():
        assert tally.outcomes[outcome] >= LEAST_OUTCOME * tally.pairs, outcome
    for told in ("covered", "not covered"):
        assert tally.coverage[told] >= LEAST_OUTCOME * tally.pairs, told
    assert tally.rows["more"] >= 0.2 * tally.pairs


def test_a_policy_of_the_corpus_is_always_the_same() -> None:
    first, again = generate(5, 3), generate(5, 3)
    assert first == again
    assert first != generate(5, 4)
    assert len(first.asks) == ASKS


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_difference_that_was_found_stays_gone(path: Path) -> None:
    sample, wanted = read(path)
    with silence():
        oracle = Oracle(sample.policy)
        assert [expected(oracle, ask) for ask in sample.asks] == wanted
    ours = [{k: v for k, v in each.items() if k != "pycasbin"} for each in wanted]
    assert answered(sample) == ours


def test_there_are_cases() -> None:
    assert len(list(CASES.glob("*.yaml"))) >= 5
