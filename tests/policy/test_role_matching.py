"""Patterns in `g` rows: the answers of a fresh pycasbin, nothing kept of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations, product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from role_judge import Link, graph_of, matches, pycasbin_says

from pdp.policy.name_patterns import patterns_among
from pdp.policy.roles import MAX_EDGES, MOST_KEPT, RoleGraph

NAMES = {
    "keyMatch": ["a", "ab", "abc", "a*", "ab*", "*", "b", "b*"],
    "keyMatch2": ["/a/1", "/a/2", "/b", "/a/:x", "/*", "/:x/:y", "/a/*", "a", "*", "g:1", "g:2"],
    "keyMatch3": ["/a/1", "/a/2", "/b", "/a/{x}", "/*", "/{x}/{y}", "/a/*", "a"],
    "keyMatch4": ["/a/1", "/a/1/1", "/a/1/2", "/a/{x}", "/*", "/a/{x}/{x}", "/{y}", "/b"],
    "keyMatch5": ["/a/1", "/a/1?q", "/b", "/b?q", "/a/{x}", "/*", "/{x}/{y}"],
    "regexMatch": ["a", "ab", "b", "^a$", "^a", "a|b", "^.$", "^b"],
    "ipMatch": ["10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.0/8", "alice", "::1", "0::1"],
    "globMatch": ["a", "ab", "b", "a*", "*", "?", "[ab]", "a/b", "a//b"],
}
PLACES = ["d1", "d2", "d*", "*"]


def settled(match: str | None, links: Sequence[Link], name: str, role: str) -> bool:
    """Whether pycasbin's answer rests on the rows alone, not on their order or on what is asked.

    It does where no other name matches a role; where what matches a pattern matches whatever
    the pattern's own text matches; and where the subject is not spelt as a pattern of others.
    """
    if match is None:
        return True
    held = {n for link in links for n in link[:2]} | {name}
    if any(matches(match, n, link[1]) for link in links for n in held - {link[1]}):
        return False
    names = held | {role}
    for one, two, three in product(names, names, names):
        if matches(match, one, two) and matches(match, two, three) > matches(match, one, three):
            return False
    return name not in patterns_among(match, [name]).all or matches(match, name, name)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str | None, str | None, list[Link], Link, str]:
    function = draw(st.sampled_from(sorted(NAMES)))
    name = st.sampled_from(NAMES[function])
    with_domain = draw(st.booleans())
    place = [st.sampled_from(PLACES)] if with_domain else []
    links = draw(st.lists(st.tuples(name, name, *place), min_size=1, max_size=4))
    domain = draw(st.sampled_from([None, "keyMatch"])) if with_domain else None
    match = draw(st.sampled_from([function, function, None])) if with_domain else function
    asked = st.sampled_from([*PLACES, "d3"])
    ask = draw(st.tuples(name, asked) if with_domain else st.tuples(name))
    return match, domain, links, ask, draw(name)


@given(questions())
@settings(max_examples=400, deadline=None)
def test_ours_is_what_fresh_enforcers_say_whatever_the_order_of_rows(
    question: tuple[str | None, str | None, list[Link], Link, str],
) -> None:
    match, domain, links, ask, role = question
    graph = graph_of(links, match, domain)
    ours = role in graph.reach(ask[0], ask[1] if len(ask) > 1 else "")
    theirs = {
        pycasbin_says(order, match, domain, ask, role) for order in sorted(set(permutations(links)))
    }
    if settled(match, links, ask[0], role):
        event(f"settled, {ours}")
        assert theirs == {ours}
    elif ours:  # never more than any of them
        event("not settled, and held")
        assert theirs == {True}


@given(questions())
@settings(max_examples=200, deadline=None)
def test_every_role_has_a_way_of_rows(
    question: tuple[str | None, str | None, list[Link], Link, str],
) -> None:
    match, domain, links, ask, role = question
    graph = graph_of(links, match, domain)
    name, at = ask[0], ask[1] if len(ask) > 1 else ""
    for held in {role, *graph.reach(name, at)}:
        way = graph.path(name, held, at)
        assert bool(way) is (held in graph.reach(name, at))
        for member, to in pairwise(way):
            line = graph.line(at, member, to)
            assert line is not None
            row = links[line - 1]
            for given_, stated in ((member, row[0]), (to, row[1])):
                assert given_ == stated or (match and matches(match, given_, stated))


BOOKS: list[Link] = [("/book/:id", "books"), ("/book/1", "rare"), ("books", "goods")]


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("/book/2", {"books", "goods"}),
        ("/book/1", {"books", "rare", "goods"}),
        ("/book/1/2", set()),
        ("/pen/1", set()),
        ("books", {"goods"}),
    ],
)
def test_a_member_that_is_a_pattern_gives_its_role_to_all_that_match(
    name: str, roles: set[str]
) -> None:
    graph = graph_of(BOOKS, "keyMatch2")
    assert set(graph.reach(name, "")) == {name, *roles}
    for role in ("books", "rare", "goods"):
        assert pycasbin_says(BOOKS, "keyMatch2", None, (name,), role) is (role in {name, *roles})


def test_a_pattern_domain_holds_in_all_that_match() -> None:
    links: list[Link] = [("alice", "admin", "*"), ("bob", "admin", "eu-*"), ("eve", "admin", "us")]
    graph = graph_of(links, None, "keyMatch")
    held = {(n, d) for n in ("alice", "bob", "eve") for d in ("eu-1", "us", "eu")}
    ours = {(n, d) for n, d in held if "admin" in graph.reach(n, d)}
    assert ours == {("alice", d) for d in ("eu-1", "us", "eu")} | {("bob", "eu-1"), ("eve", "us")}
    for name, domain in held:
        theirs = pycasbin_says(links, None, "keyMatch", (name, domain), "admin")
        assert theirs is ((name, domain) in ours)
    assert graph.line("eu-1", "bob", "admin") == 2
    assert graph.line("us", "bob", "admin") is None


def test_whoever_holds_a_role_that_is_a_pattern_holds_what_matches_it() -> None:
    links: list[Link] = [("alice", "book:*"), ("book:1", "rare")]
    graph = graph_of(links, "keyMatch")
    assert set(graph.reach("alice", "")) == {"alice", "book:*", "book:1", "rare"}
    assert "book:7" in graph.reach("alice", "")
    assert "pen:7" not in graph.reach("alice", "")
    assert graph.path("alice", "book:7", "") == ["alice", "book:7"]
    assert graph.line("", "alice", "book:7") == 1
    assert (graph.matches_role("book:7"), graph.matches_role("pen:7")) == (True, False)
    assert not graph.listed
    assert graph_of(BOOKS, "keyMatch2").listed


def test_who_matches_a_role_holds_nothing_by_that() -> None:
    links: list[Link] = [("book:1", "rare"), ("alice", "book:*")]
    for name in ("book:2", "book:*"):
        assert pycasbin_says(links, "keyMatch", None, (name,), "rare")  # in this order of rows
        assert set(graph_of(links, "keyMatch").reach(name, "")) == {name}


def test_what_is_asked_for_is_never_a_pattern() -> None:
    links: list[Link] = [("/book/1/admin", "admin"), ("/book/:id", "reader")]
    graph = graph_of(links, "keyMatch2")
    before = dict(graph.reach("/book/1/admin", ""))
    assert set(graph.reach("/*", "")) == {"/*"}
    assert set(graph.reach("/book/*", "")) == {"/book/*", "reader"}  # as text: one segment
    assert "/book/1" not in graph.reach("/book/*", "")
    assert dict(graph.reach("/book/1/admin", "")) == before


def test_a_subject_spelt_as_a_pattern_must_match_it() -> None:
    links: list[Link] = [("^svc-[a-z]+$", "service"), ("boss", "^svc-[a-z]+$")]
    graph = graph_of(links, "regexMatch")
    assert "service" in graph.reach("svc-mail", "")
    assert "service" not in graph.reach("^svc-[a-z]+$", "")
    assert "service" not in graph.reach("x", "", ["^svc-[a-z]+$"])
    assert "service" in graph.reach("boss", "")  # a row gives it


def test_a_domain_spelt_as_a_pattern_must_match_it() -> None:
    links: list[Link] = [("alice", "admin", "^t[0-9]$")]
    graph = graph_of(links, None, "regexMatch")
    assert "admin" in graph.reach("alice", "t1")
    assert "admin" not in graph.reach("alice", "^t[0-9]$")


def test_asserted_roles_match_members_but_are_no_patterns() -> None:
    graph = graph_of([("team-*", "staff"), ("lead", "book:*"), ("book:1", "rare")], "keyMatch")
    assert set(graph.reach("x", "", ["team-a"])) == {"x", "team-a", "staff"}
    assert "book:1" not in graph.reach("x", "", ["book:*"])
    assert "book:1" in graph.reach("x", "", ["lead"])


def test_names_that_are_no_text_match_nothing() -> None:
    graph = graph_of([("*", "all"), ("7", "seven")], "keyMatch")
    assert set(graph.reach(7, "")) == {7}  # type: ignore[arg-type]
    assert 7 not in graph.reach("x", "")


def test_patterns_are_followed_over_nine_edges() -> None:
    links: list[Link] = [(f"n{i}*", f"n{i + 1}x") for i in range(MAX_EDGES + 1)]
    graph = graph_of(links, "keyMatch")
    assert set(graph.reach("n0", "")) == {"n0"} | {f"n{i}x" for i in range(1, MAX_EDGES + 1)}
    assert pycasbin_says(links, "keyMatch", None, ("n0",), f"n{MAX_EDGES}x")
    assert not pycasbin_says(links, "keyMatch", None, ("n0",), f"n{MAX_EDGES + 1}x")


def test_without_functions_names_are_names() -> None:
    graph = graph_of([("a*", "b")], None)
    assert type(graph) is RoleGraph
    assert (set(graph.reach("ab", "")), graph.listed, graph.matches_role("b")) == (
        {"ab"},
        True,
        False,
    )


def test_what_was_asked_is_kept_within_bounds() -> None:
    graph = graph_of([("*", "all")], "keyMatch")
    for i in range(MOST_KEPT // 8):
        graph.reach(f"user{i}", "")
        graph.reach(f"{'x' * 600}{i}", "")
    assert graph.closures.names <= MOST_KEPT
    assert 0 < len(graph.closures.kept) < MOST_KEPT // 8
    assert not any(len(key[0]) > 512 for key in graph.closures.kept)
