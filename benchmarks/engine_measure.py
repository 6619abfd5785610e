"""One model at one size, measured in this process and told as JSON: engine.py starts it afresh."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from random import Random
from typing import Any

from engine_models import MODELS, Model
from engine_rows import KINDS, USERS, Ask, Kind, Policy
from policies_made import build, conf
from reporting import percentile, tell

from pdp.cli.timing import resident
from pdp.model import Action, Entity, Identity, Method, Query, Verdict
from pdp.pipeline import decide
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts
from pdp.policy.layer import Ruling
from pdp.policy.settings import LayerSettings
from pdp.policy.snapshot import Snapshot

NOW = 1_780_000_000.0
WARM_UP = 200
ENOUGH_TO_WEIGH = 10_000  # rows; with fewer the interpreter's own memory is the answer
GRANT_ALL = conf("keyMatch(r.obj, p.obj)", "obj", "obj")
clock = time.perf_counter_ns

Question = tuple[Ask, Any, Any]  # with the two arguments that the measured function gets
Figures = dict[str, dict[str, float]]


def files_of(model: Model, policy: Policy) -> tuple[dict[str, str], list[LayerSettings]]:
    """The policy directory, in memory; beside a guard stands a grant that allows everything."""
    files = {"model.conf": model.text, "policy.csv": policy.text}
    layers = [
        LayerSettings(name="measured", kind=model.kind, model="model.conf", policy="policy.csv")
    ]
    if model.kind == "guard":
        files |= {"all.conf": GRANT_ALL, "all.csv": "p, /*\n"}
        layers += [LayerSettings(name="all", kind="grant", model="all.conf", policy="all.csv")]
    return files, layers


def load(model: Model, policy: Policy) -> tuple[Snapshot, dict[str, Any]]:
    """The snapshot, with how long all checks and its building took and what it weighs."""
    files, layers = files_of(model, policy)
    before, start = resident(), time.perf_counter()
    snapshot = build(files, *layers)
    seconds = time.perf_counter() - start
    after, lines = resident(), policy.text.count("\n")
    weighed = before is not None and after is not None and lines >= ENOUGH_TO_WEIGH
    return snapshot, {
        "load_seconds": seconds,
        "bytes_per_row": (after - before) / lines if weighed else None,  # type: ignore[operator]
    }


def asks(policy: Policy, number: int, seed: int) -> Iterator[Ask]:
    """`number` questions of each kind, the kinds in random order."""
    rng = Random(seed)  # noqa: S311 - repeatable, not secret
    kinds: list[Kind] = list(KINDS)  # type: ignore[arg-type]
    for _ in range(number):
        rng.shuffle(kinds)
        for kind in kinds:
            yield policy.ask(kind, rng)


def asked(ask: Ask) -> Question:
    """The question as the pipeline gets it."""
    context = {name: value for name, value in (("domain", ask.dom), ("ip", ask.ip)) if value}
    query = Query(Action(ask.act), Entity("resource", ask.obj), context)
    return ask, query, Identity(ask.sub, method=Method.BEARER)


def empty_call() -> float:
    """Nanoseconds that timing a call costs by itself: the median of a call that does nothing."""

    def nothing(_one: object, _other: object) -> None: ...

    spent = []
    for _ in range(20_000):
        start = clock()
        nothing(1, 2)
        spent.append(clock() - start)
    return sorted(spent)[len(spent) // 2]


def warm_up(call: Callable[[Any, Any], Any], questions: Sequence[Question], seconds: float) -> None:
    """Some calls that do not count, the last of all questions."""
    deadline = time.monotonic() + seconds
    for _, one, other in questions:
        if time.monotonic() > deadline:
            break
        call(one, other)


def measure(
    call: Callable[[Any, Any], Any],
    questions: Sequence[Question],
    seconds: float,
    judge: Callable[[Ask, Any], None],
    prepare: Callable[[Any, Any], tuple[Any, Any]] = lambda one, other: (one, other),
) -> Figures:
    """Every call timed by itself, until the questions or the seconds end; answers are judged.

    One question of each kind is asked in any case. `prepare` makes what a call is given, and is
    not timed.
    """
    warm_up(lambda *given: call(*prepare(*given)), questions[-WARM_UP:], seconds / 4)
    overhead, deadline = empty_call(), time.monotonic() + seconds
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for start_of_block in range(0, len(questions), len(KINDS)):
        if start_of_block and time.monotonic() > deadline:
            break
        for ask, one, other in questions[start_of_block : start_of_block + len(KINDS)]:
            first, second = prepare(one, other)
            start = clock()
            answer = call(first, second)
            end = clock()
            spent[ask.kind].append((end - start - overhead) / 1_000)
            judge(ask, answer)
    return {kind: figures(values) for kind, values in spent.items()} | {
        "all": figures([value for values in spent.values() for value in values])
    }


def figures(microseconds: list[float]) -> dict[str, float]:
    """p50 and p99, in microseconds, and of how many calls."""
    p50, p99 = (percentile(microseconds, part) for part in (50, 99))
    return {"p50": p50, "p99": p99, "calls": len(microseconds)}


def must(held: bool, ask: Ask, answer: object) -> None:
    """A benchmark of wrong answers is worth nothing."""
    if not held:
        raise SystemExit(f"wrong answer: {ask} got {answer}")


def judge_ruling(ask: Ask, ruling: Ruling) -> None:
    line = ruling.rule.line if ruling.rule else None
    held = (ruling.decision is Decision.ALLOW, line) == (ask.allowed, ask.line)
    must(held, ask, ruling)


def judge_verdict(ask: Ask, verdict: Verdict) -> None:
    must((verdict.status == 200) is ask.allowed, ask, verdict)


def judge_boolean(ask: Ask, answer: bool) -> None:
    must(answer is ask.allowed, ask, answer)


def measure_ours(model: Model, policy: Policy, args: argparse.Namespace) -> dict[str, Any]:
    snapshot, told = load(model, policy)
    layer = next(layer for layer in snapshot.layers if layer.name == "measured")

    def facts(query: Query, identity: Identity) -> tuple[Facts, None]:
        return snapshot.facts(query, identity, NOW), None  # one for all layers of a decision

    def engine(known: Facts, _nothing: None) -> Ruling:
        return layer.judge(known)

    def whole(query: Query, identity: Identity) -> Verdict:
        return decide(query, identity, snapshot, NOW)

    questions = [asked(ask) for ask in asks(policy, args.requests, 1)]
    told["engine"] = measure(engine, questions, args.seconds, judge_ruling, facts)
    told["engine"]["subjects"] = len({ask.sub for ask, _, _ in questions})
    questions = [asked(ask) for ask in asks(policy, args.requests, 2)]
    told["decide"] = measure(whole, questions, args.seconds, judge_verdict)
    told["decide"]["subjects"] = len({ask.sub for ask, _, _ in questions})
    return told


def measure_casbin(
    model: Model, policy: Policy, args: argparse.Namespace, key: tuple[int, ...] | None
) -> dict[str, Any]:
    """The same questions, to pycasbin; its answers must be those that ours had to be."""
    casbin: Any = import_module("casbin")

    class Lines(casbin.persist.Adapter):  # type: ignore[misc]
        def load_policy(self, into: Any) -> None:
            for line in policy.text.split("\n"):
                casbin.persist.load_policy_line(line, into)

    logging.disable(logging.CRITICAL)  # it would log every refusal
    start = time.perf_counter()
    if key is None:
        enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=model.text), Lines())
    else:
        filtered = import_module("casbin.model").FastModel(key)  # `casbin.model` is another
        filtered.load_model_from_text(model.text)
        enforcer = casbin.FastEnforcer(filtered, Lines(), cache_key_order=key)
    if "dom" in model.tokens:  # it builds a domain when it is first asked of: let that be done
        for domain in {ask.dom for ask in asks(policy, args.requests, 1)}:
            enforcer.get_role_manager().get_roles("", domain)
    seconds = time.perf_counter() - start

    def enforce(values: tuple[str, ...], _nothing: None) -> bool:
        return bool(enforcer.enforce(*values))

    questions = [
        (ask, tuple(getattr(ask, token) for token in model.tokens), None)
        for ask in asks(policy, args.requests, 1)
    ]
    told: dict[str, Any] = dict(measure(enforce, questions, args.casbin_seconds, judge_boolean))
    return told | {"load_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("rows", type=int)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--casbin-seconds", type=float, default=2.0)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--no-casbin", action="store_true")
    args = parser.parse_args()
    model = MODELS[args.model]
    policy = model.build(args.rows, args.users)
    lines = policy.text.count("\n")
    told = {"model": model.name, "rows": lines - policy.role_rows, "role_rows": policy.role_rows}
    told |= measure_ours(model, policy, args)  # first, so that it is weighed in a fresh process
    if not args.no_casbin:
        told["pycasbin"] = measure_casbin(model, policy, args, None)
        if model.key:
            told["fast"] = measure_casbin(model, policy, args, model.key)
    tell(json.dumps(told))


if __name__ == "__main__":
    main()
