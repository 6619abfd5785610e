"""What a rule costs where no look-up finds it: the shapes of docs/engine.md, one after the other.

    python benchmarks/engine_scans.py       # nanoseconds a rule, the median of some questions

Each layer has ROWS rules of which none matches, so that all of them are tried. Ends by itself.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final

from policies_made import build, conf
from reporting import tell

from pdp.model import Action, Entity, Identity, Method, Query
from pdp.policy.settings import LayerSettings
from pdp.policy.snapshot import Snapshot

ROWS: Final = 2_000
QUESTIONS: Final = 15
# The matcher, the subject's age, and the values of the rules.
SHAPES: Final[dict[str, tuple[str | int, str]]] = {
    "r.sub.age > p.age": ("0", "{i}"),
    "r.sub.age != p.age": ("x", "x"),
    "!(r.sub == p.age)": (18, "alice"),
    'r.sub.age == p.age + "y"': ("18", "{i}"),
    "(r.sub == p.age if r.sub.age > 17 else False)": (18, "{i}"),
    'timeMatch("_", p.age)': (18, "2001-01-01 00:00:{s:02}"),
    "globMatch(r.obj, p.age)": (18, "/x{i}/*"),
    "regexMatch(r.obj, p.age)": (18, "[/z]x{i}/"),
    "g(r.sub, p.age, p.dom)": (18, "role{i}"),
    "eval(p.age)": (18, "r.sub.age == {i}0"),
    "r.sub.age > p.age, unknown": (18, "{i}"),  # a number and a text: each raises
}


def snapshot(matcher: str, value: str) -> Snapshot:
    """A policy of one layer whose rules all have to be tried."""
    model = conf(matcher, "sub, obj", "age, dom", roles="_, _, _")
    rows = "".join(f"p, {value.format(i=i, s=i % 60)}, d{i}\n" for i in range(ROWS))
    layer = LayerSettings(
        name="scan", kind="grant", model="m.conf", policy="p.csv", scan_limit=10 * ROWS
    )
    return build({"m.conf": model, "p.csv": rows}, layer)


def nanoseconds(policy: Snapshot, age: str | int) -> Iterator[float]:
    """What each question takes, for each rule."""
    (layer,) = policy.grants
    subject = Entity("user", "alice", {"age": age})
    query = Query(Action("GET"), Entity("resource", "/y/1"), {}, subject, vouched=True)
    for _ in range(QUESTIONS):
        facts = policy.facts(query, Identity("alice", method=Method.VOUCHED), time.time())
        start = time.perf_counter_ns()
        ruling = layer.judge(facts)
        yield (time.perf_counter_ns() - start) / ROWS
        if ruling.rule is not None:
            raise SystemExit(f"a rule matched: {ruling.rule}")


def main() -> None:
    """Print a line for each shape."""
    for shape, (age, value) in SHAPES.items():
        policy = snapshot(shape.partition(", unknown")[0], value)
        median = statistics.median(nanoseconds(policy, age))
        tell(f"{median:8.0f} ns a rule   {shape}")


if __name__ == "__main__":
    main()
