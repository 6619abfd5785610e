"""Searches: who is known, what of it is found, in which order, and how a page ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from judge import ALLOW_AND_DENY, ALLOW_OVERRIDE, DENY_OVERRIDE, model_text

from pdp.model import Action, Entity, Query
from pdp.policy.search.memo import Memo, ordered
from pdp.policy.search.spelled import spelled
from pdp.policy.settings import LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot
from pdp.search import Found, Page, search_actions, search_resources, search_subjects

NO_CREDENTIALS = Credentialing()
NOW = 1_768_478_400.0
RBAC = model_text("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", roles="g = _, _")
RBAC_ROWS = """\
p, reader, faq, read
p, writer, faq, write
p, erin, faq, read
g, bob, writer
g, alice, reader
g, writer, reader
"""
TYPED = {"sub": "{subject.type}:{subject.id}", "obj": "{resource.type}:{resource.id}"}


def snapshot_of(
    model: str,
    rows: str,
    *,
    entities: Any = (),
    request: Mapping[str, str] | None = None,
    guard: tuple[str, str] | None = None,
    credentialing: Credentialing = NO_CREDENTIALS,
    **matching: Any,
) -> Snapshot:
    files = {
        "m.conf": model.encode(),
        "p.csv": rows.encode(),
        "entities.json": json.dumps(list(entities)).encode(),
    }
    layers = [
        LayerSettings(
            name="all",
            kind="grant",
            model="m.conf",
            policy="p.csv",
            request=dict(request or {}),
            **matching,
        )
    ]
    if guard:
        files |= {"g.conf": guard[0].encode(), "g.csv": guard[1].encode()}
        layers.append(LayerSettings(name="guard", kind="guard", model="g.conf", policy="g.csv"))
    settings = PolicySettings(layers=tuple(layers))
    snapshot, problems = build_snapshot(files, settings, credentialing, "pdp.toml")
    assert snapshot is not None, problems
    return snapshot


def entity(type_: str, id_: str, **properties: Any) -> dict[str, Any]:
    return {"type": type_, "id": id_, "properties": properties}


def query(
    sub: str = "", obj: str = "", act: str = "", *, types: str = "user resource", **context: Any
) -> Query:
    who, what = types.split()
    return Query(Action(act), Entity(what, obj), context, Entity(who, sub), vouched=True)


def who(snapshot: Snapshot, asked: Query, type_: str = "user") -> list[str]:
    page = search_subjects(snapshot, asked, type_, NOW, after=None, limit=100)
    assert all(one.type == type_ for one in page.results)
    return [one.id for one in page.results]


def what(snapshot: Snapshot, asked: Query, type_: str = "resource") -> list[str]:
    page = search_resources(snapshot, asked, type_, NOW, after=None, limit=100)
    assert all(one.type == type_ for one in page.results)
    return [one.id for one in page.results]


def how(snapshot: Snapshot, asked: Query) -> list[str]:
    return list(search_actions(snapshot, asked, NOW, after=None, limit=100).results)


def test_members_of_roles_are_found_and_roles_are_not() -> None:
    snapshot = snapshot_of(RBAC, RBAC_ROWS)
    assert who(snapshot, query(obj="faq", act="read")) == ["alice", "bob", "erin"]
    assert who(snapshot, query(obj="faq", act="write")) == ["bob"]
    assert what(snapshot, query("bob", act="write")) == ["faq"]
    assert how(snapshot, query("bob", "faq")) == ["read", "write"]
    assert how(snapshot, query("alice", "faq")) == ["read"]


def test_a_role_that_is_listed_as_a_user_is_one() -> None:
    snapshot = snapshot_of(RBAC, RBAC_ROWS, entities=[entity("user", "writer")])
    assert who(snapshot, query(obj="faq", act="read")) == ["alice", "bob", "erin", "writer"]


def test_who_is_not_known_is_not_found() -> None:
    snapshot = snapshot_of(RBAC, RBAC_ROWS)
    assert who(snapshot, query(obj="nothing", act="read")) == []
    assert what(snapshot, query("nobody", act="read")) == []
    assert how(snapshot, query("nobody", "faq")) == []


def test_what_anonymous_may_everybody_may_but_nobody_is_called_so() -> None:
    rows = "p, anonymous, faq, read\ng, alice, reader\n"
    snapshot = snapshot_of(RBAC, rows, entities=[entity("user", "anonymous")])
    assert who(snapshot, query(obj="faq", act="read")) == ["alice"]
    rows += "p, bob, other, read\np, reader, other, read\n"
    snapshot = snapshot_of(RBAC, rows)
    assert who(snapshot, query(obj="faq", act="read")) == ["alice", "bob"]
    assert what(snapshot, query("carol", act="read")) == ["faq"]
    assert how(snapshot, query("carol", "faq")) == ["read"]


def test_what_credentials_assert_is_no_user() -> None:
    asserted = Credentialing(asserted=frozenset({"erin"}), role_prefixes=("al",))
    snapshot = snapshot_of(RBAC, RBAC_ROWS, credentialing=asserted)
    assert who(snapshot, query(obj="faq", act="read")) == ["bob"]


def test_a_role_of_everybody_who_is_logged_in_makes_everybody_a_candidate() -> None:
    everybody = Credentialing(authenticated_role="reader")
    snapshot = snapshot_of(
        RBAC, RBAC_ROWS, credentialing=everybody, entities=[entity("user", "zoe")]
    )
    assert who(snapshot, query(obj="faq", act="read")) == ["alice", "bob", "erin", "zoe"]


# An id that nothing gives a type: of which types it is.
UNTYPED: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    ("user", [], ["alice", "bob", "erin"]),
    ("anything", [], ["alice", "bob", "erin"]),
    ("user", [entity("doc", "x")], ["alice", "bob", "erin"]),
    ("anything", [entity("doc", "x")], []),
    ("doc", [entity("doc", "x")], ["alice", "bob", "erin"]),
    ("user", [entity("service", "bob")], ["alice", "erin"]),
    ("service", [entity("service", "bob"), entity("user", "alice")], ["bob", "erin"]),
    ("user", [entity("service", "bob"), entity("user", "bob")], ["alice", "bob", "erin"]),
]


@pytest.mark.parametrize(("type_", "entities", "expected"), UNTYPED)
def test_ids_without_a_type(
    type_: str, entities: list[dict[str, Any]], expected: list[str]
) -> None:
    snapshot = snapshot_of(RBAC, RBAC_ROWS, entities=entities)
    assert who(snapshot, query(obj="faq", act="read"), type_) == expected


def test_types_that_stand_in_the_name() -> None:
    rows = (
        "p, reader, doc:faq, read\np, service:cron, doc:faq, read\n"
        "g, user:alice, reader\ng, user:bob:x, reader\n"
    )
    snapshot = snapshot_of(RBAC, rows, request=TYPED, entities=[entity("service", "alice")])
    asked = query(obj="faq", act="read", types="user doc")
    assert who(snapshot, asked) == ["alice", "bob:x"]
    assert who(snapshot, asked, "service") == ["cron"]
    assert who(snapshot, asked, "reader") == []
    assert what(snapshot, query("alice", act="read"), "doc") == ["faq"]
    assert what(snapshot, query("alice", act="read"), "page") == []


def test_types_that_the_matcher_asks_for() -> None:
    model = model_text(
        "r.sub == p.sub && r.resource.type == p.kind && r.obj == p.obj && r.act == p.act",
        policy="sub, kind, obj, act",
    )
    rows = "p, alice, doc, faq, read\np, alice, page, home, read\n"
    snapshot = snapshot_of(model, rows, entities=[entity("user", "alice")])
    asked = query("alice", act="read")
    assert what(snapshot, asked, "doc") == ["faq"]
    assert what(snapshot, asked, "page") == ["home"]
    assert what(snapshot, asked) == []


def test_names_with_something_of_the_request_in_them() -> None:
    request = {"obj": "{context.tenant}/{resource.id}.txt"}
    rows = "p, alice, t1/b.txt, read\np, alice, t1/a.txt, read\np, alice, t2/c.txt, read\n"
    model = model_text("r.sub == p.sub && r.obj == p.obj && r.act == p.act")
    snapshot = snapshot_of(model, rows, request=request)
    assert what(snapshot, query("alice", act="read", tenant="t1")) == ["a", "b"]
    assert what(snapshot, query("alice", act="read", tenant="t2")) == ["c"]
    assert what(snapshot, query("alice", act="read")) == []


DOMAINS = model_text(
    "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj",
    request="sub, dom, obj",
    policy="sub, dom, obj",
    roles="g = _, _, _",
)


def test_roles_count_in_their_domain_only() -> None:
    rows = (
        "p, admin, t1, faq\np, admin, t2, faq\n"
        "g, alice, admin, t1\ng, bob, admin, t2\ng, carol, boss, t1\ng, boss, admin, t1\n"
    )
    snapshot = snapshot_of(DOMAINS, rows)
    assert who(snapshot, query(obj="faq", domain="t1")) == ["alice", "carol"]
    assert who(snapshot, query(obj="faq", domain="t2")) == ["bob"]
    assert who(snapshot, query(obj="faq", domain="t3")) == who(snapshot, query(obj="faq")) == []


def test_denies_and_guards_take_results_away() -> None:
    model = model_text(
        "(r.sub == p.sub || p.sub == '*') && r.obj == p.obj && r.act == p.act",
        policy="sub, obj, act, eft",
        effect=ALLOW_AND_DENY,
    )
    guard = model_text("r.sub == p.sub", request="sub", policy="sub, eft", effect=DENY_OVERRIDE)
    rows = "p, *, faq, read, allow\np, mallory, faq, read, deny\np, alice, x, read, allow\n"
    snapshot = snapshot_of(model, rows, guard=(guard, "p, oscar, deny\n"))
    # Who only a deny names is known all the same; a wildcard is nobody.
    assert who(snapshot, query(obj="faq", act="read")) == ["alice"]
    assert what(snapshot, query("oscar", act="read")) == []
    assert what(snapshot, query("zoe", act="read")) == ["faq"]


def test_a_guard_that_the_open_part_cannot_change_ends_the_search() -> None:
    guard = model_text("r.sub == p.sub", request="sub", policy="sub, eft", effect=DENY_OVERRIDE)
    rows = "p, bob, faq, read\n"
    model = model_text("r.sub == p.sub && r.obj == p.obj && r.act == p.act")
    assert how(snapshot_of(model, rows), query("bob", "faq")) == ["read"]
    assert how(snapshot_of(model, rows, guard=(guard, "p, bob, deny\n")), query("bob", "faq")) == []


PATHS = model_text(
    "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)", roles="g = _, _"
)


def test_patterns_find_what_is_listed_and_what_others_spell_out() -> None:
    rows = (
        "p, member, /docs/:id, ^(GET|HEAD)$\np, member, /faq, GET\np, other, /docs/7, ^.*$\n"
        "p, other, /docs/7/x, POST\ng, alice, member\n"
    )
    entities = [entity("resource", id_) for id_ in ("/docs/a", "/docs/a/b", "/dodo")]
    snapshot = snapshot_of(PATHS, rows, entities=entities)
    assert what(snapshot, query("alice", act="GET")) == ["/docs/7", "/docs/a", "/faq"]
    assert how(snapshot, query("alice", "/docs/9")) == ["GET", "HEAD"]
    assert how(snapshot, query("other", "/docs/7")) == ["GET", "HEAD", "POST"]


PROPERTIES: list[tuple[str, list[str]]] = [
    ("r.obj.owner == r.sub", ["a", "b"]),
    ("r.sub == r.obj.owner", ["a", "b"]),
    ("r.sub in r.obj.editors", ["b", "c"]),
    ("r.obj.place == r.sub.home", ["c"]),
    ("r.sub.home in r.obj.editors", []),
    ("r.obj.editors == r.sub.team", ["b"]),
    ('r.obj.status == "open"', ["a"]),
    ('r.obj.status in ["open", "done"]', ["a", "b"]),
    ("r.obj.public", ["c"]),
    ("r.obj.size > 2", ["b", "c"]),
    ('!(r.obj.status == "open")', ["b"]),
    ("r.obj.owner == r.sub && r.obj.size > 2", ["b"]),
    ('r.obj.place.city == "Rome"', ["c"]),
]


@pytest.mark.parametrize(("matcher", "expected"), PROPERTIES)
def test_properties_that_the_policy_knows(matcher: str, expected: list[str]) -> None:
    entities = [
        entity("doc", "a", owner="alice", status="open", size=1, editors=[]),
        entity("doc", "b", owner="alice", status="done", size=5, editors=["bob", "alice"]),
        entity(
            "doc", "c", owner="bob", size=9, editors="alice", public=True, place={"city": "Rome"}
        ),
        entity("page", "d", owner="alice", status="open", size=9, public=True),
    ]
    snapshot = snapshot_of(
        model_text(f"({matcher}) && r.act == p.act"), "p, x, x, read\n", entities=entities
    )
    alice = Entity("user", "alice", {"home": {"city": "Rome"}, "team": ["bob", "alice"]})
    asked = Query(Action("read"), Entity("doc", ""), {}, alice, vouched=True)
    assert what(snapshot, asked, "doc") == expected


def test_whom_the_question_names_is_found() -> None:
    snapshot = snapshot_of(
        model_text("r.sub == r.obj.owner || r.sub in r.obj.editors"), "p, x, x, x\n"
    )
    resource = Entity("doc", "a", {"owner": "zoe", "editors": ["yves", 7, "*"]})
    asked = Query(Action("read"), resource, vouched=True)
    assert who(snapshot, asked) == ["yves", "zoe"]


def test_whom_the_question_names_is_found_among_everybody() -> None:
    resource = Entity("doc", "a", {"owner": "zoe"})
    asked = Query(Action("read"), resource, vouched=True)
    entities = [entity("user", "yves", age=20)]
    model = model_text("r.sub.age > 18 || r.sub == r.obj.owner")
    snapshot = snapshot_of(model, "p, x, x, x\n", entities=entities)
    assert who(snapshot, asked) == ["yves", "zoe"]
    public = Query(Action("read"), Entity("doc", "a", {"owner": "anonymous"}), vouched=True)
    assert who(snapshot, public) == ["yves"]


def test_roles_are_followed_as_far_as_decisions_follow_them() -> None:
    names = ["alice", *(f"r{i}" for i in range(1, 10))]
    links = "".join(f"g, {a}, {b}\n" for a, b in pairwise(names))
    snapshot = snapshot_of(RBAC, f"p, r9, faq, read\n{links}")
    assert who(snapshot, query(obj="faq", act="read")) == ["alice"]


def test_properties_of_the_request_are_the_subjects_not_the_results() -> None:
    entities = [entity("doc", "a", owner="alice"), entity("doc", "b")]
    snapshot = snapshot_of(
        model_text("r.obj.owner == r.sub.boss"), "p, x, x, x\n", entities=entities
    )
    subject = Entity("user", "bob", {"boss": "alice"})
    resource = Entity("doc", "", {"owner": "alice"})
    asked = Query(Action("read"), resource, {}, subject, vouched=True)
    assert what(snapshot, asked, "doc") == ["a"]
    unvouched = Query(Action("read"), resource, {}, subject)
    assert what(snapshot, unvouched, "doc") == []


def test_groups_of_resources() -> None:
    model = model_text(
        "r.sub == p.sub && g2(r.obj, p.obj) && r.act == p.act", roles="g = _, _\ng2 = _, _"
    )
    rows = "p, alice, books, read\ng, x, y\ng2, dune, novels\ng2, novels, books\ng2, atlas, books\n"
    snapshot = snapshot_of(model, rows)
    assert what(snapshot, query("alice", act="read")) == ["atlas", "dune"]


def test_groups_by_pattern() -> None:
    model = model_text(
        "r.sub == p.sub && g2(r.obj, p.obj) && r.act == p.act", roles="g = _, _\ng2 = _, _"
    )
    rows = "p, alice, books, read\ng, x, y\ng2, /book/:id, books\ng2, /atlas, books\n"
    entities = [entity("resource", id_) for id_ in ("/book/1", "/map/1")]
    snapshot = snapshot_of(model, rows, entities=entities, role_matching={"g2": "keyMatch2"})
    assert what(snapshot, query("alice", act="read")) == ["/atlas", "/book/1"]


def test_rules_that_are_expressions() -> None:
    model = model_text("eval(p.rule) && r.act == p.act", policy="rule, act")
    rows = 'p, r.sub == "alice", read\np, r.sub.age > 17 && r.obj == "faq", read\n'
    entities = [entity("user", "bob", age=30), entity("user", "carol", age=3)]
    snapshot = snapshot_of(model, rows, entities=entities)
    assert who(snapshot, query(obj="faq", act="read")) == ["alice", "bob"]
    assert what(snapshot, query("bob", act="read")) == ["faq"]


def test_ids_are_in_the_order_of_their_code_points() -> None:
    names = ["b", "a", "B", "é", "aa", "\U0001f600", "\uffee", "10", "9"]
    rows = "".join(f"p, {name}, faq, read\n" for name in names)
    model = model_text("r.sub == p.sub && r.obj == p.obj && r.act == p.act")
    assert who(snapshot_of(model, rows), query(obj="faq", act="read")) == sorted(names)


MANY = 2_000
MANY_ROWS = "".join(f"p, staff, doc{i}, read\n" for i in range(MANY)) + "".join(
    f"g, user{i}, staff\n" for i in range(MANY)
)


def pages(snapshot: Snapshot, asked: Query, limit: int) -> list[Page[Found]]:
    found = [search_resources(snapshot, asked, "resource", NOW, after=None, limit=limit)]
    while found[-1].cursor is not None:
        cursor = found[-1].cursor
        found.append(search_resources(snapshot, asked, "resource", NOW, after=cursor, limit=limit))
        assert len(found) <= MANY
    return found


@pytest.mark.parametrize("limit", [7, 500, MANY, MANY + 1])
def test_pages_join_without_gaps_and_the_last_one_says_so(limit: int) -> None:
    snapshot = snapshot_of(RBAC, MANY_ROWS)
    found = pages(snapshot, query("user7", act="read"), limit)
    ids = [one.id for page in found for one in page.results]
    assert ids == sorted(f"doc{i}" for i in range(MANY))
    # A page that is short has done its share of work; none but the last is empty.
    assert all(page.results for page in found)
    assert len(found) <= MANY // min(limit, 500) + 2


def test_a_page_of_candidates_that_are_refused_ends_early_and_the_next_goes_on() -> None:
    entities = [entity("resource", f"{i:05}", size=i) for i in range(5_000)]
    model = model_text("r.obj.size >= r.sub.least && r.act == p.act")
    snapshot = snapshot_of(model, "p, x, x, read\n", entities=entities)
    subject = Entity("user", "alice", {"least": 4_990})
    asked = Query(Action("read"), Entity("resource", ""), {}, subject, vouched=True)
    found = pages(snapshot, asked, 100)
    assert 2 < len(found) < 20
    assert found[0].results == ()
    assert [one.id for page in found for one in page.results] == [
        f"{i:05}" for i in range(4_990, 5_000)
    ]


def test_a_page_goes_on_behind_an_id_that_is_empty() -> None:
    model = model_text("r.sub == p.sub && r.obj == p.obj")
    rows = "p, alice, , x\np, alice, a, x\n"
    assert [page.cursor for page in pages(snapshot_of(model, rows), query("alice"), 1)] == [
        "",
        None,
    ]


SPELLED: list[tuple[str | None, str, set[str]]] = [
    (None, "alice", {"alice"}),
    (None, "*", set()),
    ("keyMatch", "/a/:id", {"/a/:id"}),
    ("keyMatch", "/a/*", set()),
    ("keyMatch2", "/a/b.html", {"/a/b.html"}),
    ("keyMatch2", "/a/:id", set()),
    ("keyMatch2", "user:alice", {"user:alice"}),
    ("keyMatch3", "/a/{id}", set()),
    ("globMatch", "/a/?", set()),
    ("regexMatch", "GET", {"GET"}),
    ("regexMatch", "^(GET|POST)$", {"GET", "POST"}),
    ("regexMatch", "(GET)|(PUT)", {"GET", "PUT"}),
    ("regexMatch", r"^a\.[bc]x?$", {"a.b", "a.c", "a.bx", "a.cx"}),
    ("regexMatch", "^.*$", set()),
    ("regexMatch", "GET|.*", set()),
    ("regexMatch", "[^a]", set()),
    ("regexMatch", "[a-z]", set()),
    ("regexMatch", "(?i)get", set()),
    ("regexMatch", "(?i:get)", set()),
    ("regexMatch", "a+", set()),
    ("regexMatch", "[abcdefgh]" * 3, set()),
]


@pytest.mark.parametrize(("function", "text", "expected"), SPELLED)
def test_what_a_pattern_spells_out(function: str | None, text: str, expected: set[str]) -> None:
    assert set(spelled(function, text)) == expected


def test_what_is_kept_is_bounded_and_what_is_used_stays() -> None:
    memo = Memo(most=10_000)
    large = memo.get("large", lambda: ["x"] * 5_000, len)
    for number in range(1_000):
        assert memo.get(number, lambda n=number: [n] * 100, len) == [number] * 100  # type: ignore[misc]
        assert memo.get("large", list, len) is large
        assert memo.weight <= 10_000
    assert memo.get("huge", lambda: ["x"] * 20_000, len)
    assert "huge" not in memo.kept
    assert memo.weight == sum(weight for _, weight in memo.kept.values())


def test_many_names_are_sorted_in_runs() -> None:
    names = [f"{i * 7919 % 20_000}" for i in range(20_000)]
    assert list(ordered(names)) == sorted(names)
    assert ordered([]) == ()


def test_the_effect_of_a_grant_always_needs_a_rule_that_allows() -> None:
    # Candidates come from rules that allow: a grant by which everything else passes is no policy.
    model = model_text("r.sub == p.sub", policy="sub, eft", effect=DENY_OVERRIDE)
    files = {"m.conf": model.encode(), "p.csv": b"p, mallory, deny\n"}
    layer = LayerSettings(name="all", kind="grant", model="m.conf", policy="p.csv")
    built = build_snapshot(files, PolicySettings(layers=(layer,)), Credentialing(), "pdp.toml")
    assert built[0] is None
    assert ALLOW_OVERRIDE in RBAC
