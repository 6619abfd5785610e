"""Role closures: nine edges and no more, cycles, domains, roles that a credential asserts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from judge import Ask, Policy, allows, facts_of, fresh_enforcer, layer_of, model_text, pycasbin_says

from pdp.policy.facts import Facts
from pdp.policy.layer import Layer
from pdp.policy.roles import COSTLY, MOST_KEPT, RoleGraph, build_graph

PLAIN = model_text("g(r.sub, p.sub)", roles="g = _, _")
DOMAINS = model_text("g(r.sub, p.sub, r.dom)", request="sub, obj, act, dom", roles="g = _, _, _")


def chain(edges: int) -> str:
    return "".join(f"g, n{i}, n{i + 1}\n" for i in range(edges))


@pytest.mark.parametrize(
    ("start", "held"), [("n1", True), ("n0", False), ("n9", True), ("n10", True)]
)
def test_a_role_is_held_over_nine_edges_and_not_over_ten(start: str, held: bool) -> None:
    links = [((f"n{i}", f"n{i + 1}"), i + 1) for i in range(10)]
    graph = build_graph(links, has_domain=False)
    assert ("n10" in graph.reach(start, "")) is held
    enforcer = fresh_enforcer(Policy(PLAIN, f"p, n10, /, GET\n{chain(10)}"))
    assert pycasbin_says(enforcer, Ask(start)) is held


def test_nine_edges_grant() -> None:
    layer = layer_of(Policy(PLAIN, f"p, n9, /, GET\n{chain(9)}"))
    assert allows(layer, Ask("n0"))
    assert set(layer.roles(facts_of(Ask("n0")))) == {f"n{i}" for i in range(1, 10)}


def test_a_shorter_way_counts() -> None:
    rows = f"p, n9, /, GET\n{chain(9)}g, x, n0\ng, x, n5\n"
    layer, enforcer = layer_of(Policy(PLAIN, rows)), fresh_enforcer(Policy(PLAIN, rows))
    assert allows(layer, Ask("x")) is pycasbin_says(enforcer, Ask("x")) is True


@pytest.mark.parametrize("sub", ["a", "b", "c", "x", ""])
def test_cycles_are_harmless(sub: str) -> None:
    rows = "p, c, /, GET\ng, a, b\ng, b, c\ng, c, a\ng, a, a\n"
    assert allows(layer_of(Policy(PLAIN, rows)), Ask(sub)) is pycasbin_says(
        fresh_enforcer(Policy(PLAIN, rows)), Ask(sub)
    )


def test_everybody_is_oneself() -> None:
    layer = layer_of(Policy(PLAIN, "p, x, /, GET\n"))
    assert allows(layer, Ask("x"))
    assert not allows(layer, Ask("y"))
    assert set(layer.roles(facts_of(Ask("x")))) == set()


@pytest.mark.parametrize("sub", ["alice", "bob", "admin", "root"])
@pytest.mark.parametrize("dom", ["d1", "d2", "", 1, "1"])
def test_roles_of_one_domain_are_none_in_another(sub: str, dom: object) -> None:
    rows = "p, admin, /, GET\np, root, /, GET\ng, alice, admin, d1\ng, bob, admin, d2\n"
    rows += "g, admin, root, d1\ng, alice, root, 1\n"
    policy = Policy(DOMAINS, rows)
    ask = Ask(sub, context={"domain": dom, "dom": dom})
    assert allows(layer_of(policy), ask) is pycasbin_says(fresh_enforcer(policy), ask)


def test_a_domain_of_any_type_is_compared_as_text() -> None:
    layer = layer_of(Policy(DOMAINS, "p, admin, /, GET\ng, alice, admin, 1\n"))
    assert allows(layer, Ask("alice", context={"domain": 1}))
    assert not allows(layer, Ask("alice", context={"domain": 2}))
    assert not allows(layer, Ask("alice"))


def judged(layer: Layer, facts: Facts) -> tuple[bool, set[str]]:
    return layer.judge(facts).decision == "allow", set(layer.roles(facts))


def test_asserted_roles_join_the_rows_for_the_request() -> None:
    layer = layer_of(Policy(PLAIN, "p, boss, /, GET\ng, lead, boss\n"))
    assert judged(layer, facts_of(Ask("alice", roles=("lead",)))) == (True, {"lead", "boss"})
    assert judged(layer, facts_of(Ask("alice", roles=("other",)))) == (False, {"other"})
    assert judged(layer, facts_of(Ask("alice"))) == (False, set())


def test_an_asserted_role_counts_as_one_edge() -> None:
    rows = f"p, n8, /, GET\np, n9, /x, GET\n{chain(9)}"
    layer = layer_of(Policy(PLAIN, rows))
    held = layer.roles(facts_of(Ask("alice", roles=("n0",))))
    assert "n8" in held
    assert "n9" not in held


def test_asserted_roles_hold_in_their_domain_only() -> None:
    layer = layer_of(Policy(DOMAINS, "p, boss, /, GET\ng, lead, boss, d1\n"))
    roles = {"roles": ("lead",), "domain": "d1"}
    here, there = {"context": {"domain": "d1"}}, {"context": {"domain": "d2"}}
    assert judged(layer, facts_of(Ask("alice", **roles, **here))) == (True, {"lead", "boss"})  # type: ignore[arg-type]
    assert judged(layer, facts_of(Ask("alice", **roles, **there))) == (False, set())  # type: ignore[arg-type]
    without = facts_of(Ask("alice", roles=("lead",), context={"domain": "d1"}))
    assert judged(layer, without) == (False, set())


def test_a_domain_means_nothing_where_roles_have_none() -> None:
    layer = layer_of(Policy(PLAIN, "p, lead, /, GET\n"))
    assert allows(layer, Ask("alice", roles=("lead",), domain="d1"))


@pytest.mark.parametrize("domain", ["d1", "d2"])
def test_the_authenticated_role_is_held_in_every_domain(domain: str) -> None:
    layer = layer_of(Policy(DOMAINS, "p, member, /, GET\ng, known, member, d1\n"))
    facts = facts_of(Ask("alice", context={"domain": domain}), authenticated_role="known")
    assert judged(layer, facts) == (
        domain == "d1",
        {"known"} | ({"member"} if domain == "d1" else set()),
    )


def test_asserted_roles_are_the_subjects_and_nobody_elses() -> None:
    model = model_text("g(r.obj, p.obj) && g(p.sub, r.act)", roles="g = _, _")
    layer = layer_of(Policy(model, "p, x, lead, GET\n"))
    assert not allows(layer, Ask("alice", "doc", "lead", roles=("lead",)))
    assert layer.subject_roles == ()
    assert layer.role_names == frozenset()


def test_a_constant_member_or_domain_is_asked_without_a_token() -> None:
    model = model_text('g(r.subject.id, p.sub, "d1")', roles="g = _, _, _")
    layer = layer_of(Policy(model, "p, admin, /, GET\ng, alice, admin, d1\n"))
    assert allows(layer, Ask("alice"))
    assert set(layer.roles(facts_of(Ask("alice")))) == set()
    assert layer.role_names == {"admin"}


def test_the_path_to_a_role_is_the_shortest() -> None:
    links = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "c")]
    graph: RoleGraph = build_graph(((link, i) for i, link in enumerate(links, 1)), has_domain=False)
    assert graph.path("a", "d", "") == ["a", "c", "d"]
    assert graph.path("a", "a", "") == ["a"]
    assert graph.path("d", "a", "") == []
    assert graph.path("x", "d", "", ["b"]) == ["x", "b", "c", "d"]
    assert graph.names() == {"b", "c", "d"}
    assert graph.line("", "c", "d") == 3
    assert graph.line("", "a", "d") is None
    assert graph.line("", "x", "b") is None
    assert graph.line("other", "c", "d") is None


def graph_of(*links: tuple[str, ...]) -> RoleGraph:
    rows = ((link, line) for line, link in enumerate(links, 1))
    return build_graph(rows, has_domain=len(links[0]) > len(("member", "role")))


def test_of_rows_that_say_the_same_the_first_counts() -> None:
    graph = graph_of(("x", "z"), ("a", "b"), ("a", "c"), ("a", "b"))
    assert (graph.line("", "a", "b"), graph.line("", "a", "c")) == (2, 3)
    assert dict(graph.reach("a", "")) == {"a": "", "b": "a", "c": "a"}


def test_lines_are_those_of_the_domain() -> None:
    graph = graph_of(("a", "b", "d1"), ("a", "b", "d2"), ("c", "e", "d2"))
    assert [graph.line(d, "a", "b") for d in ("d1", "d2", "d3")] == [1, 2, None]
    assert graph.names() == {"b", "e"}


def test_ones_own_name_comes_from_nobody() -> None:
    graph = graph_of(("a", "a"), ("a", "b"), ("b", "a"))
    assert dict(graph.reach("a", "", ["a"])) == {"a": "", "b": "a"}
    assert graph.path("a", "b", "") == ["a", "b"]


def test_only_costly_closures_are_kept() -> None:
    graph = graph_of(
        *((f"small{i}", "r") for i in range(9)), *(("big", f"r{i}") for i in range(99))
    )
    for name in ("small1", "nobody", "big", "big"):
        graph.reach(name, "")
    assert list(graph.closures.kept) == [("big", "", ())]
    assert graph.reach("big", "") is graph.reach("big", "")
    assert "r" in graph.reach("big", "", ["r"])
    assert "r" not in graph.reach("big", "")


@pytest.mark.parametrize("domain", ["", "d"])
def test_what_is_kept_is_bounded_however_many_ask(domain: str) -> None:
    row = (domain,) if domain else ()
    graph = graph_of(*(("team", f"r{i}", *row) for i in range(COSTLY)))

    def ask(number: int) -> bool:
        held = graph.reach(f"user{number}", domain, ["team", "x" * (number % 3) * 400])
        return len(held) == COSTLY + 3 and "r0" in held

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(MOST_KEPT // COSTLY)))
    closures = graph.closures
    sizes = (len(found) + len(key[2]) for key, found in closures.kept.items())
    assert 0 < sum(sizes) <= closures.names <= MOST_KEPT
    assert not any(len(role) > 512 for key in closures.kept for role in key[2])


@pytest.mark.parametrize("given", [(), ("x",), ("a",), ("r9", "a2")])
@pytest.mark.parametrize("name", ["a", "b", "c", "nobody", "x"])
def test_roles_are_what_is_reached_sorted_and_without_oneself(
    name: str, given: tuple[str, ...]
) -> None:
    rows = [("a", "b"), ("b", "c"), ("c", "a"), ("a2", "b"), ("x", "x"), ("x", "z"), ("x", "y")]
    graph = graph_of(*rows, *((f"r{i}", f"r{i + 1}") for i in range(20)))
    expected = tuple(sorted(role for role in graph.reach(name, "", given) if role != name))
    assert graph.roles(name, "", given) == graph.roles(name, "", given) == expected


def test_who_has_the_same_roles_shares_them_and_strangers_leave_nothing() -> None:
    graph = graph_of(*((f"user{i}", "staff") for i in range(99)), ("staff", "all"))
    assert {graph.roles(f"user{i}", "") for i in range(99)} == {("all", "staff")}
    assert [graph.roles(f"stranger{i}", "somewhere") for i in range(99)] == [()] * 99
    assert len(graph.inherited.kept) == 1
