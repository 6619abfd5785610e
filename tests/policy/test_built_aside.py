"""A policy that is built while others work is the same as one that is built alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from judge import ALLOW_AND_DENY, model_text

from pdp.gently import Wide, stepping_aside
from pdp.model import Action, Entity, Query, vouched_identity
from pdp.pipeline import decide
from pdp.policy.index.plan import plan
from pdp.policy.snapshot import Snapshot
from pdp.runtime.load import load
from pdp.search import search_actions, search_resources, search_subjects

NOW: Final = 1_768_478_400.0
ROWS: Final = 9_000  # so many keys that a dict would grow in long steps
MATCHERS: Final = (
    "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act",
    "g(r.sub, p.sub) && r.obj == p.obj && regexMatch(r.act, p.act)",
    "r.sub == p.sub && keyMatch(r.obj, p.obj) || r.obj == p.obj && r.act == p.act",
)


def policy(directory: Path, matcher: str) -> Path:
    """Rules about as many pages, some of which deny; on every tenth there are more of them."""
    directory.mkdir()
    rows = [f"p, role{n % 50}, /pages/{n}/items, GET, allow" for n in range(ROWS)]
    rows += [f"p, role{n % 7}, /pages/{n}/items, POST, allow" for n in range(0, ROWS, 10)]
    rows += [f"p, role1, /pages/{n}/items, GET, deny" for n in range(0, ROWS, 13)]
    rows += [f"g, user{n}, role{n % 50}" for n in range(200)]
    model = model_text(
        matcher, policy="sub, obj, act, eft", effect=ALLOW_AND_DENY, roles="g = _, _"
    )
    (directory / "model.conf").write_text(model)
    (directory / "policy.csv").write_text("\n".join(rows) + "\n")
    return directory


@pytest.fixture(scope="module", params=MATCHERS, ids=["paths", "equal", "either"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Snapshot, Snapshot]:
    """Built alone, and while others work."""
    directory = policy(tmp_path_factory.mktemp("aside") / "policy", request.param)
    alone = load(directory).snapshot
    with stepping_aside(lambda: None):
        aside = load(directory).snapshot
    return alone, aside


def query(subject: str = "", resource: str = "", action: str = "") -> Query:
    who = Entity("user", subject)
    return Query(Action(action), Entity("resource", resource), {}, who, vouched=True)


def test_it_is_in_parts(both: tuple[Snapshot, Snapshot]) -> None:
    alone, aside = ([b.root for b in s.grants[0].indexes.allows.branches] for s in both)
    assert not any(isinstance(root, Wide) for root in alone)
    assert any(isinstance(root, Wide) for root in aside)


def test_every_verdict_is_the_same(both: tuple[Snapshot, Snapshot]) -> None:
    allowed = 0
    for n in range(0, ROWS + 40, 7):
        for who, act in ((f"user{n % 50}", "GET"), ("user1", "GET"), (f"role{n % 7}", "POST")):
            asked = query(who, f"/pages/{n}/items", act)
            alone, aside = (decide(asked, vouched_identity(asked), one, NOW) for one in both)
            assert alone == aside
            allowed += alone.status == 200
    assert allowed > 300


def test_every_search_finds_the_same(both: tuple[Snapshot, Snapshot]) -> None:
    page = {"after": None, "limit": 50}
    for n in (0, 13, 70, 8_999):
        who, what = f"user{n % 50}", f"/pages/{n}/items"
        for found in (
            [search_subjects(s, query("", what, "GET"), "user", NOW, **page) for s in both],
            [search_resources(s, query(who), "resource", NOW, **page) for s in both],
            [search_actions(s, query(who, what), NOW, **page) for s in both],
        ):
            assert found[0] == found[1]


def test_every_plan_is_the_same(both: tuple[Snapshot, Snapshot]) -> None:
    alone, aside = (plan(snapshot.grants[0].indexes) for snapshot in both)
    assert alone == aside
