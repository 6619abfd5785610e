"""The models of Casbin's tutorials: every question gets the answer that pycasbin gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    fresh_enforcer,
    layer_of,
    model_text,
    pycasbin_says,
)

PEOPLE = ("alice", "bob", "carol", "root", "anonymous", "")
DATA = ("data1", "data2", "data3", "")
DOINGS = ("read", "write", "delete", "")
METHODS = ("GET", "POST", "PUT", "DELETE", "GETX", "get")
ACL = "r.sub == p.sub && r.obj == p.obj && r.act == p.act"
ROLES = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"
GRANTS = "p, alice, data1, read\np, bob, data2, write\np, data2_admin, data2, read\n"


@dataclass(frozen=True)
class Tutorial:
    """A policy and the questions it is asked: the full cross product, or `asks` as they stand."""

    name: str
    model: str
    rows: str
    subjects: Sequence[str] = PEOPLE
    objects: Sequence[str] = DATA
    actions: Sequence[str] = DOINGS
    contexts: Sequence[Mapping[str, Any]] = ({},)
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    request: Mapping[str, str] = field(default_factory=dict)
    section: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def policy(self) -> Policy:
        return Policy(self.model, self.rows, self.section, self.request)

    def asks(self) -> list[Ask]:
        known = self.properties
        return [
            Ask(sub, obj, act, context, known.get(sub, {}), known.get(obj, {}))
            for sub, obj, act, context in product(
                self.subjects, self.objects, self.actions, self.contexts
            )
        ]


def paths(matcher: str, rows: str, objects: Sequence[str], name: str = "") -> Tutorial:
    """A tutorial of one path function."""
    return Tutorial(
        name or matcher,
        model_text(f"r.sub == p.sub && {matcher}(r.obj, p.obj) && regexMatch(r.act, p.act)"),
        rows,
        subjects=("alice", "bob", ""),
        objects=objects,
        actions=METHODS,
    )


DOMAINS = [{"dom": d} for d in ("domain1", "domain2", "domain3", "")]
ADDRESSES = [
    {"ip": ip}
    for ip in (
        "192.168.2.1",
        "192.168.3.1",
        "10.0.0.5",
        "11.0.0.1",
        "::1",
        "2001:db8::7",
        "nonsense",
    )
]
DOMAIN_REQUEST = {"dom": "{context.dom}"}
AGED = {
    "alice": {"Age": 16, "dept": "sales", "Name": "alice"},
    "bob": {"Age": 18, "dept": "it"},
    "carol": {"Age": 61.5, "dept": "it"},
    "root": {"Age": "old"},
    "data1": {"Owner": "alice"},
    "data2": {"Owner": "bob", "Name": "data2"},
}

TUTORIALS = [
    Tutorial("ACL", model_text(ACL), "p, alice, data1, read\np, bob, data2, write\n"),
    Tutorial(
        "ACL with superuser",
        model_text(f'{ACL} || r.sub == "root"'),
        "p, alice, data1, read\np, bob, data2, write\n",
    ),
    Tutorial(
        "ACL with superuser, no rules",
        model_text('r.sub == "root" && r.act in ("read", "write")'),
        "# nobody but root\n",
    ),
    Tutorial(
        "ACL without users",
        model_text("r.obj == p.obj && r.act == p.act", request="obj, act", policy="obj, act"),
        "p, data1, read\np, data2, write\n",
    ),
    Tutorial(
        "ACL without resources",
        model_text("r.sub == p.sub && r.act == p.act", request="sub, act", policy="sub, act"),
        "p, alice, read\np, bob, write\n",
    ),
    Tutorial(
        "RBAC",
        model_text(ROLES, roles="g = _, _"),
        f"{GRANTS}p, data2_admin, data2, write\ng, alice, data2_admin\n",
    ),
    Tutorial(
        "RBAC with hierarchy",
        model_text(ROLES, roles="g = _, _"),
        f"{GRANTS}p, super, data3, delete\n"
        "g, carol, super\ng, super, data2_admin\ng, root, carol\n",
    ),
    Tutorial(
        "RBAC with resource roles",
        model_text(
            "g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act", roles="g = _, _\ng2 = _, _"
        ),
        "p, alice, data1, read\np, bob, data2, write\np, data_group_admin, data_group, write\n"
        "g, alice, data_group_admin\ng2, data1, data_group\ng2, data2, data_group\n",
    ),
    Tutorial(
        "RBAC with domains",
        model_text(
            "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
            request="sub, dom, obj, act",
            policy="sub, dom, obj, act",
            roles="g = _, _, _",
        ),
        "p, admin, domain1, data1, read\np, admin, domain1, data1, write\n"
        "p, admin, domain2, data2, read\np, admin, domain2, data2, write\n"
        "g, alice, admin, domain1\ng, bob, admin, domain2\ng, carol, alice, domain1\n",
        contexts=DOMAINS,
        request=DOMAIN_REQUEST,
    ),
    Tutorial(
        "RBAC with deny",
        model_text(ROLES, policy="sub, obj, act, eft", effect=ALLOW_AND_DENY, roles="g = _, _"),
        "p, alice, data1, read, allow\np, bob, data2, write, allow\n"
        "p, data2_admin, data2, read, allow\np, data2_admin, data2, write, allow\n"
        "p, alice, data2, write, deny\ng, alice, data2_admin\n",
    ),
    Tutorial(
        "deny-override as a guard",
        model_text(ROLES, policy="sub, obj, act, eft", effect=DENY_OVERRIDE, roles="g = _, _"),
        "p, alice, data1, read, allow\np, alice, data2, write, deny\n"
        "p, staff, data3, delete, deny\n"
        "g, bob, staff\n",
    ),
    paths(
        "keyMatch",
        "p, alice, /alice_data/*, GET\np, alice, /alice_data/resource1, POST\n"
        "p, bob, /bob_data/*, (GET)|(POST)\np, bob, *, ^DELETE$\n",
        (
            "/alice_data",
            "/alice_data/",
            "/alice_data/resource1",
            "/alice_data/a/b",
            "/bob_data/x",
            "",
        ),
    ),
    paths(
        "keyMatch2",
        "p, alice, /alice_data/:resource, GET\np, alice, /alice_data2/:id/using/:resId, ^GET$\n"
        "p, bob, /bob/*, POST\np, bob, *, DELETE\np, bob, /files/*.txt, GET\n",
        (
            *("/alice_data", "/alice_data/r", "/alice_data/r/s", "/alice_data2/my/using/res"),
            *("/bob/a/b", "/files/a.txt", "/files/atxt", "/bob", ""),
        ),
    ),
    paths(
        "keyMatch3",
        "p, alice, /a/{id}, GET\np, alice, /a/{id}/using/{res}, POST\np, bob, /b/*, GET\n",
        ("/a/1", "/a/1/2", "/a/1/using/2", "/a/", "/b/c/d", "/a/{id}"),
    ),
    paths(
        "keyMatch4",
        "p, alice, /parent/{id}/child/{id}, GET\np, bob, /parent/{id}/child/{other}, GET\n"
        "p, bob, /x/*, PUT\n",
        ("/parent/1/child/1", "/parent/1/child/2", "/parent//child/", "/x/y", "/parent/1"),
    ),
    paths(
        "keyMatch5",
        "p, alice, /parent/{id}/child, GET\np, alice, /q/*, GET\np, bob, /foo, GET\n",
        ("/parent/1/child?a=/b", "/parent/1/child", "/q/a?b=c", "/foo?x", "/foo?x?y", "/foo/?"),
    ),
    paths(
        "globMatch",
        "p, alice, /foo/*, GET\np, alice, */bar, POST\np, bob, /a/**, GET\n"
        "p, bob, /x/[ab].txt, PUT\n",
        (
            "/foo/bar",
            "/foo/bar/baz",
            "/foo",
            "/x/bar",
            "/a",
            "/a/b/c",
            "/x/a.txt",
            "/z/a.txt",
            "/y/c.txt",
        ),
    ),
    Tutorial(
        "ipMatch",
        model_text(
            "ipMatch(r.ip, p.net) && r.obj == p.obj && r.act == p.act",
            request="ip, obj, act",
            policy="net, obj, act",
        ),
        "p, 192.168.2.0/24, data1, read\np, 10.0.0.5, data2, write\n"
        "p, 2001:db8::/32, data3, read\n",
        contexts=ADDRESSES,
    ),
    Tutorial(
        "priority, implicit",
        model_text(ROLES, policy="sub, obj, act, eft", effect=PRIORITY, roles="g = _, _"),
        "p, alice, data1, read, allow\np, data1_deny_group, data1, read, deny\n"
        "p, data1_deny_group, data1, write, deny\np, alice, data1, write, allow\n"
        "g, alice, data1_deny_group\np, data2_allow_group, data2, read, allow\n"
        "p, bob, data2, read, deny\np, bob, data2, write, deny\ng, bob, data2_allow_group\n",
    ),
    Tutorial(
        "priority, explicit",
        model_text(ROLES, policy="priority, sub, obj, act, eft", effect=PRIORITY, roles="g = _, _"),
        "p, 10, data1_deny_group, data1, read, deny\np, 10, data1_deny_group, data1, write, deny\n"
        "p, 10, data2_allow_group, data2, read, allow\n"
        "p, 10, data2_allow_group, data2, write, allow\n"
        "p, 2, alice, data1, write, allow\np, 1, alice, data1, read, allow\n"
        "p, 1, bob, data2, read, deny\np, 010, bob, data2, write, deny\n"
        "g, bob, data2_allow_group\ng, alice, data1_deny_group\n",
    ),
    Tutorial(
        "priority by a column, under allow-override",
        model_text(ACL, policy="sub, obj, act, priority"),
        "p, bob, data1, read, 2\np, alice, data1, read, 1\n",
    ),
    Tutorial(
        "subjectPriority",
        model_text(ROLES, policy="sub, obj, act, eft", effect=SUBJECT_PRIORITY, roles="g = _, _"),
        "p, root, data1, read, deny\np, admin, data1, read, deny\np, editor, data1, read, deny\n"
        "p, subscriber, data1, read, deny\np, jane, data1, read, allow\n"
        "p, alice, data1, read, allow\n"
        "g, admin, root\ng, editor, admin\ng, subscriber, admin\n"
        "g, jane, editor\ng, alice, subscriber\n",
        subjects=("jane", "alice", "bob", "editor", "admin", "root"),
    ),
    Tutorial(
        "subjectPriority with domains",
        model_text(
            "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
            request="sub, obj, dom, act",
            policy="sub, obj, dom, act, eft",
            effect=SUBJECT_PRIORITY,
            roles="g = _, _, _",
        ),
        "p, admin, data1, domain1, write, deny\np, alice, data1, domain1, write, allow\n"
        "p, admin, data2, domain2, write, deny\np, bob, data2, domain2, write, allow\n"
        "g, alice, admin, domain1\ng, bob, admin, domain2\n",
        contexts=DOMAINS,
        request=DOMAIN_REQUEST,
    ),
    Tutorial(
        "ABAC, owners",
        model_text("r.sub == r.obj.Owner"),
        "# rules are in the matcher\n",
        properties=AGED,
    ),
    Tutorial(
        "ABAC, ages",
        model_text("r.sub.Age > 17 && r.obj == p.obj", policy="obj"),
        "p, data1\np, data2\n",
        properties=AGED,
    ),
    Tutorial(
        "ABAC, two attributes",
        model_text('r.sub.dept == "it" && r.obj.Owner == r.sub || r.sub.Name == r.obj.Owner'),
        "# rules are in the matcher\n",
        properties=AGED,
    ),
    Tutorial(
        "ABAC, rules in the policy",
        model_text(
            "eval(p.sub_rule) && r.obj == p.obj && r.act == p.act", policy="sub_rule, obj, act"
        ),
        "p, r.sub.Age > 18 && r.sub.Age < 60, data1, read\n"
        "p, r.sub.Age >= 18 || r.obj.Owner == r.sub, data2, write\n"
        'p, r.sub in ("alice", "carol"), data2, read\n'
        "p, r.sub.dept == p.act, data3, it\n",
        actions=("read", "write", "it", ""),
        properties=AGED,
    ),
    Tutorial(
        "ABAC, rules of two columns",
        model_text("eval(p.who) && eval(p.what)", policy="who, what"),
        'p, r.sub.Age > 17, r.act == "read"\np, r.sub == r.obj.Owner, !(r.act == "read")\n',
        properties=AGED,
    ),
    Tutorial(
        "in lists",
        model_text(
            'r.obj == p.obj && r.act in ["read", "write"] && r.sub not in ("bob", "root")',
            policy="obj",
        ),
        "p, data1\np, data2\n",
    ),
    Tutorial(
        "in text",
        model_text("r.obj == p.obj && r.act in p.acts", policy="obj, acts"),
        "p, data1, read write\np, data2, delete\n",
    ),
    Tutorial(
        "wildcards",
        model_text(
            '(r.sub == p.sub || p.sub == "*") && (r.obj == p.obj || p.obj == "*") && r.act == p.act'
        ),
        "p, *, data1, read\np, alice, *, write\n",
    ),
    Tutorial(
        "RBAC with paths",
        model_text(
            "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)",
            roles="g = _, _",
        ),
        "p, member, /invoices/:id, ^(GET|HEAD)$\np, admin, /invoices/*, ^.*$\n"
        "g, alice, member\ng, bob, admin\ng, admin, member\n",
        objects=("/invoices", "/invoices/1", "/invoices/1/2", "/"),
        actions=(*METHODS, "HEAD"),
    ),
]

SEVERAL = (
    model_text(ACL)
    .replace("r = sub, obj, act\n", "r = sub, obj, act\nr2 = sub, act\n")
    .replace("p = sub, obj, act\n", "p = sub, obj, act\np2 = sub_rule, act, eft\n")
    .replace(f"e = {ALLOW_OVERRIDE}\n", f"e = {ALLOW_AND_DENY}\ne2 = {ALLOW_AND_DENY}\n")
    + "m2 = eval(p2.sub_rule) && r2.act == p2.act\n"
)
SEVERAL_ROWS = (
    "p, alice, data1, read\np2, r2.sub.Age > 17, read, allow\n"
    'p2, r2.sub.dept == "it", write, allow\n'
    'p2, r2.sub == "bob", write, deny\n'
)
TUTORIALS += [
    Tutorial("several sections, the first", SEVERAL, SEVERAL_ROWS),
    Tutorial("several sections, the second", SEVERAL, SEVERAL_ROWS, properties=AGED, section="2"),
]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=str)
def test_every_question_gets_the_answer_of_pycasbin(tutorial: Tutorial) -> None:
    layer, enforcer = layer_of(tutorial.policy), fresh_enforcer(tutorial.policy)
    answers = set()
    for ask in tutorial.asks():
        expected = pycasbin_says(enforcer, ask, tutorial.section)
        if expected is None:
            assert may_only_pass_over(tutorial, ask) or not allows(layer, ask), ask
        else:
            assert allows(layer, ask) is expected, ask
        answers.add(expected)
    assert {True, False} <= answers, "the questions are too easy"


def may_only_pass_over(tutorial: Tutorial, ask: Ask) -> bool:
    """Whether a question that pycasbin raises at may be allowed by a row of its own."""
    rules = [row for row in tutorial.rows.splitlines() if row.startswith("p")]
    alone = [fresh_enforcer(Policy(tutorial.model, row, tutorial.section)) for row in rules]
    return any(pycasbin_says(enforcer, ask, tutorial.section) for enforcer in alone)


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=str)
def test_the_tutorials_are_clean(tutorial: Tutorial) -> None:
    _, problems = build(tutorial.policy)
    assert {problem.code for problem in problems} <= {"regex-in-path"}


def test_a_second_section_has_an_effect_of_its_own() -> None:
    """As Casbin documents it; pycasbin 2.8 takes `e` for every section."""
    model = SEVERAL.replace(f"e = {ALLOW_AND_DENY}", f"e = {ALLOW_OVERRIDE}")
    second = layer_of(Policy(model, SEVERAL_ROWS, "2"))
    assert not allows(second, Ask("bob", "data1", "write", sub_properties={"dept": "it"}))
    for spelling in ("p.eft", "p2.eft"):
        other = model.replace(f"e2 = {ALLOW_AND_DENY}", f"e2 = priority({spelling}) || deny")
        assert layer_of(Policy(other, SEVERAL_ROWS, "2")).effect.name == PRIORITY
