"""Pages of searches over 100,000 subjects or resources, beside a loop that asks about each.

    python benchmarks/search.py [--count 100000]

Each shape is searched for several known parts: `first` is the p50 of a first page of 100, `next` of
those behind it, `cold` what the very first search of a snapshot takes, which makes what the others
go by. `loop` is `decide` for every known entity, extrapolated from some of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from policies_made import build, conf
from reporting import aligned, tell

from pdp.model import Action, Entity, Identity, Method, Outcome, Query, Verdict
from pdp.pipeline import decide
from pdp.policy.settings import LayerSettings
from pdp.policy.snapshot import Snapshot
from pdp.search import Page, search_resources, search_subjects

NOW = 1_780_000_000.0
LIMIT, ASKED, PAGES, LOOPED = 100, 15, 5, 1_000
TEAMS = 1_000


@dataclass(frozen=True)
class Shape:
    """A policy, and questions with one part open: subjects' if `who`, else resources'."""

    name: str
    matcher: str
    rows: Callable[[int], Iterator[str]]
    ask: Callable[[int, int], tuple[str, str]]  # subject and resource, of which one is open
    who: bool
    entities: Callable[[int], Iterator[dict[str, Any]]] = lambda _: iter(())


def members(count: int) -> Iterator[str]:
    yield from (f"g, user{i}, team{i % TEAMS}" for i in range(count))
    yield from (f"g, team{i}, staff" for i in range(TEAMS))


def documents(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        properties = {"owner": f"user{i % (count // 20)}", "size": i}
        yield {"type": "resource", "id": f"/t{i % TEAMS}/doc{i}", "properties": properties}


def by_role(count: int) -> Iterator[str]:
    yield from (
        f"p, {'staff' if i % 10 else f'team{i % TEAMS}'}, /doc{i}, GET" for i in range(5_000)
    )
    yield from members(count)


def by_team(count: int) -> Iterator[str]:
    yield from (f"p, team{i % TEAMS}, /doc{i}, GET" for i in range(count))
    yield from members(5_000)


RBAC = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"
PATHS = "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act"
SHAPES = (
    Shape(
        "who: a role of 100",
        RBAC,
        by_role,
        lambda i, _: ("", f"/doc{i}0"),
        who=True,
    ),
    Shape(
        "who: a role of all",
        RBAC,
        by_role,
        lambda i, _: ("", f"/doc{i}1"),
        who=True,
    ),
    Shape(
        "who: named one by one",
        "r.sub == p.sub && r.obj == p.obj",
        lambda n: (f"p, user{i}, /doc{i % 50}, GET" for i in range(n)),
        lambda i, _: ("", f"/doc{i}"),
        who=True,
    ),
    Shape(
        "what: 100 of a role",
        RBAC,
        by_team,
        lambda i, _: (f"user{i}", ""),
        who=False,
    ),
    Shape(
        "what: all of a role",
        RBAC,
        lambda n: iter([*(f"p, staff, /doc{i}, GET" for i in range(n)), *members(5_000)]),
        lambda i, _: (f"user{i}", ""),
        who=False,
    ),
    Shape(
        "what: by path",
        PATHS,
        lambda _: iter([*(f"p, team{i}, /t{i}/:doc, GET" for i in range(TEAMS)), *members(5_000)]),
        lambda i, _: (f"user{i}", ""),
        who=False,
        entities=documents,
    ),
    Shape(
        "what: by owner",
        "r.obj.owner == r.sub && r.act == p.act",
        lambda _: iter(["p, x, x, GET", "g, x, y"]),
        lambda i, _: (f"user{i}", ""),
        who=False,
        entities=documents,
    ),
    Shape(
        "what: the largest 50 (no clue)",
        "r.obj.size >= r.sub.least && r.act == p.act",
        lambda _: iter(["p, x, x, GET", "g, x, y"]),
        lambda i, n: (f"user{n - 50 - i}", ""),
        who=False,
        entities=documents,
    ),
)


def loaded(shape: Shape, count: int) -> Snapshot:
    rows = list(shape.rows(count))
    rows += [] if any(row.startswith("g,") for row in rows) else ["g, nobody, nothing"]
    files = {
        "m.conf": conf(shape.matcher, roles="_, _"),
        "p.csv": "\n".join([*rows, ""]),
        "entities.json": json.dumps(list(shape.entities(count))),
    }
    return build(files, LayerSettings(name="all", kind="grant", model="m.conf", policy="p.csv"))


def query(subject: str, resource: str) -> Query:
    least = int(subject.strip("abcdefghijklmnopqrstuvwxyz") or 0)
    who = Entity("user", subject, {"least": least})
    return Query(Action("GET"), Entity("resource", resource), {}, who, vouched=True)


def page(snapshot: Snapshot, shape: Shape, asked: Query, after: str | None) -> Page[Any]:
    if shape.who:
        return search_subjects(snapshot, asked, "user", NOW, after=after, limit=LIMIT)
    return search_resources(snapshot, asked, "resource", NOW, after=after, limit=LIMIT)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = call()
    return (time.perf_counter() - start) * 1_000, found


def verdict(snapshot: Snapshot, shape: Shape, asked: Query, id_: str) -> Verdict:
    """What `decide` says with one that is known in the place of the open part."""
    subject = asked.subject.id if asked.subject else ""
    one = query(id_, asked.resource.id) if shape.who else query(subject, id_)
    who = Identity(id_ if shape.who else subject, method=Method.VOUCHED)
    return decide(one, who, snapshot, NOW)


def loop(snapshot: Snapshot, shape: Shape, asked: Query, known: list[str]) -> float:
    """Milliseconds that `decide` takes for all that are known, extrapolated."""
    some = known[:: max(1, len(known) // LOOPED)]
    spent, _ = timed(lambda: [verdict(snapshot, shape, asked, one) for one in some])
    return spent * len(known) / len(some)


def known_of(snapshot: Snapshot, shape: Shape) -> list[str]:
    """What there is to be asked about: everything that the rules and entities name."""
    if shape.who:
        return [m for graph in snapshot.grants[0].graphs.values() for m in graph.links[""]] + [
            row.values[0] for row in snapshot.grants[0].rows
        ]
    listed = [id_ for _, id_ in snapshot.entities]
    return listed or [row.values[1] for row in snapshot.grants[0].rows]


def judge(snapshot: Snapshot, shape: Shape, asked: Query, found: Page[Any]) -> None:
    """A benchmark of wrong answers is worth nothing."""
    for one in found.results[:3]:
        if verdict(snapshot, shape, asked, one.id).outcome is not Outcome.ALLOW:
            raise SystemExit(f"wrong answer: {asked} got {one}")


def measure(shape: Shape, count: int) -> list[str]:
    snapshot = loaded(shape, count)
    asks = [query(*shape.ask(i, count)) for i in range(ASKED)]
    cold, _ = timed(lambda: page(snapshot, shape, asks[0], None))
    first, following, results = [], [], 0
    for asked in asks:
        spent, found = timed(lambda asked=asked: page(snapshot, shape, asked, None))  # type: ignore[misc]
        judge(snapshot, shape, asked, found)
        first.append(spent)
        results = len(found.results)
        for _ in range(PAGES):
            if found.cursor is None:
                break
            spent, found = timed(lambda a=asked, c=found.cursor: page(snapshot, shape, a, c))  # type: ignore[misc]
            following.append(spent)
    known = known_of(snapshot, shape)
    whole = statistics.median(loop(snapshot, shape, asked, known) for asked in asks[:3])
    p50 = statistics.median(first)
    after = f"{statistics.median(following):.2f}" if following else "-"
    return [
        *(shape.name, f"{len(known):,}", str(results), f"{cold:,.0f}", f"{p50:.2f}", after),
        *(f"{whole:,.0f}", f"{whole / p50:,.0f}x"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    heads = ["milliseconds", "known", "results", "cold", "first", "next", "loop", "loop/first"]
    lines = [heads, *(measure(shape, count) for shape in SHAPES)]
    for line in aligned(lines):
        tell(line)


if __name__ == "__main__":
    main()
