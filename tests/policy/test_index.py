"""The index: the rows that it looks at, and the tables behind it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge import (
    ALLOW_AND_DENY,
    DENY_OVERRIDE,
    PRIORITY,
    Ask,
    Policy,
    allows,
    build,
    facts_of,
    layer_of,
    model_text,
    ours,
)

from pdp.policy.effect import Decision
from pdp.policy.index.branch import Branch
from pdp.policy.index.build import Index
from pdp.policy.index.plan import most_scanned, plan
from pdp.policy.index.tables import table_of
from pdp.policy.layer import Layer
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS
from pdp.policy.rows import PolicyRow

MANY = 2_000
ROLES = "g = _, _"
RBAC = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"
REST = "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)"


class Counted(Sequence[PolicyRow]):
    """Rows that count how often one of them is looked at."""

    def __init__(self, rows: Sequence[PolicyRow], seen: list[int]) -> None:
        self.rows, self.seen = rows, seen

    def __getitem__(self, place: Any) -> Any:
        self.seen.append(place)
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)


def counted(layer: Layer) -> tuple[Layer, list[int]]:
    """The same layer, with the positions of rows that its index looks at."""
    seen: list[int] = []

    def spoil(index: Index) -> Index:
        return Index(tuple(_counting(branch, seen) for branch in index.branches))

    indexes = dataclasses.replace(
        layer.indexes,
        allows=spoil(layer.indexes.allows),
        denies=spoil(layer.indexes.denies),
        covers=spoil(layer.indexes.covers),
    )
    return dataclasses.replace(layer, indexes=indexes), seen


def _counting(branch: Branch, seen: list[int]) -> Branch:
    return dataclasses.replace(branch, rows=Counted(branch.rows, seen))


def many(template: str, *more: str) -> str:
    return "\n".join([template.format(i=i, r=i % 50) for i in range(MANY)] + list(more)) + "\n"


NETWORK = "p, 10.{i}.0.0/16"
SHAPES: list[tuple[str, Policy, Ask]] = [
    (
        "acl",
        Policy(model_text("r.sub == p.sub && r.obj == p.obj"), many("p, u{i}, /o{r}, GET")),
        Ask(f"u{MANY - 1}", f"/o{(MANY - 1) % 50}"),
    ),
    (
        "rbac",
        Policy(model_text(RBAC, roles=ROLES), many("p, role{r}, /o{i}, GET", "g, alice, role49")),
        Ask("alice", f"/o{MANY - 1}"),
    ),
    (
        "one role owns all",
        Policy(
            model_text(REST, roles=ROLES),
            many("p, admin, /o{i}/:id, ^(GET|POST)$", "g, alice, admin"),
        ),
        Ask("alice", f"/o{MANY - 1}/7"),
    ),
    (
        "one role among many of one resource",
        Policy(model_text(REST, roles=ROLES), many("p, role{i}, /o/:id, GET", "g, alice, role7")),
        Ask("alice", "/o/7"),
    ),
    (
        "wildcards",
        Policy(
            model_text('(r.sub == p.sub || p.sub == "*") && (r.obj == p.obj || p.obj == "*")'),
            many("p, u{i}, /o{r}, GET", "p, *, /all, GET"),
        ),
        Ask("nobody", "/all"),
    ),
    (
        "domains",
        Policy(
            model_text(
                "r.dom == p.dom && g(r.sub, p.sub, r.dom) && r.obj == p.obj",
                request="sub, dom, obj",
                policy="sub, dom, obj",
                roles="g = _, _, _",
            ),
            many("p, role{r}, d{i}, /o", "g, alice, role9, d9"),
            request={"dom": "{context.dom}"},
        ),
        Ask("alice", "/o", context={"dom": "d9"}),
    ),
    (
        "prefixes",
        Policy(model_text("keyMatch(r.obj, p.obj)"), many("p, a, /o{i}/*, GET")),
        Ask("alice", f"/o{MANY - 1}/x"),
    ),
    (
        "regular expressions",
        Policy(model_text("regexMatch(r.obj, p.obj)"), many("p, a, ^/o{i}/\\d+$, GET")),
        Ask("alice", f"/o{MANY - 1}/7"),
    ),
    (
        "values of a list",
        Policy(model_text("p.sub in r.sub.groups"), many("p, team{i}, /, GET")),
        Ask("alice", sub_properties={"groups": ["x", f"team{MANY - 1}"]}),
    ),
    (
        "networks",
        Policy(
            model_text("ipMatch(r.ip, p.net)", request="ip", policy="net"),
            "\n".join(f"p, 10.{i >> 8}.{i & 255}.0/24" for i in range(MANY)) + "\n",
        ),
        Ask(context={"ip": f"10.{(MANY - 1) >> 8}.{(MANY - 1) & 255}.9"}),
    ),
]


@pytest.mark.parametrize(("policy", "ask"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_a_request_looks_at_a_handful_of_rows(policy: Policy, ask: Ask) -> None:
    layer, seen = counted(layer_of(policy))
    assert allows(layer, ask)
    assert len(seen) <= 6
    seen.clear()
    missing = dataclasses.replace(ask, sub="stranger", obj="/nothing/at/all", sub_properties={})
    if "ip" not in ask.context:
        assert not allows(layer, missing)
        assert len(seen) <= 6
        assert not layer.covers(facts_of(missing))
    assert most_scanned(layer.indexes) <= 120


def test_a_row_behind_a_million_is_named_by_its_line() -> None:
    layer = layer_of(Policy(model_text(RBAC, roles=ROLES), many("p, admin, /o{i}, GET")))
    ruling = ours(layer, Ask("admin", "/o1234"))
    assert (ruling.decision, str(ruling.rule)) == (Decision.ALLOW, "policy.csv:1235")


@pytest.mark.parametrize("effect", [DENY_OVERRIDE, ALLOW_AND_DENY, PRIORITY])
def test_unknown_deny_rows_are_found_without_looking_at_those_that_allow(effect: str) -> None:
    rows = many("p, team{i}, allow", "p, evil, deny")
    model = model_text("r.sub.team == p.sub", policy="sub, eft", effect=effect)
    layer, seen = counted(layer_of(Policy(model, rows)))
    ruling = ours(layer, Ask("alice"))
    assert (ruling.decision, str(ruling.rule)) == (Decision.DENY, f"policy.csv:{MANY + 1}")
    assert len(seen) <= 1


def test_the_first_row_in_order_is_found_wherever_it_stands_in_the_tree() -> None:
    rows = "p, b, /x, allow\np, a, /x, allow\np, *, /x, allow\n"
    matcher = '(g(r.sub, p.sub) || p.sub == "*") && r.obj == p.obj'
    model = model_text(matcher, policy="sub, obj, eft", roles=ROLES, effect=PRIORITY)
    layer = layer_of(Policy(model, rows * 4 + "g, alice, a\ng, alice, b\n"))
    assert str(ours(layer, Ask("alice", "/x")).rule) == "policy.csv:1"
    assert str(ours(layer, Ask("a", "/x")).rule) == "policy.csv:2"
    assert str(ours(layer, Ask("nobody", "/x")).rule) == "policy.csv:3"


def test_nothing_grows_with_who_asked_for_what() -> None:
    layer = layer_of(Policy(model_text(REST, roles=ROLES), many("p, role{r}, /o{i}/:id, GET")))

    def size() -> int:
        graph = layer.graphs["g"]
        return sum(map(sys.getsizeof, (graph.links, graph.lines, graph.closures.kept)))

    before = size()
    for i in range(3_000):
        layer.judge(facts_of(Ask(f"somebody{i}", f"/o1/{i}")))
    assert size() == before


# -- plans ---------------------------------------------------------------------------------------


def test_a_plan_says_what_becomes_of_each_clause() -> None:
    matcher = (
        'r.sub == "root" || (g(r.sub, p.sub) && r.obj == p.obj && r.sub.age > 17'
        ' && p.act != r.act && p.act == "GET")'
    )
    rows = "".join(f"p, r{i}, /o{i}, {'GET' if i % 2 else 'PUT'}\n" for i in range(20))
    root, other, *_ = plan(layer_of(Policy(model_text(matcher, roles=ROLES), rows)).indexes)
    assert (root.rows, root.once, root.indexed, root.residual) == (20, ('r.sub == "root"',), (), ())
    assert root.scanned == 0
    assert other.rows == 10
    assert set(other.indexed) == {"g(r.sub, p.sub)", "r.obj == p.obj"}
    assert (other.once, other.residual) == (("r.sub.age > 17",), ("p.act != r.act",))


def scanning(matcher: str, limit: int, rows: str) -> list[str]:
    policy = Policy(model_text(matcher), rows, scan_limit=limit)
    layer, problems = build(policy)
    assert (layer is None) is bool(problems)
    return [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("matcher", "most"),
    [
        ("r.sub < p.sub", MANY),
        ("r.sub != p.sub && r.act == p.act", MANY),
        ("globMatch(r.obj, p.obj)", MANY),
        ("regexMatch(r.obj, p.act + p.obj)", MANY),
    ],
)
def test_a_layer_that_looks_at_too_many_rows_is_refused(matcher: str, most: int) -> None:
    rows = many("p, u{i}, /o{i}, GET")
    assert scanning(matcher, most - 1, rows) == ["scans-rules"]
    assert scanning(matcher, most, rows) == []


def test_patterns_that_begin_alike_count_as_looked_at() -> None:
    rows = many("p, u, .*/o{i}, GET")
    assert scanning("regexMatch(r.obj, p.obj)", MANY - 1, rows) == ["scans-rules"]
    assert scanning("regexMatch(r.obj, p.obj)", MANY + 3, rows) == []


# -- tables --------------------------------------------------------------------------------------

TEXT = st.text("ab/:*{}.?\n|1", max_size=8)
SEGMENT = st.sampled_from(["", "a", "b", ":x", ":y", "{x}", "{y}", "*", "a.b", "a:b", "x{y}", "\n"])
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
ADDRESS = st.sampled_from(
    [
        "10.0.0.0/8",
        "10.0.0.1",
        "10.0.0.0/31",
        "0.0.0.0/0",
        "::/0",
        "::1",
        "2001:db8::/33",
        "10.0.0.2",
    ]
)
VALUES = {
    "ipMatch": (
        ADDRESS,
        st.sampled_from(["10.0.0.1", "10.0.0.3", "::1", "2001:db8:8000::", "9.9.9.9"]),
    ),
    "regexMatch": (
        st.sampled_from(
            ["^/a", "/a$", "a|b", "", "/a/\\d", "^GET$", "GET", "(?i)/A", "/ab?", "[ab]/"]
        ),
        st.sampled_from(["/a", "/a\n", "a", "b", "GETX", "/A", "/ab", "/a/1", "a/", ""]),
    ),
}


def compiling(function: str, patterns: Sequence[str]) -> Iterator[str]:
    for pattern in dict.fromkeys(patterns):
        try:
            PATTERN_FUNCTIONS[function](pattern)
        except ValueError:
            continue
        yield pattern


@pytest.mark.parametrize(
    "function",
    ["keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch", "ipMatch"],
)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_table_finds_exactly_the_patterns_that_match(function: str, data: st.DataObject) -> None:
    patterns, values = VALUES.get(function, (PATH | TEXT, PATH | TEXT))
    known = list(compiling(function, data.draw(st.lists(patterns, min_size=1, max_size=12))))
    table = table_of(function, known)
    assert table is not None
    for value in data.draw(st.lists(values, min_size=1, max_size=6)):
        wanted = [p for p in known if PATTERN_FUNCTIONS[function](p)(value)]
        assert sorted(table.matching(value)) == sorted(wanted), value


def test_what_cannot_be_looked_up_has_no_table() -> None:
    assert table_of("globMatch", ["/a/*"]) is None


# -- what an attack found ------------------------------------------------------------------------


def test_a_token_that_is_the_same_for_all_is_asked_like_any_other() -> None:
    model = model_text(
        "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj",
        request="sub, obj, dom",
        policy="sub, dom, obj, eft",
        roles="g = _, _, _",
        effect=ALLOW_AND_DENY,
    )
    rows = "p, admin, acme, /a, allow\np, admin, other, /a, deny\ng, alice, admin, acme\n"
    layer = layer_of(Policy(model, rows, request={"dom": "acme"}))
    assert str(ours(layer, Ask("alice", "/a")).rule) == "policy.csv:1"
    assert not allows(layer, Ask("bob", "/a"))


def test_deny_rows_are_found_by_another_clause_where_one_is_unknown() -> None:
    model = model_text(
        "r.sub.dept == p.dept && r.obj == p.obj",
        request="sub, obj",
        policy="dept, obj, eft",
        effect=ALLOW_AND_DENY,
    )
    rows = many("p, d{i}, /o{r}, deny", *[f"p, x{i}, /only{i}, deny" for i in range(50)])
    layer, seen = counted(layer_of(Policy(model, rows)))
    ruling = ours(layer, Ask(obj="/only7"))  # of no department: that clause is unknown
    assert (ruling.decision, str(ruling.rule)) == (Decision.DENY, f"policy.csv:{MANY + 8}")
    assert len(seen) <= 3
    seen.clear()
    assert ours(layer, Ask(obj="/elsewhere")).decision is Decision.NONE
    assert len(seen) <= 3
    (deny,) = [p for p in plan(layer.indexes) if p.rules == "deny"]
    assert deny.unknown <= MANY // 50


@pytest.mark.parametrize("size", [3, 40, 9_000])
def test_texts_within_a_text_are_found_by_its_parts(size: int) -> None:
    layer = layer_of(Policy(model_text("p.sub in r.sub.groups"), many("p, team-{i}, /, GET")))
    value = ("team-1999 " + "x" * size)[: max(size, 9)]
    assert str(ours(layer, Ask(sub_properties={"groups": value})).rule) == "policy.csv:2"
    assert not allows(layer, Ask(sub_properties={"groups": "x" * size}))


def test_coverage_looks_at_as_much_whether_it_finds_something_or_not() -> None:
    rows = "".join(f"p, u{i}, /x/{i:04}/y\n" for i in range(300))
    model = model_text("r.sub == p.sub && r.obj in p.obj", request="sub, obj", policy="sub, obj")
    layer, seen = counted(layer_of(Policy(model, rows)))
    looked = []
    for obj in ("/x/0000/y", "/x/0299/y", "/none"):
        seen.clear()
        layer.covers(facts_of(Ask(obj=obj)))
        looked.append(len(seen))
    assert looked == [300, 300, 300]
    assert most_scanned(layer.indexes) >= 300


def test_shapes_of_paths_and_lengths_of_prefixes_count_as_tried() -> None:
    shapes = "".join(
        f"p, u, {''.join(f'/{c}' for c in f'{i:011b}').replace('1', ':x')}, GET\n"
        for i in range(MANY)
    )
    assert scanning("keyMatch2(r.obj, p.obj)", MANY - 1, shapes) == ["scans-rules"]
    lengths = "".join(f"p, u, /{'a' * i}*, GET\n" for i in range(MANY))
    assert scanning("keyMatch(r.obj, p.obj)", MANY - 1, lengths) == ["scans-rules"]


def test_the_column_that_tells_most_is_the_first_level() -> None:
    rows = "".join(f"p, s{i % 20}, (/o|/p){i}, GET\n" for i in range(200))
    matcher = "r.obj == p.obj && regexMatch(r.obj, p.obj) && r.sub == p.sub"
    (first, *_) = plan(layer_of(Policy(model_text(matcher), rows)).indexes)
    assert first.indexed == ("r.obj == p.obj", "r.sub == p.sub")


def test_values_too_deep_to_compare_are_unknown() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    other: list[Any] = []
    for _ in range(100_000):
        other = [other]
    layer = layer_of(Policy(model_text("r.sub.a == r.sub.b && r.obj == p.obj"), "p, a, /, GET\n"))
    assert not allows(layer, Ask(sub_properties={"a": deep, "b": other}))


def test_roles_of_a_credential_without_a_domain_hold_in_no_domain() -> None:
    model = model_text(
        "g(r.sub, p.sub, r.dom) && r.obj == p.obj",
        request="sub, obj, dom",
        policy="sub, obj",
        roles="g = _, _, _",
    )
    layer = layer_of(Policy(model, "p, admin, /x\n"))
    for domain in ("", "acme"):
        ask = Ask("alice", "/x", context={"domain": domain}, roles=("admin",))
        assert not allows(layer, ask)
        assert allows(layer, dataclasses.replace(ask, domain=domain)) is bool(domain)


def test_roles_of_a_credential_are_the_subjects_and_not_its_departments() -> None:
    model = model_text("g(r.dept, p.sub)", request="dept", policy="sub", roles=ROLES)
    layer = layer_of(
        Policy(model, "p, admin\n", request={"dept": "{subject.properties.department}"})
    )
    ask = Ask("alice", sub_properties={"department": "sales"}, roles=("admin",))
    assert not allows(layer, ask)
