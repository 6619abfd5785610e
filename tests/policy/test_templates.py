"""Templates fill request tokens; what cannot be filled is not filled, rather than guessed."""

from __future__ import annotations

from typing import Any

import pytest
from judge import Ask, Policy, facts_of, layer_of, model_text

from pdp.policy.explain import covering, role_paths, rulings
from pdp.policy.facts import Facts, Source
from pdp.policy.template import UNFILLED, compile_template

FACTS: Facts = facts_of(
    Ask(
        "alice",
        "/a",
        "GET",
        {"ip": "10.0.0.1", "n": 5, "yes": True, "org": {"id": 7}},
        {"dept": "it", "tags": ["a"], "org": {"name": "acme"}, "none": None},
        {"owner": "bob"},
    )
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{subject.id}", "alice"),
        ("{subject.type}:{subject.id}", "user:alice"),
        ("{resource.type}{resource.id}", "resource/a"),
        ("{action.name}", "GET"),
        ("{subject.properties.dept}", "it"),
        ("{subject.properties.org.name}", "acme"),
        ("{resource.properties.owner}", "bob"),
        ("{context.ip}", "10.0.0.1"),
        ("{context.org.id}", 7),
        ("id-{context.org.id}", "id-7"),
        ("fixed", "fixed"),
        ("", ""),
        # alone, a reference keeps its type
        ("{context.n}", 5),
        ("{context.yes}", True),
        ("{subject.properties.tags}", ["a"]),
        ("{subject.properties.none}", None),
        # in a text it must have one
        ("x{context.yes}", UNFILLED),
        ("x{subject.properties.tags}", UNFILLED),
        ("x{subject.properties.none}", UNFILLED),
        ("{context.missing}", UNFILLED),
        ("x{context.missing}", UNFILLED),
        ("{subject.properties.missing}", UNFILLED),
        ("{subject.properties.dept.deeper}", UNFILLED),
        ("{action.properties.soft}", UNFILLED),
    ],
)
def test_a_template_renders_or_stays_unfilled(template: str, value: Any) -> None:
    assert compile_template(template).render(FACTS) == value


@pytest.mark.parametrize(
    "template",
    [
        *("{", "}", "{subject.id", "a}b", "{{subject.id}}", "{}", "{subject}", "{subject.name}"),
        *("{action.id}", "{user.id}", "{subject.properties}", "{resource.id.x}", "{ subject.id }"),
    ],
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"brace|is none of"):
        compile_template(template)


@pytest.mark.parametrize(
    ("template", "entity"),
    [
        ("{subject.id}", Source.SUBJECT),
        ("{subject.type}:{subject.id}", Source.SUBJECT),
        ("{resource.id}", Source.RESOURCE),
        ("{context.ip}", None),
        ("{subject.id}{action.name}", None),
        ("fixed", None),
    ],
)
def test_attributes_belong_to_the_one_entity_of_a_template(
    template: str, entity: Source | None
) -> None:
    assert compile_template(template).entity is entity


def test_an_explanation_names_rules_roles_and_what_covers() -> None:
    model = model_text("g(r.sub, p.sub, r.dom) && r.obj == p.obj", roles="g = _, _, _").replace(
        "r = sub, obj, act", "r = sub, obj, act, dom"
    )
    rows = "p, boss, /a, GET\np, boss, /b, GET\ng, alice, lead, 1\ng, lead, boss, 1\n"
    layer = layer_of(Policy(model, rows))
    facts = facts_of(Ask("alice", "/a", context={"domain": 1}, roles=("temp",), domain="1"))
    (ruling,) = rulings([layer], facts)
    assert ruling.rule is not None
    assert (ruling.decision, ruling.rule.rule) == ("allow", "policy.csv:1")
    assert ruling.rule.text == "boss, /a, GET"
    assert [rule.rule for rule in covering([layer], facts)] == ["policy.csv:1"]
    steps = {
        path.role: [(s.member, s.role, s.rule) for s in path.steps]
        for path in role_paths([layer], facts)
    }
    assert steps == {
        "lead": [("alice", "lead", "policy.csv:3")],
        "boss": [("alice", "lead", "policy.csv:3"), ("lead", "boss", "policy.csv:4")],
        "temp": [("alice", "temp", None)],
    }
    nobody = facts_of(Ask("bob", "/c"))
    assert rulings([layer], nobody)[0].rule is None
    assert role_paths([layer], nobody) == ()
    assert list(covering([layer], nobody)) == []
