"""Generated policies: expressions over atoms, rows, roles and questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from hypothesis import strategies as st
from judge import (
    ALLOW_AND_DENY,
    ALLOW_OVERRIDE,
    DENY_OVERRIDE,
    PRIORITY,
    SUBJECT_PRIORITY,
    Ask,
    Policy,
    model_text,
)


@dataclass(frozen=True)
class Tree:
    """An expression; `parts` are the sides of a connective, `text` is an atom's."""

    kind: str  # atom, and, or, not, if, eval
    parts: tuple[Tree, ...] = ()
    text: str = ""
    symbolic: bool = True  # `&&` or `and`

    def __str__(self) -> str:
        if self.kind in ("atom", "eval"):
            return self.text
        if self.kind == "not":
            return f"{'!' if self.symbolic else 'not '}{self._inside(self.parts[0])}"
        if self.kind == "if":
            test, then, otherwise = self.parts
            return f"({then} if {test} else {otherwise})"
        words = {"and": " && ", "or": " || "} if self.symbolic else {"and": " and ", "or": " or "}
        return words[self.kind].join(map(self._inside, self.parts))

    def _inside(self, part: Tree) -> str:
        loose = part.kind == "or" or (part.kind == "and" and self.kind != "or")
        return f"({part})" if loose and part.kind != self.kind else str(part)


NAMES = ("alice", "bob", "root")
ROLES = ("admin", "staff", "audit", "alice")
ACTIONS = ("GET", "POST", "GETX", "")
DOMAINS = ("d1", "d2")
OBJECTS = ("/a", "/a/1", "/a/1/b/1", "/a/1/b/2", "/b.x", "/bxx", "/a/1?q=/z", "/")
PATTERNS = (
    *("/a/*", "/a/:id", "/a/:id/b/:id", "/a/{id}/b/{id}", "/a/{id}/b/{x}", "/a", "/*", "/b.x"),
    *("/a/1", "/a/1|/b.x", "/:x", "/a*", "/a/*/b", "/(a|b)/1", "/a/[0-9]", "/a/\\d"),
)
NETS = ("10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "10.0.0.1/32")
ADDRESSES = ("10.0.0.1", "10.9.9.9", "192.0.2.1", "2001:db8::1", "::1", "bad")

PLAIN_ATOMS = (
    *("r.sub == p.sub", "r.sub != p.sub", "p.sub == r.sub", "r.act == p.act", "r.act != p.act"),
    *("r.obj == p.obj", "r.dom == p.dom", 'p.act == "*"', 'p.sub == "*"', 'r.sub == "root"'),
    *("keyMatch(r.obj, p.obj)", "keyMatch2(r.obj, p.obj)", "keyMatch3(r.obj, p.obj)"),
    *("keyMatch4(r.obj, p.obj)", "keyMatch5(r.obj, p.obj)", "regexMatch(r.obj, p.obj)"),
    *("globMatch(r.obj, p.obj)", 'keyMatch2(r.obj, "/a/:id")', 'regexMatch(r.act, "^(GET|POST)$")'),
    *("g(r.sub, p.sub)", "g2(r.sub, p.sub, r.dom)", 'g(r.sub, "admin")', "g2(r.sub, p.sub, p.dom)"),
    *("ipMatch(r.ip, p.net)", 'ipMatch(r.ip, "10.0.0.0/8")', "r.act in ['GET', 'POST']"),
    *('r.sub in ("root", p.sub)', 'r.sub not in ["bob", "alice"]', "r.sub in p.sub", "True"),
    *("(r.sub == p.sub) == (r.act == p.act)", "r.sub < p.sub", "r.sub + r.act == p.sub + p.act"),
)
UNSURE_ATOMS = (
    *("r.sub.age >= 18", "r.sub.age < r.obj.limit", "17 < r.sub.age <= 65", "r.sub.age != 18"),
    *("r.sub.age + 1 > 18", "r.sub.age * 2 == 36", "r.sub.age / r.obj.limit > 1"),
    *("r.sub.age % 2 == 0", "r.sub.age // 1 == 18", "-r.sub.age < -17", "r.sub.age - 1 >= 17"),
    *("r.sub == r.obj.owner", "g(r.obj.owner, p.sub)", "g(r.sub, r.obj.owner)"),
    *("r.sub.dept == p.dom", "p.dom in r.sub.tags", "r.sub.tags[0] == p.dom", "r.sub.active"),
    *("r.sub.org.name == p.dom", "r.obj.public", "r.sub.score", "r.sub.dept", "r.obj.limit"),
    *("keyMatch(r.sub.dept, p.dom)", "keyMatch2(r.obj.owner, p.sub)", "r.sub.age in [17, 18]"),
    *("keyMatch(r.sub.tags, p.obj)", "ipMatch(r.sub.dept, p.net)", "regexMatch(r.sub.age, p.act)"),
    *("(r.sub.age if r.sub.active else 18) > 17", "(r.sub.dept or r.sub) == p.sub"),
    *("(r.sub.active and r.obj.public) == True", "(not r.sub.active) == r.obj.public"),
    *("g2(r.sub, p.sub, r.sub.dept)", 'g2(r.sub, "admin", r.obj.limit)', "p.dom == r.sub.tags"),
    *("1", '"text"', "0.0", "1.5", "''", "False", "r.sub.age == r.obj.limit"),
)
ATOM = st.one_of(st.sampled_from(PLAIN_ATOMS), st.sampled_from(UNSURE_ATOMS)).map(
    lambda text: Tree("atom", text=text)
)
EVAL = st.just(Tree("eval", text="eval(p.rule)"))


def trees(atoms: st.SearchStrategy[Tree], leaves: int) -> st.SearchStrategy[Tree]:
    def extend(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Tree, st.just("and"), several, symbolic=st.booleans()),
            st.builds(Tree, st.just("or"), several, symbolic=st.booleans()),
            st.builds(Tree, st.just("and"), several, symbolic=st.booleans()),
            st.builds(Tree, st.just("not"), st.tuples(inner), symbolic=st.booleans()),
            st.builds(Tree, st.just("if"), st.tuples(inner, inner, inner)),
        )

    return st.recursive(atoms, extend, max_leaves=leaves)


@dataclass(frozen=True)
class Sample:
    """A generated policy: its text, its matcher as a tree, its rules by text, its questions."""

    policy: Policy
    effect: str
    matcher: Tree
    rules: Mapping[str, Tree]
    asks: tuple[Ask, ...]


@dataclass
class Columns:
    """The fields of the policy, and one strategy for the value of each."""

    names: list[str] = field(default_factory=lambda: ["sub", "id", "obj", "act", "dom", "net"])

    def values(self, effect: str) -> st.SearchStrategy[dict[str, str]]:
        denies = ["allow"] * 30 + ["deny"] if effect == ALLOW_OVERRIDE else ["allow", "deny"]
        known: dict[str, st.SearchStrategy[str]] = {
            "sub": st.sampled_from((*NAMES, *ROLES, "*")),
            "id": st.just(""),
            "obj": st.sampled_from(PATTERNS),
            "act": st.sampled_from(("GET", "POST", "GET", "^(GET|POST)$", "*", "")),
            "dom": st.sampled_from(DOMAINS),
            "net": st.sampled_from(NETS),
            "eft": st.sampled_from(denies),
            "priority": st.integers(0, 12).map(str),
        }
        return st.fixed_dictionaries({name: known[name] for name in self.names if name in known})


EFFECTS = (ALLOW_OVERRIDE, DENY_OVERRIDE, ALLOW_AND_DENY, PRIORITY, SUBJECT_PRIORITY)
AGES = st.sampled_from((16, 18, 70, 18.5, "18", None, 0, True))


def some_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Properties of which any may be missing; most are there."""
    return st.sets(st.sampled_from(sorted(values)), max_size=2).flatmap(
        lambda without: st.fixed_dictionaries(
            {name: value for name, value in values.items() if name not in without}
        )
    )


SUBJECT = some_of(
    age=AGES,
    dept=st.sampled_from((*DOMAINS, "alice", "10.0.0.1", "")),
    tags=st.sampled_from((["d1"], ["d2", "d1"], [], "d1")),
    active=st.sampled_from((True, False, 1, 0, "yes")),
    score=st.sampled_from((0.0, 1.5, 1)),
    org=st.sampled_from(({"name": "d1"}, {"title": "d1"}, "d1")),
)
RESOURCE = some_of(
    owner=st.sampled_from((*NAMES, "staff", 5, ["alice"])),
    limit=st.sampled_from((0, 17, 18, "18")),
    public=st.booleans(),
)
CONTEXT = st.fixed_dictionaries(
    {"ip": st.sampled_from(ADDRESSES)}, optional={"dom": st.sampled_from((*DOMAINS, 1))}
)
ASK = st.builds(
    Ask,
    sub=st.sampled_from((*NAMES, "staff")),
    obj=st.sampled_from(OBJECTS),
    act=st.sampled_from(ACTIONS),
    context=CONTEXT,
    sub_properties=SUBJECT,
    obj_properties=RESOURCE,
)
LINK = st.tuples(st.sampled_from((*NAMES, *ROLES)), st.sampled_from(ROLES))
# subjectPriority has no order for roles that go round: these never do.
DOWNWARD = st.sampled_from(list(combinations((*NAMES, *ROLES[:-1]), 2)))


@st.composite
def samples(draw: st.DrawFn, asks: int) -> Sample:
    effect = draw(st.sampled_from(EFFECTS))
    with_rules, columns = draw(st.booleans()), Columns()
    matcher = draw(trees(ATOM | EVAL if with_rules else ATOM, 6))
    for optional in ("eft", "priority"):
        if draw(st.booleans()) or (optional == "eft" and effect != ALLOW_OVERRIDE):
            columns.names.insert(draw(st.integers(1, len(columns.names))), optional)
    rules = draw(st.lists(trees(ATOM, 3), min_size=1, max_size=2)) if with_rules else []
    lines = []
    for number, row in enumerate(draw(st.lists(columns.values(effect), min_size=1, max_size=6))):
        row["id"] = f"row{number}"
        values = [row[name] for name in columns.names]
        lines.append(
            ", ".join(["p", *values, *([str(draw(st.sampled_from(rules)))] if rules else [])])
        )
    links = DOWNWARD if effect == SUBJECT_PRIORITY else LINK
    lines += [f"g, {a}, {b}" for a, b in draw(st.lists(links, max_size=4))]
    lines += [
        f"g2, {a}, {b}, {draw(st.sampled_from(DOMAINS))}"
        for a, b in draw(st.lists(LINK, max_size=4))
    ]
    model = model_text(
        str(matcher),
        request="sub, obj, act, dom, ip",
        policy=", ".join((*columns.names, *(["rule"] if rules else []))),
        effect=effect,
        roles="g = _, _\ng2 = _, _, _",
    )
    policy = Policy(model, "\n".join(lines) + "\n", request={"dom": "{context.dom}"})
    questions = draw(st.lists(ASK, min_size=asks, max_size=asks))
    return Sample(policy, effect, matcher, {str(r): r for r in rules}, tuple(questions))
