"""Three-valued logic: what is true, false and unknown, and what an unknown row does."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import pytest
from judge import (
    ALLOW_AND_DENY,
    ALLOW_OVERRIDE,
    DENY_OVERRIDE,
    PRIORITY,
    SUBJECT_PRIORITY,
    Ask,
    Policy,
    allows,
    build,
    facts_of,
    fresh_enforcer,
    layer_of,
    model_text,
    ours,
    pycasbin_says,
)

from pdp.policy.effect import Decision

T, F, U = 'r.sub == "alice"', 'r.sub == "bob"', "r.sub.missing == 1"
VALUE = {T: True, F: False, U: None}
ALICE = Ask(
    "alice",
    "/a",
    "GET",
    sub_properties={
        "age": 18,
        "half": 0.5,
        "nothing": 0.0,
        "name": "Alice",
        "empty": "",
        "tags": ["a", "b"],
        "org": {"name": "acme", "unit": {"id": 7}},
        "none": None,
        "yes": True,
    },
    obj_properties={"owner": "alice", "status": "open"},
    context={"ip": "10.0.0.1", "list": [1]},
)


def truth_of(
    matcher: str, ask: Ask = ALICE, row: str = "alice, /a, GET", **parts: Any
) -> bool | None:
    layer = layer_of(Policy(model_text(matcher, **parts), f"p, {row}\n"))
    return layer.clause.truth(layer.frame(facts_of(ask)), layer.rows[0].values)


def kleene_and(a: bool | None, b: bool | None) -> bool | None:
    return False if False in (a, b) else (None if None in (a, b) else True)


@pytest.mark.parametrize(("a", "b"), list(product((T, F, U), repeat=2)))
def test_and_and_or_are_kleenes(a: str, b: str) -> None:
    x, y = VALUE[a], VALUE[b]
    assert truth_of(f"{a} && {b}") is kleene_and(x, y)
    negated = kleene_and(None if x is None else not x, None if y is None else not y)
    either = None if negated is None else not negated
    assert truth_of(f"{a} || {b}") is either
    assert truth_of(f"!({a} || {b})") is negated
    assert truth_of(f"!(!({a}) && !({b}))") is either


@pytest.mark.parametrize(("test", "then", "other"), list(product((T, F, U), repeat=3)))
def test_a_conditional_takes_a_side_only_by_a_known_test(test: str, then: str, other: str) -> None:
    chosen = {True: VALUE[then], False: VALUE[other], None: None}[VALUE[test]]
    assert truth_of(f"(({then}) if ({test}) else ({other}))") is chosen
    assert truth_of(f"!(({then}) if ({test}) else ({other}))") is (
        None if chosen is None else not chosen
    )


@pytest.mark.parametrize("atom", [T, F, U])
def test_negation_leaves_the_unknown_unknown(atom: str) -> None:
    value = VALUE[atom]
    assert truth_of(f"!({atom})") is (None if value is None else not value)
    assert truth_of(f"!!({atom})") is value


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        # a result is a bool or a float, as in Casbin; anything else is no answer
        ("r.sub", None),
        ('"text"', None),
        ('""', None),
        ("1", None),
        ("0", None),
        ("1.5", True),
        ("0.0", False),
        ("True", True),
        ("r.sub.age", None),
        ("r.sub.half", True),
        ("r.sub.nothing", False),
        ("r.sub.yes", True),
        ("r.sub.none", None),
        ("r.sub.tags", None),
        # the operand that cannot become the result may be of any type
        ("r.sub && True", True),
        ("True && r.sub", None),
        ('"" && True', None),
        ("r.sub.age && r.sub.half", True),
        ("r.sub.empty || True", True),
        ("r.sub || True", True),
        ("False || r.sub", None),
        ("0 || True", True),
        ("!r.sub", False),
        ("!r.sub.empty", True),
        ("!(r.sub && r.sub.age)", False),
        ("!(r.sub.empty || 0)", True),
        ("(True if r.sub else False)", True),
        # what is missing, or of the wrong type
        ("r.sub.missing", None),
        ("r.sub.missing == r.sub.missing", None),
        ("r.sub.missing != 1", None),
        ('r.sub.age > "17"', None),
        ('r.sub.age == "18"', False),
        ("r.sub.org.name == 'acme'", True),
        ("r.sub.org.unit.id == 7", True),
        ("r.sub.org.missing == 1", None),
        ("r.sub.age.real == 18", None),
        ("r.sub.name.upper == 1", None),
        ("r.sub.none == 1", False),
        ("r.sub.none > 1", None),
        ("1 in r.sub.age", None),
        ("r.sub.tags in {1}", None),
        # arithmetic
        ("r.sub.age + 1 == 19", True),
        ("r.sub.age - 1 == 17", True),
        ("r.sub.age * 2 == 36", True),
        ("r.sub.age / 0 == 1", None),
        ("r.sub.age // 4 == 4", True),
        ("r.sub.age % 5 == 3", True),
        ("r.sub.name % 5 == 3", None),
        ('r.sub.age % "5" == 3', None),
        ("-r.sub.age < +0", True),
        ("-r.sub.name < 0", None),
        ('r.sub.name + "?" == "Alice?"', True),
        ('r.sub.name * 2 == "AliceAlice"', True),
        ('r.sub.name * 100000 == "Alice"', None),
        # chains, lists, subscripts
        ("17 < r.sub.age < 19", True),
        ("17 < r.sub.age < 18", False),
        ("19 < r.sub.age < r.sub.missing", False),
        ("17 < r.sub.age < r.sub.missing", None),
        ('r.sub in ["alice", "bob"]', True),
        ('r.sub not in ("bob", "carol")', True),
        ('r.sub in {"bob"}', False),
        ('"a" in r.sub.tags', True),
        ('r.sub.tags[1] == "b"', True),
        ("r.sub.tags[9] == 1", None),
        ('r.sub.org["name"] == "acme"', True),
        ('r.sub["name"] == "Alice"', None),
        ('r.sub.tags == ["a", "b"]', True),
        # connectives inside of values
        ('(r.sub.empty or r.sub) == "alice"', True),
        ("(r.sub.yes and r.sub.age) == 18", True),
        ("(r.sub.empty and r.sub.missing) == r.sub.empty", True),
        ("(r.sub.missing or True) == True", None),
        ("(not r.sub.empty) == True", True),
        ("(1 if r.sub.yes else r.sub.missing) == 1", True),
        ("(r.sub == p.sub) == True", True),
        # whole entities and the context
        ('r.subject.id == "alice" && r.subject.type == "user"', True),
        ('r.subject.properties.org.name == "acme"', True),
        ('r.resource.id == "/a" && r.action.name == "GET"', True),
        ("r.resource.properties.owner == r.sub", True),
        ('r.context.ip == "10.0.0.1"', True),
        ("r.context.missing == 1", None),
        ('"ip" in r.context', True),
        ("r.context.list[0] == 1", True),
        ("r.context.time.year > 2000 && r.context.time.unix > 0", True),
        ("r.context.time.weekday in [1, 2, 3, 4, 5, 6, 7]", True),
        ("r.context.time.hour < 24 && r.context.time.minute < 60", True),
        ("r.context.time.month <= 12 && r.context.time.day <= 31", True),
        ("r.context.time.century == 21", None),
        ('r.context.time > "2000"', True),
        # functions
        ("keyMatch(r.sub.age, p.obj)", False),
        ("keyMatch(r.sub.age, '/*')", None),
        ("keyMatch(r.sub.tags, p.obj)", False),
        ('keyMatch(r.sub.tags, "*")', False),
        ('keyMatch4("/1/1", "/{a}/{a}")', True),
        ('keyMatch4("/1/2", "/{a}/{a}")', False),
        ('keyMatch4("/1", "/{a}/{a}")', False),
        ('ipMatch(r.context.ip, "10.0.0.0/8")', True),
        ('ipMatch(r.sub.name, "10.0.0.0/8")', None),
        ('ipMatch(r.sub.age, "10.0.0.0/8")', None),
        ('regexMatch(r.sub.age, "1")', None),
        ('timeMatch("_", "_")', True),
        ('timeMatch("2000-01-01 00:00:00", "_")', True),
        ('timeMatch("_", "2000-01-01 00:00:00")', False),
        ("timeMatch(r.sub.name, '_')", None),
    ],
)
def test_a_clause_is_true_false_or_unknown(matcher: str, expected: bool | None) -> None:
    assert truth_of(matcher) is expected


def test_an_unfilled_token_is_unknown() -> None:
    parts = {"request": "sub, ip", "policy": "sub"}
    assert truth_of('ipMatch(r.ip, "0.0.0.0/0")', Ask("alice"), "alice", **parts) is None
    assert truth_of('!ipMatch(r.ip, "0.0.0.0/0")', Ask("alice"), "alice", **parts) is None
    assert truth_of("r.ip == r.ip", Ask("alice"), "alice", **parts) is None
    nested = Ask("alice", context={"ip": {"v4": "10.0.0.1"}})
    assert truth_of('r.ip.v4 == "10.0.0.1"', nested, "alice", **parts) is True


ROWS = {"allow": "p, 1, allow\n", "deny": "p, 1, deny\n"}
UNKNOWN, MATCHING = "r.sub.missing == 1", "r.sub.age == 18"
EFFECTS = [ALLOW_AND_DENY, DENY_OVERRIDE, PRIORITY, SUBJECT_PRIORITY]


def decide(effect: str, *rows: str) -> Decision:
    """What a layer says whose rows are written as `clause, eft`."""
    model = model_text("eval(p.rule)", policy="rule, eft", effect=effect, roles="g = _, _")
    policy = Policy(model, "".join(f"p, {row}\n" for row in rows))
    return ours(layer_of(policy), ALICE).decision


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_unknown_deny_row_denies_under_every_effect(effect: str) -> None:
    assert decide(effect, f"{UNKNOWN}, deny") is Decision.DENY
    assert decide(effect, f"{UNKNOWN}, deny", f"{MATCHING}, allow") is Decision.DENY
    assert decide(effect, f"!({UNKNOWN}), deny", f"{MATCHING}, allow") is Decision.DENY


@pytest.mark.parametrize("effect", [*EFFECTS, ALLOW_OVERRIDE])
def test_an_unknown_allow_row_is_passed_over(effect: str) -> None:
    silent = Decision.ALLOW if effect == DENY_OVERRIDE else Decision.NONE
    assert decide(effect, f"{UNKNOWN}, allow") is silent
    assert decide(effect, f"!({UNKNOWN}), allow") is silent
    assert decide(effect, f"{UNKNOWN}, allow", f"{MATCHING}, allow") is Decision.ALLOW
    assert decide(effect, f"{MATCHING}, allow", f"{UNKNOWN}, allow") is Decision.ALLOW


@pytest.mark.parametrize("effect", [PRIORITY, SUBJECT_PRIORITY])
def test_by_priority_an_earlier_match_keeps_an_unknown_deny_from_being_asked(effect: str) -> None:
    assert decide(effect, f"{MATCHING}, allow", f"{UNKNOWN}, deny") is Decision.ALLOW
    assert decide(ALLOW_AND_DENY, f"{MATCHING}, allow", f"{UNKNOWN}, deny") is Decision.DENY


@pytest.mark.parametrize(
    ("rule", "matcher", "expected"),
    [
        ("r.sub == p.act and 1", "(False if eval(p.sub) else True)", False),
        ("1", "!eval(p.sub)", False),
        ("1", "eval(p.sub) && True", True),
        ("1", "True && eval(p.sub)", None),
        ("1", "eval(p.sub)", None),
        ('""', "eval(p.sub) || True", True),
        ('("")', "eval(p.sub) || True", True),
    ],
)
def test_a_rule_counts_by_the_place_of_its_eval(
    rule: str, matcher: str, expected: bool | None
) -> None:
    if rule == '""':
        assert build(Policy(model_text(matcher), f"p, {rule}, /a, alice\n"))[0] is None
        return
    assert truth_of(matcher, row=f"{rule}, /a, alice") is expected


def test_a_policy_of_comments_matches_nothing() -> None:
    empty = "# nothing yet\n"
    opened = Policy(model_text("keyMatch(r.obj, p.obj) || True"), empty)
    assert pycasbin_says(fresh_enforcer(opened), ALICE) is True
    assert not allows(layer_of(opened), ALICE)
    guard = Policy(model_text("r.sub == p.sub", policy="sub, eft", effect=DENY_OVERRIDE), empty)
    assert allows(layer_of(guard), ALICE)


def test_a_matcher_that_names_no_field_needs_no_rows() -> None:
    policy = Policy(model_text("r.sub == r.obj.owner"), "# no rows\n")
    layer = layer_of(policy)
    assert allows(layer, ALICE)
    assert str(ours(layer, ALICE).rule) == "model.conf:11"
    assert not allows(layer, Ask("bob", obj_properties={"owner": "alice"}))
    assert not allows(layer, Ask("bob"))


def test_a_list_in_a_token_is_no_subject_and_breaks_nothing() -> None:
    model = model_text("g(r.sub, p.sub)", roles="g = _, _")
    layer = layer_of(
        Policy(model, "p, a, /, GET\ng, a, b\n", request={"sub": "{subject.properties.tags}"})
    )
    facts = facts_of(ALICE)
    assert layer.judge(facts).decision is Decision.NONE
    assert set(layer.roles(facts)) == set()
    assert all(not isinstance(name, list) for name in layer.subject_names(facts))


def test_the_clock_of_time_match_is_the_questions() -> None:
    layer = layer_of(
        Policy(
            model_text("timeMatch(p.start, p.end)", policy="start, end"),
            "p, _, 2030-01-01 00:00:00\n",
        )
    )
    facts = facts_of(ALICE)
    year_2040 = time.mktime((2040, 1, 1, 0, 0, 0, 0, 1, -1))
    late = type(facts)(
        facts.subject, facts.resource, facts.action, facts.context, facts.asserted, year_2040
    )
    assert layer.judge(facts).decision is Decision.ALLOW
    assert layer.judge(late).decision is Decision.NONE
