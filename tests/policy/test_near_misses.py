"""Rules that failed on exactly one clause, and the clauses that a matcher is made of."""

from __future__ import annotations

from typing import Any

import pytest
from judge import ALLOW_AND_DENY, DENY_OVERRIDE, PRIORITY, Ask, Policy, facts_of, layer_of
from judge import model_text as model

from pdp.policy.near_misses import NearMiss, Operand, near_misses

RBAC = "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)"
ROWS = """p, member, /invoices, ^GET$
p, member, /invoices/:id, ^GET$
p, accountant, /invoices/:id, ^DELETE$
p, accountant, /reports/:id, ^GET$
p, public, /docs/:id, ^GET$
g, accountant, member
g, alice, member
"""
ALICE = Ask("alice", "/invoices/7", "DELETE")


def missed(
    matcher: str, rows: str, ask: Ask = ALICE, kind: str = "grant", **parts: Any
) -> tuple[NearMiss, ...]:
    public = parts.pop("public", None)
    roles = parts.pop("roles", "g = _, _")
    layer = layer_of(Policy(model(matcher, roles=roles, **parts), rows), kind)
    return near_misses([layer], facts_of(ask), public and facts_of(public))


def lines(found: tuple[NearMiss, ...]) -> list[tuple[int, str]]:
    return [(int(miss.rule.rule.removeprefix("policy.csv:")), miss.clause) for miss in found]


ACT, SUB, OBJ = "regexMatch(r.act, p.act)", "g(r.sub, p.sub)", "keyMatch2(r.obj, p.obj)"


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (ALICE, [(2, ACT), (3, SUB)]),
        (Ask("alice", "/invoices", "PUT"), [(1, ACT)]),
        (Ask("alice", "/reports/7"), [(4, SUB)]),
        (Ask("zoe", "/invoices/7"), [(2, SUB)]),
        (Ask("zoe", "/invoices/7", "PUT"), []),  # two clauses failed
        # no rule's resource matches: those that begin alike
        (Ask("alice", "/invoice/7"), [(1, OBJ), (2, OBJ)]),
        (Ask("accountant", "/report/7"), [(4, OBJ)]),
        # or any, where none does
        (Ask("alice", "/x"), [(1, OBJ), (2, OBJ)]),
        # nothing was refused
        (Ask("alice", "/invoices/7"), []),
    ],
    ids=str,
)
def test_a_near_miss_failed_on_exactly_one_clause(
    ask: Ask, expected: list[tuple[int, str]]
) -> None:
    assert lines(missed(RBAC, ROWS, ask)) == expected


def test_a_near_miss_has_the_rule_and_both_values() -> None:
    action, role = missed(RBAC, ROWS)
    assert (action.layer, action.rule.text) == ("layer", "member, /invoices/:id, ^GET$")
    assert (action.unknown, action.public) == (False, False)
    assert action.operands == (Operand("r.act", "DELETE"), Operand("p.act", "^GET$"))
    member = Operand("r.sub", "alice", roles=("member",))
    assert role.operands == (member, Operand("p.sub", "accountant"))


def test_those_whose_resource_matches_come_first() -> None:
    rows = "p, member, /invoices, ^GET$\np, boss, /invoices/:id, ^GET$\ng, alice, member\n"
    assert lines(missed(RBAC, rows, Ask("alice", "/invoices/7"))) == [(2, SUB), (1, OBJ)]


def test_there_are_five_at_most() -> None:
    rows = "".join(f"p, user{n}, /a, GET\n" for n in range(50))
    matcher = "r.sub == p.sub && r.obj == p.obj && r.act == p.act"
    found = missed(matcher, rows, Ask("zoe", "/a", "GET"))
    assert [line for line, _ in lines(found)] == [1, 2, 3, 4, 5]


def test_what_anybody_may_is_near_too_unless_that_is_somebody_else() -> None:
    rows = "p, anonymous, /docs, ^GET$\np, boss, /docs, ^PUT$\n"
    public = Ask("anonymous", "/docs", "PUT")
    found = missed(RBAC, rows, Ask("alice", "/docs", "PUT"), public=public)
    assert [(miss.rule.rule, miss.clause, miss.public) for miss in found] == [
        ("policy.csv:2", SUB, False),
        ("policy.csv:1", ACT, True),
    ]


# Which rows could have allowed


FIREWALL = "p, /a, 10, allow\np, /a, 20, deny\np, /a, 30, allow\n"


@pytest.mark.parametrize(
    ("effect", "net", "expected"),
    [
        (PRIORITY, "20", [1]),  # what stands behind the deny row does not matter
        (PRIORITY, "40", [1, 3]),
        (ALLOW_AND_DENY, "20", []),  # no allow row makes up for a deny row
        (ALLOW_AND_DENY, "40", [1, 3]),
        (DENY_OVERRIDE, "20", []),
        (PRIORITY, "10", []),
    ],
)
def test_only_rows_that_would_change_the_ruling(effect: str, net: str, expected: list[int]) -> None:
    found = missed(
        "r.obj == p.obj && r.ip == p.net",
        FIREWALL,
        Ask("alice", "/a", context={"ip": net}),
        "guard",
        request="obj, ip",
        policy="obj, net, eft",
        effect=effect,
        roles="",
    )
    assert [line for line, _ in lines(found)] == expected


# Which clauses there are, and which values


@pytest.mark.parametrize(
    ("matcher", "clause", "operands"),
    [
        ("r.sub==p.sub &&  r.obj == p.obj", "r.sub==p.sub", [("r.sub", "alice"), ("p.sub", "bob")]),
        ("r.sub == p.sub and r.obj == p.obj", "r.sub == p.sub", [("r.sub", "alice")]),
        ("(r.obj == p.obj && (r.sub == p.sub)) && True", "r.sub == p.sub", [("r.sub", "alice")]),
        # operators are shown as they are written
        (
            'r.obj == p.obj && (r.sub == p.sub || r.sub == "root")',
            'r.sub == p.sub || r.sub == "root"',
            [("r.sub", "alice"), ("p.sub", "bob"), ('"root"', "root")],
        ),
        ("r.obj == p.obj && !(r.sub != p.sub)", "!(r.sub != p.sub)", [("r.sub", "alice")]),
        ("!(r.sub != p.sub) && r.obj == p.obj", "!(r.sub != p.sub)", [("r.sub", "alice")]),
        # a denied disjunction is one clause
        ("!(r.obj != p.obj || r.sub != p.sub)", None, []),
        ("r.obj == p.obj && r.obj.open", "r.obj.open", [("r.obj.open", False)]),
        ("r.obj == p.obj && 1 < r.obj.n < 3", "1 < r.obj.n < 3", [("1", 1), ("r.obj.n", 7)]),
        ("r.obj == p.obj && r.obj.n + 1 == 2", "r.obj.n + 1 == 2", [("r.obj.n + 1", 8), ("2", 2)]),
        (
            "r.obj == p.obj && r.sub in r.obj.owners",
            "r.sub in r.obj.owners",
            [("r.sub", "alice"), ("r.obj.owners", "['bob', 'carol']")],
        ),
        (
            'r.obj == p.obj && ("ä" == "b" if r.obj.n else True)',
            '"ä" == "b" if r.obj.n else True',
            [("r.obj.n", 7), ('"ä"', "ä"), ('"b"', "b"), ("True", True)],
        ),
        ("r.obj == p.obj && r.obj.big == 1", "r.obj.big == 1", [("r.obj.big", "1" + "0" * 20)]),
        ("r.obj == p.obj && r.obj.none == 1", "r.obj.none == 1", [("r.obj.none", None)]),
        ("r.obj == p.obj && r.obj.half == 1", "r.obj.half == 1", [("r.obj.half", 0.5)]),
        ('r.obj == p.obj && r.obj.long == ""', None, [("r.obj.long", "x" * 200 + "…")]),
        (
            'r.obj == p.obj && timeMatch("2001-01-01 00:00:00", "2002-01-01 00:00:00")',
            'timeMatch("2001-01-01 00:00:00", "2002-01-01 00:00:00")',
            [('"2001-01-01 00:00:00"', "2001-01-01 00:00:00")],
        ),
    ],
)
def test_clauses_are_what_the_conjunction_joins(
    matcher: str, clause: str | None, operands: list[tuple[str, object]]
) -> None:
    properties = {
        "open": False,
        "n": 7,
        "owners": ["bob", "carol"],
        "big": 10**20,
        "none": None,
        "half": 0.5,
        "long": "x" * 300,
    }
    ask = Ask("alice", "/a", obj_properties=properties)
    (found,) = missed(matcher, "p, bob, /a, GET\n", ask, roles="")
    assert found.clause == (clause or found.clause)
    assert {(o.source, o.value) for o in found.operands} >= set(operands)
    assert not found.unknown
    if "timeMatch" in matcher:
        assert found.operands[0].source == "now"


def test_what_is_not_known_is_told_from_what_is_false() -> None:
    matcher = "r.obj == p.obj && r.sub.department == p.sub"
    (found,) = missed(matcher, "p, finance, /a, GET\n", Ask("alice", "/a"), roles="")
    assert found.unknown
    missing = Operand("r.sub.department", None, known=False)
    assert found.operands == (missing, Operand("p.sub", "finance"))


@pytest.mark.parametrize(
    ("ask", "operands"),
    [
        (
            Ask("alice", "/a", context={"domain": "acme"}),
            [Operand("r.sub", "alice", roles=("staff",)), Operand("r.dom", "acme")],
        ),
        (Ask("alice", "/a", context={"domain": "other"}), [Operand("r.sub", "alice", roles=())]),
        # the domain is not known, and neither, then, are the roles
        (Ask("alice", "/a"), [Operand("r.sub", "alice"), Operand("r.dom", None, known=False)]),
        (
            Ask("alice", "/a", context={"domain": "acme"}, roles=("clerk",), domain="acme"),
            [Operand("r.sub", "alice", roles=("clerk", "staff"))],
        ),
    ],
)
def test_roles_are_those_of_the_domain_and_of_the_credential(
    ask: Ask, operands: list[Operand]
) -> None:
    found = missed(
        "g(r.sub, p.sub, r.dom) && r.obj == p.obj",
        "p, admin, /a\ng, alice, staff, acme\n",
        ask,
        request="sub, dom, obj",
        policy="sub, obj",
        roles="g = _, _, _",
    )
    assert set(found[0].operands) >= set(operands)


def test_an_eval_is_as_many_clauses_as_the_rows_rule() -> None:
    rows = """p, r.sub.age >= 18 && r.sub.member, /a, GET
p, r.sub.age >= 21 && r.act == "PUT", /a, GET
p, r.sub.age >= 65 || r.sub.rich, /a, GET
p, r.sub.age >= 99, /b, GET
"""
    ask = Ask("alice", "/a", sub_properties={"age": 18, "member": False, "rich": False})
    matcher = "eval(p.rule) && r.obj == p.obj && r.act == p.act"
    found = missed(matcher, rows, ask, policy="rule, obj, act", roles="")
    assert lines(found) == [(1, "r.sub.member"), (3, "r.sub.age >= 65 || r.sub.rich")]
    assert found[0].operands == (Operand("r.sub.member", False),)
    negated = "!eval(p.rule) && r.obj == p.obj"
    rows = "p, r.sub.age >= 18, /a\n"
    (found_negated,) = missed(negated, rows, ask, policy="rule, obj", roles="")
    assert found_negated.clause == "!eval(p.rule)"


def test_a_matcher_that_is_a_choice_has_no_near_misses() -> None:
    assert missed(f'r.sub == "root" || {RBAC}', ROWS) == ()


def test_a_matcher_of_one_clause_has() -> None:
    ask = Ask("alice", "/a", context={"ip": "192.0.2.1"})
    found = missed(
        "ipMatch(r.ip, p.net)", "p, 10.0.0.0/8\n", ask, request="ip", policy="net", roles=""
    )
    assert found[0].operands == (Operand("r.ip", "192.0.2.1"), Operand("p.net", "10.0.0.0/8"))


@pytest.mark.parametrize(
    "matcher",
    [
        RBAC,
        "r.sub == p.sub && (r.obj == p.obj && r.act == p.act)",
        "(r.sub == p.sub && r.obj == p.obj) && !(r.act == p.act || r.sub.x)",
        "!(r.sub == p.sub || r.obj == p.obj)",
        "r.sub.x && r.obj == p.obj",
        "r.sub == p.sub || r.obj == p.obj && r.act == p.act",
        "r.obj == p.obj && (r.sub.x if r.sub == p.sub else r.act == p.act)",
    ],
)
@pytest.mark.parametrize("ask", [ALICE, Ask("member", "/invoices", "^GET$"), Ask("x", "/x")])
def test_the_parts_are_together_as_true_as_the_whole(matcher: str, ask: Ask) -> None:
    layer = layer_of(Policy(model(matcher, roles="g = _, _"), ROWS))
    frame = layer.frame(facts_of(ask))
    for row in layer.rows:
        found = [part.truth(frame, row.values) for part in layer.clause.parts]
        together = False if False in found else None if None in found else True
        assert together is layer.clause.truth(frame, row.values)
