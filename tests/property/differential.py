"""Our engine beside pycasbin and the oracle, question by question, with a count of everything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from corpus import ASKS, Sample, generate
from judge import ALLOW_AND_DENY, Ask, build, explained_by_pycasbin, facts_of, silence
from oracle import Found, Oracle, definition

from pdp.policy.effect import Decision
from pdp.policy.layer import Layer

Ours = tuple[Found, bool] | str  # decision and line, coverage; or the error that escaped
OUTCOMES = {True: "allow", False: "refuse", None: "raised"}
FUNCTIONS = (
    *("keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch", "ipMatch"),
    *("globMatch", "timeMatch", "eval"),
)
SIZES = ((3, "up to 3"), (12, "up to 12"), (1_000, "more"))
_CALL = re.compile(r"\b(\w+)\(")


class Difference(Exception):
    """Ours is not what it must be; the last question that `sample` is asked shows it."""

    def __init__(self, message: str, sample: Sample) -> None:
        super().__init__(message)
        self.sample = sample


@dataclass
class Tally:
    """What was compared; counters of pairs, but for `refused`, which counts policies."""

    policies: int = 0
    pairs: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    coverage: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """A report: counts, and shares of the pairs."""
        found = [f"{self.pairs} pairs of {self.policies} policies; refused {dict(self.refused)}"]
        for name in ("outcomes", "effects", "functions", "rows", "coverage"):
            shares = sorted(getattr(self, name).items())
            told = ", ".join(f"{key} {100 * n / max(1, self.pairs):.1f} %" for key, n in shares)
            found.append(f"{name}: {told}")
        return found


def run(
    seed: int, numbers: Iterable[int], tally: Tally, pairs: int, only: str = ""
) -> Iterator[Difference]:
    """Every difference until so many pairs are compared; of each policy the first.

    Policies without the text `only` are left out.
    """
    for number in numbers:
        if tally.pairs >= pairs:
            return
        sample = generate(seed, number)
        if only and only not in sample.policy.model + sample.policy.rows:
            continue
        try:
            compare(sample, tally)
        except Difference as difference:
            tally.pairs += ASKS
            yield difference


def functions_of(sample: Sample) -> set[str]:
    """The functions that matcher and rules call; roles as `g`, or as `g with a domain`."""
    model, found = sample.policy.model, set[str]()
    matcher = definition(model, "m" + sample.policy.section)
    rules = sample.policy.rows if "eval(" in matcher else ""
    for name in _CALL.findall(f"{matcher} {rules}"):
        if name in FUNCTIONS:
            found.add(name)
        elif re.fullmatch(r"g\d*", name):
            wide = definition(model, name).count("_") > 2
            found.add("g with a domain" if wide else "g")
    return found


def ruling(layer: Layer, ask: Ask) -> Ours:
    """Our decision, the line that it names, and whether the layer covers the resource."""
    facts = facts_of(ask)
    try:
        found = layer.judge(facts)
        return (found.decision, found.rule.line if found.rule else None), layer.covers(facts)
    except Exception as error:  # noqa: BLE001 - nothing may escape: that is a difference
        return repr(error)


def compare(sample: Sample, tally: Tally) -> None:
    """Ask everything, forwards and backwards; Difference for the first that is not right."""
    with silence():
        layer, problems = build(sample.policy)
        if layer is None:
            tally.refused.update({problem.code for problem in problems})
            tally.refused["policies"] += 1
            return
        oracle, found = Oracle(sample.policy), []
        for number, ask in enumerate(sample.asks, 1):
            found.append(ruling(layer, ask))
            says, wrong = judged(oracle, ask, found[-1])
            if wrong:
                raise Difference(wrong, replace(sample, asks=sample.asks[:number]))
            tally.outcomes[OUTCOMES[says]] += 1
            tally.coverage["covered" if found[-1][1] is True else "not covered"] += 1
        for ask, before in zip(reversed(sample.asks), reversed(found), strict=True):
            if (again := ruling(layer, ask)) != before:
                raise Difference(f"asked again, {ask}: {before}, then {again}", sample)
    _count(sample, oracle, tally)


def judged(oracle: Oracle, ask: Ask, ours: Ours) -> tuple[bool | None, str]:
    """pycasbin's answer, and what is wrong with ours, if anything."""
    says, determined = explained_by_pycasbin(oracle.enforcer, ask, oracle.section)
    if isinstance(ours, str):
        return says, f"ours raised {ours}"
    (decision, line), covers = ours
    question = oracle.question(ask)
    wanted, covered = oracle.judge(question), oracle.covers(question)
    told = f"ours {decision}, line {line}"
    if (decision, line) != wanted:
        return says, f"{told}; must be {wanted[0]}, line {wanted[1]}; pycasbin {says}"
    if covers is not covered:
        return says, f"ours covers: {covers}; must be {covered}"
    if says is not None and (decision is Decision.ALLOW) is not says:
        return says, f"{told}; pycasbin {says}"
    # Where no row ends the search, pycasbin names the last that matched, not what determined it.
    last = oracle.effect == ALLOW_AND_DENY and decision is Decision.ALLOW
    if says is not None and line is not None and not last:
        row = next(row for row in oracle.rows if row.line == line)
        if list(row.values.values()) != determined:
            return says, f"{told}; pycasbin names {determined}"
    return says, ""


def _count(sample: Sample, oracle: Oracle, tally: Tally) -> None:
    asked = len(sample.asks)
    tally.policies += 1
    tally.pairs += asked
    tally.effects[oracle.effect] += asked
    tally.rows[next(name for most, name in SIZES if len(oracle.rows) <= most)] += asked
    tally.functions.update(dict.fromkeys(functions_of(sample), asked))
