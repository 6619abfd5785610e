"""Which resources a grant row speaks of, and what of a question a layer depends on."""

from __future__ import annotations

import pytest
from judge import DENY_OVERRIDE, Ask, Policy, facts_of, layer_of, model_text

from pdp.policy.facts import Source

ASK = Ask(
    "nobody", "/a/1", "NONE", {"ip": "10.0.0.1"}, {"dept": "it"}, {"owner": "bob", "open": True}
)
S, R, A, C = Source.SUBJECT, Source.RESOURCE, Source.ACTION, Source.CONTEXT


def covers(matcher: str, row: str, ask: Ask = ASK, policy: str = "sub, obj, act") -> bool:
    model = model_text(matcher, policy=policy, roles="g = _, _\ng2 = _, _")
    rows = f"p, {row}\ng2, /a/1, pages\n"
    return layer_of(Policy(model, rows)).covers(facts_of(ask))


@pytest.mark.parametrize(
    ("matcher", "row", "covered"),
    [
        # a clause of the resource alone decides, whoever asks for whatever
        ("r.sub == p.sub && r.obj == p.obj && r.act == p.act", "alice, /a/1, GET", True),
        ("r.sub == p.sub && r.obj == p.obj && r.act == p.act", "alice, /b, GET", False),
        ("g(r.sub, p.sub) && keyMatch2(r.obj, p.obj)", "alice, /a/:id, GET", True),
        ("g(r.sub, p.sub) && g2(r.obj, p.obj)", "alice, pages, GET", True),
        ("g(r.sub, p.sub) && g2(r.obj, p.obj)", "alice, files, GET", False),
        ("r.obj.open && r.sub == p.sub", "alice, x, GET", True),
        ("r.obj.secret && r.sub == p.sub", "alice, x, GET", False),
        ("r.resource.id == p.obj && r.sub == p.sub", "alice, /a/1, GET", True),
        # without such a clause nothing is covered
        ("r.sub == p.sub && r.act == p.act", "alice, /a/1, GET", False),
        ("r.sub == p.sub", "nobody, /a/1, NONE", False),
        ("True", "alice, /a/1, GET", False),
        # a clause that mixes resource and subject says nothing of the resource alone
        ("r.sub == r.obj.owner", "alice, /a/1, GET", False),
        ("r.sub == r.obj.owner && r.obj == p.obj", "alice, /a/1, GET", True),
        ("r.sub == r.obj.owner && r.obj == p.obj", "alice, /b, GET", False),
        # what a row says of itself can only rule it out
        ('p.act == "*" && r.obj == p.obj', "alice, /a/1, *", True),
        ('p.act == "*" && r.obj == p.obj', "alice, /a/1, GET", False),
        ('p.act == "*"', "alice, /a/1, *", False),
        ('(p.sub == "*" || r.sub == p.sub) && r.obj == p.obj', "*, /a/1, GET", True),
        ('(p.obj == "*" || r.obj == p.obj) && r.sub == p.sub', "alice, *, GET", True),
        ('(p.obj == "*" || r.obj == p.obj) && r.sub == p.sub', "alice, /b, GET", False),
        # disjunction: one side that covers is enough
        ('r.sub == "root" || r.obj == p.obj', "alice, /a/1, GET", True),
        ('r.sub == "root" || r.obj == p.obj', "alice, /b, GET", False),
        ("(r.obj == p.obj || r.sub == p.sub) && r.act == p.act", "alice, /a/1, GET", True),
        ("r.obj == p.obj || r.obj == p.sub", "/a/1, /b, GET", True),
        ("r.obj == p.obj && r.obj.open || r.sub == p.sub", "alice, /a/1, GET", True),
        # negation, by De Morgan
        ("!(r.obj == p.obj) && r.sub == p.sub", "alice, /b, GET", True),
        ("!(r.obj == p.obj) && r.sub == p.sub", "alice, /a/1, GET", False),
        ("!(r.sub == p.sub || r.obj == p.obj)", "alice, /b, GET", True),
        ("!(r.sub == p.sub || r.obj == p.obj)", "alice, /a/1, GET", False),
        ("!(r.sub == p.sub && r.obj == p.obj)", "alice, /b, GET", True),
        ("!(r.obj.secret) && r.sub == p.sub", "alice, /a/1, GET", False),
        # a conditional is one clause
        ("(r.obj == p.obj if r.obj.open else False) && r.sub == p.sub", "alice, /a/1, GET", True),
        ("(r.obj == p.obj if r.sub == p.sub else False)", "alice, /a/1, GET", False),
        # context is no resource
        ('r.context.ip == "10.0.0.1"', "alice, /a/1, GET", False),
    ],
)
def test_a_row_covers_by_its_clauses_of_the_resource_alone(
    matcher: str, row: str, covered: bool
) -> None:
    assert covers(matcher, row) is covered


@pytest.mark.parametrize(
    ("matcher", "row", "covered"),
    [
        ("eval(p.rule) && r.sub == p.sub", 'alice, r.obj == "/a/1"', True),
        ("eval(p.rule) && r.sub == p.sub", 'alice, r.obj == "/b"', False),
        ("eval(p.rule)", "alice, r.sub == r.obj.owner", False),
        ("eval(p.rule)", "alice, r.obj.open && r.sub == p.sub", True),
        ("!eval(p.rule) && r.sub == p.sub", 'alice, r.obj == "/b"', True),
        ("!eval(p.rule) && r.sub == p.sub", 'alice, r.obj == "/a/1"', False),
    ],
)
def test_the_rules_of_rows_cover_likewise(matcher: str, row: str, covered: bool) -> None:
    assert covers(matcher, row, policy="sub, rule") is covered


def depends(matcher: str, rows: str = "p, a, b, c\n", **options: object) -> frozenset[Source]:
    request = options.pop("templates", {})
    effect = DENY_OVERRIDE if options.pop("guard", False) else "some(where (p.eft == allow))"
    model = model_text(matcher, effect=effect, roles="g = _, _", **options)  # type: ignore[arg-type]
    return layer_of(Policy(model, rows, request=request)).depends  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ("r.sub == p.sub", {S}),
        ("r.obj == p.obj", {R}),
        ("r.act == p.act", {A}),
        ("r.sub == p.sub && r.obj == p.obj && r.act == p.act", {S, R, A}),
        ("g(r.sub, p.sub)", {S}),
        ("r.sub.age > 17", {S}),
        ("r.obj.owner == p.sub", {R}),
        ("r.subject.type == p.sub", {S}),
        ("r.resource.properties.owner == p.sub", {R}),
        ("r.action.properties.soft == p.sub", {A}),
        ("r.context.origin == p.sub", {C}),
        ("r.context.time.hour > 7", {C}),
        ('timeMatch("_", "_")', {C}),
        ("timeMatch(p.sub, p.obj) || True", {C}),
        ("p.sub == p.obj", set()),
        ("True", set()),
        ("r.sub == r.obj.owner if r.context.x else False", {S, R, C}),
        ("!(r.sub in [p.sub, r.obj])", {S, R}),
        ("r.sub.tags[r.context.i] == (r.act or 1) + 1", {S, C, A}),
        ("1 < r.context.x < 3", {C}),
    ],
)
def test_dependencies_come_from_the_matcher(matcher: str, expected: set[Source]) -> None:
    rows = "p, _, _, c\n" if "timeMatch" in matcher else "p, a, b, c\n"
    assert depends(matcher, rows) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{context.ip}", {C}),
        ("{resource.id}", {R}),
        ("{action.name}", {A}),
        ("{subject.type}:{subject.id}", {S}),
        ("{subject.id}@{context.tenant}", {S, C}),
        ("{subject.properties.org.id}", {S}),
        ("fixed", set()),
    ],
)
def test_dependencies_come_from_templates_and_never_from_a_tokens_name(
    template: str, expected: set[Source]
) -> None:
    assert depends("r.sub == p.sub", templates={"sub": template}) == expected


def test_dependencies_come_from_the_rules_of_rows_too() -> None:
    found = depends("eval(p.rule) && r.act == p.act", "p, r.sub.age > 1, b\n", policy="rule, act")
    assert found == {S, A}
    both = "p, r.context.x == 1, b\np, r.obj.y == 1, b\n"
    assert depends("!eval(p.rule)", both, policy="rule, act") == {C, R}


def test_a_token_that_the_matcher_never_asks_for_is_no_dependency() -> None:
    assert depends("r.obj == p.obj", request="sub, obj", policy="obj", rows="p, a\n") == {R}
