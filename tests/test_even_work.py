"""Hidden, absent and forbidden paths take the same calls: counted, not timed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import pdp
from pdp.model import ANONYMOUS, Action, Entity, Identity, Method, Query, Reason, Verdict
from pdp.pipeline import decide
from pdp.policy.index.build import Index
from pdp.policy.layer import Layer
from pdp.policy.settings import ConcealmentSettings, LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot

OURS = str(Path(pdp.__file__).parent)
ALICE = Identity("alice", method=Method.BEARER, claims={"sub": "alice"}, roles=("guest",))
HOME, ELSEWHERE = "203.0.113.9", "192.0.2.66"

MODEL = """[request_definition]
r = {request}
[policy_definition]
p = {policy}
[role_definition]
g = _, _
[policy_effect]
e = {effect}
[matchers]
m = {matcher}
"""
ALLOW = "some(where (p.eft == allow))"
DENY = "!some(where (p.eft == deny))"
BOTH = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
FIRST = "priority(p.eft) || deny"


def model(matcher: str, *, policy: str = "sub, obj, act", effect: str = ALLOW, ip: str = "") -> str:
    return MODEL.format(request=f"sub, obj, act{ip}", policy=policy, effect=effect, matcher=matcher)


MANY = "".join(f"p, role{n % 9}, /service{n}/:id, ^GET$\n" for n in range(40))
ROLES = f"""{MANY}p, administrator, /admin/users, ^(GET|PUT)$
p, auditor, /audit/books, ^GET$
p, member, /invoices/:id, ^GET$
g, alice, member
g, carol, administrator
"""
RBAC = ("g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)", ROLES)
LAYERS: dict[str, list[tuple[str, str, str, str]]] = {
    "roles": [("rbac", "grant", model(RBAC[0]), RBAC[1])],
    "roles by prefix": [
        ("rbac", "grant", model(RBAC[0].replace("keyMatch2", "keyMatch")), RBAC[1]),
    ],
    "roles by regular expression": [
        ("rbac", "grant", model(RBAC[0].replace("keyMatch2", "regexMatch")), RBAC[1]),
    ],
    "guarded by address": [
        (
            "site",
            "guard",
            model(
                "keyMatch2(r.obj, p.obj) && ipMatch(r.ip, p.net)",
                policy="obj, net, eft",
                effect=DENY,
                ip=", ip",
            ),
            f"p, /admin/users, {ELSEWHERE}/32, deny\np, /audit/books, 198.51.100.7, deny\n",
        ),
        ("rbac", "grant", model(RBAC[0]), RBAC[1]),
    ],
    "a guard about the subject, too": [
        (
            "ages",
            "guard",
            model("r.obj == p.obj && !(r.sub.age >= 18)", policy="obj, eft", effect=DENY),
            "p, /admin/users, deny\np, /audit/books, deny\n",
        ),
        ("rbac", "grant", model(RBAC[0]), RBAC[1]),
    ],
    "explicit denies and names": [
        (
            "acl",
            "grant",
            model(
                "r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act",
                policy="sub, obj, act, eft",
                effect=BOTH,
            ),
            "p, alice, /admin/users, GET, deny\np, zed, /audit/books, GET, allow\n"
            + "".join(f"p, user{n}, /own{n}, GET, allow\n" for n in range(40)),
        ),
        ("rbac", "grant", model(RBAC[0]), RBAC[1]),
    ],
    "the first that matches": [
        (
            "first",
            "grant",
            model(
                "keyMatch2(r.obj, p.obj) && r.sub == p.sub",
                policy="sub, obj, eft",
                effect=FIRST,
            ),
            "p, alice, /admin/users, deny\np, bob, /audit/books, allow\n"
            + "".join(f"p, user{n}, /own{n}, allow\n" for n in range(40)),
        ),
    ],
}
PATHS = {
    "hidden": "/admin/users",
    "hidden, not there": "/admin/ghost",
    "absent": "/ghost/users",
    "forbidden": "/audit/books",
}
STATUS = dict.fromkeys(PATHS, 404) | {"forbidden": 403}
# Calls, of some hundred and fifty: what a refusal by a guard needs to wait for the others, or a
# regular expression that is tried because the path begins like it.
NEARLY = 24
A_RULE = 12  # calls that one rule more takes, in the three times that it can be looked at


def snapshot_of(layers: list[tuple[str, str, str, str]], *hidden: str) -> Snapshot:
    files: dict[str, bytes] = {}
    for name, _, conf, rows in layers:
        files |= {f"{name}.conf": conf.encode(), f"{name}.csv": rows.encode()}
    settings = PolicySettings(
        layers=tuple(
            LayerSettings(
                name=name,
                kind=kind,  # type: ignore[arg-type]
                model=f"{name}.conf",
                policy=f"{name}.csv",
            )
            for name, kind, _, _ in layers
        ),
        concealment=ConcealmentSettings(resources=hidden or ("/admin", "/admin/*")),
    )
    snapshot, problems = build_snapshot(files, settings, Credentialing(configured=True), "pdp.toml")
    assert snapshot is not None, problems
    return snapshot


class Work:
    """What was done: calls by function, and lines."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self.lines = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.calls == other.calls

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.calls.total()} calls, {self.lines} lines"

    def note(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "call":
            self.calls[frame.f_code] += 1
        self.lines += event == "line"
        return self.note


@contextmanager
def watched() -> Iterator[Work]:
    work, before = Work(), sys.gettrace()
    sys.settrace(work.note)
    try:
        yield work
    finally:
        sys.settrace(before)


def judged(
    snapshot: Snapshot, path: str, action: str, ip: str, who: Identity = ALICE
) -> tuple[Verdict, Work]:
    """The verdict, and the work that it took."""
    query = Query(Action(action), Entity("resource", path), {"ip": ip})
    decide(query, who, snapshot, 0.0)  # patterns are compiled when they are asked for first
    with watched() as work:
        verdict = decide(query, who, snapshot, 0.0)
    return verdict, work


def everything(name: str, ip: str, action: str, who: Identity) -> dict[str, tuple[Verdict, Work]]:
    snapshot = snapshot_of(LAYERS[name])
    return {kind: judged(snapshot, path, action, ip, who) for kind, path in PATHS.items()}


def apart(some: Work, other: Work) -> int:
    """How many calls of the one the other has not, and the other way round."""
    return ((some.calls - other.calls) + (other.calls - some.calls)).total()


BY_ONE_RULE = ["roles", "roles by prefix", "guarded by address", "explicit denies and names"]
asking = pytest.mark.parametrize("action", ["GET", "PATCH"])
by_whom = pytest.mark.parametrize("who", [ALICE, ANONYMOUS], ids=["alice", "anonymous"])


@by_whom
@asking
@pytest.mark.parametrize("name", BY_ONE_RULE)
def test_hidden_absent_and_forbidden_take_the_very_same_calls(
    name: str, action: str, who: Identity
) -> None:
    found = everything(name, HOME, action, who)
    absent = found["absent"][1]
    assert {kind: work for kind, (_, work) in found.items() if work != absent} == {}
    lines = [work.lines for _, work in found.values()]
    assert max(lines) <= 1.06 * min(lines)
    if who is ALICE:
        assert {kind: verdict.status for kind, (verdict, _) in found.items()} == STATUS


@by_whom
@asking
@pytest.mark.parametrize("ip", [HOME, ELSEWHERE])
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in BY_ONE_RULE[:2]])
def test_what_a_guard_refuses_or_denies_too_or_a_table_must_try_is_nearly_the_same(
    name: str, ip: str, action: str, who: Identity
) -> None:
    found = everything(name, ip, action, who)
    absent = found["absent"][1]
    for kind, (verdict, work) in found.items():
        assert apart(work, absent) <= NEARLY, (kind, work, absent)
        assert abs(work.lines - absent.lines) <= 0.08 * absent.lines
        assert who is ANONYMOUS or verdict.status == STATUS[kind]


@pytest.mark.parametrize("rules", [2, 3, 6])
def test_each_further_rule_of_one_path_is_looked_at_and_no_more(rules: int) -> None:
    def work(count: int) -> Work:
        more = "".join(f"p, staff{n}, /admin/users, ^PUT$\n" for n in range(count - 1))
        layers = [("rbac", "grant", model(RBAC[0]), RBAC[1] + more)]
        verdict, done = judged(snapshot_of(layers), "/admin/users", "GET", HOME)
        assert verdict.reason is Reason.CONCEALED
        return done

    assert apart(work(rules), work(1)) <= (rules - 1) * A_RULE


def test_the_count_notices_a_rule_that_is_looked_at() -> None:
    snapshot = snapshot_of(LAYERS["roles"], "/nothing")  # as it was without the care taken
    uneven = replace(snapshot, grants=tuple(map(careless, snapshot.grants)))
    forbidden = judged(uneven, PATHS["forbidden"], "GET", HOME)[1]
    absent = judged(uneven, PATHS["absent"], "GET", HOME)[1]
    assert apart(forbidden, absent) > 0


def careless(layer: Layer) -> Layer:
    """The same layer, whose branches look at no row where they find none."""

    def without(index: Index) -> Index:
        return Index(tuple(replace(branch, decoy=None) for branch in index.branches))

    found = layer.indexes
    indexes = replace(found, allows=without(found.allows), covers=without(found.covers))
    return replace(layer, indexes=indexes)
