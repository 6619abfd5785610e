"""One mistake in a clean directory is one problem: file, line and code; and Casbin's hazards."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pdp.cli.problems import known_codes
from pdp.errors import Problem, Severity
from pdp.policy.checks.codes import Code
from pdp.policy.settings import ConcealmentSettings, LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot
from pdp.runtime.load import load

ROOT = Path(__file__).parent.parent.parent
MODEL = """\
# roles, paths and methods
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act, eft

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)
"""
ROWS = """\
# who, page, methods, effect
p, member, /invoices/:id, ^(GET|HEAD)$, allow
p, admin, /admin/*, ^.*$, allow
p, mallory, /invoices/*, ^.*$, deny
g, alice, member
g, admin, member
"""
MATCHER = 15  # the line of `m`
GRANT = LayerSettings(name="clean", kind="grant", model="clean.conf", policy="clean.csv")
RULES = "m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)"


@dataclass(frozen=True)
class Directory:
    """A policy directory of one layer, as the clean one but for what a test changes."""

    model: str | bytes = MODEL
    rows: str | bytes = ROWS
    layer: Mapping[str, Any] = field(default_factory=dict)
    concealment: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[LayerSettings, ...] = ()
    entities: bytes | None = None

    def build(self) -> tuple[Snapshot | None, list[Problem]]:
        given = {"name": "rbac", "kind": "grant", "model": "rbac.conf", "policy": "rbac.csv"}
        layer = LayerSettings(**{**given, **self.layer})
        settings = PolicySettings(
            layers=(layer, *self.layers), concealment=ConcealmentSettings(**self.concealment)
        )
        files = {"rbac.conf": as_bytes(self.model), "rbac.csv": as_bytes(self.rows)}
        files |= {"clean.conf": MODEL.encode(), "clean.csv": ROWS.encode()}
        if self.entities is not None:
            files["entities.json"] = self.entities
        return build_snapshot(files, settings, Credentialing(), "pdp.toml")

    def problems(self) -> list[Problem]:
        return self.build()[1]


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def model(old: str, new: str, rows: str = ROWS, **layer: Any) -> Directory:
    assert MODEL.count(old) == 1, old
    return Directory(model=MODEL.replace(old, new), rows=rows, layer=layer)


def matcher(text: str, **parts: str) -> Directory:
    return Directory(model=MODEL.replace(RULES, f"m = {text}"), **parts)


def rows(old: str, new: str) -> Directory:
    assert ROWS.count(old) == 1, old
    return Directory(rows=ROWS.replace(old, new))


def added(row: str, **parts: Any) -> Directory:
    return Directory(rows=f"{ROWS}{row}\n", **parts)


ADDED = ROWS.count("\n") + 1
INVISIBLE = ("rbac.csv", ADDED, "control-character")
CHAIN = "".join(f"g, n{i}, n{i + 1}\n" for i in range(10))
CONF, CSV, TOML = "rbac.conf", "rbac.csv", "pdp.toml"
EFFECT = "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))"
NO_ROLES = "p, a, /b, GET, allow\n"


def judged_by(function: str, value: str) -> Directory:
    """One row whose third field `function` judges."""
    text = MODEL.replace(RULES, f"m = {function}(r.act, p.act)")
    return Directory(model=text, rows=f"# one row\np, a, /b, {value}, allow\n")


def from_address(network: str, value: str = "r.ip", **request: str) -> Directory:
    """One row whose third field is a network, for `value` to be in."""
    tokens = ", ".join(("sub, obj, act", *(request or ["ip"])))
    text = MODEL.replace(RULES, f"m = ipMatch({value}, p.act)").replace("sub, obj, act", tokens, 1)
    rows = f"# one row\np, a, /b, {network}, allow\n"
    return Directory(model=text, rows=rows, layer={"request": request})


def with_priority(value: str) -> Directory:
    return Directory(
        model=MODEL.replace("p = sub, obj, act, eft", "p = sub, obj, act, eft, priority"),
        rows=f"p, a, b, c, allow, 10\np, a, b, c, deny, {value}\n",
    )


def with_rule(
    rule: str, row_before: str = "", matcher: str = "g(r.sub, p.sub) && eval(p.rule)"
) -> Directory:
    return Directory(
        model=MODEL.replace("p = sub, obj, act, eft", "p = sub, rule, eft").replace(
            RULES, f"m = {matcher}"
        ),
        rows=f"{row_before}p, member, {rule}, allow\n",
    )


def by_subject(links: str) -> Directory:
    effect = "e = subjectPriority(p.eft) || deny"
    return Directory(model=MODEL.replace(EFFECT, effect), rows=f"p, a, b, c, allow\n{links}")


TABLE: list[tuple[str, Directory, tuple[str, int | None, str]]] = [
    # files
    ("a zero-byte policy", Directory(rows=""), (CSV, None, "empty-file")),
    ("a zero-byte model", Directory(model=""), (CONF, None, "empty-file")),
    ("a mark before the rows", Directory(rows="\ufeff" + ROWS), (CSV, 1, "byte-order-mark")),
    ("a mark before the model", Directory(model="\ufeff" + MODEL), (CONF, 1, "byte-order-mark")),
    ("rows in Latin-1", Directory(rows=b"# x\np, \xe9, a\n"), (CSV, 2, "not-utf8")),
    # settings of a layer
    (
        "rules that are tried one by one",
        Directory(
            model=MODEL.replace(RULES, "m = r.sub < p.sub && g(r.sub, p.sub) == True"),
            layer={"scan_limit": 1},
        ),
        (CSV, None, "scans-rules"),
    ),
    (
        "matching of no definition",
        Directory(layer={"role_matching": {"g9": "keyMatch"}}),
        (TOML, None, "matching-definition"),
    ),
    (
        "matching by no function",
        Directory(layer={"role_matching": {"g": "wildcard"}}),
        (TOML, None, "matching-function"),
    ),
    (
        "domains where there are none",
        Directory(layer={"domain_matching": {"g": "keyMatch"}}),
        (TOML, None, "matching-domain"),
    ),
    (
        "too many patterns",
        Directory(
            rows=ROWS + "".join(f"g, /a{i}/*, member\n" for i in range(1001)),
            layer={"role_matching": {"g": "keyMatch"}},
        ),
        (CSV, None, "too-many-patterns"),
    ),
    (
        "a scope that a grant wants",
        Directory(layer={"reason": "insufficient_scope"}),
        (TOML, None, "bad-reason"),
    ),
    (
        "a login that a guard wants of everybody",
        Directory(
            model=MODEL.replace(RULES, "m = keyMatch2(r.obj, p.obj) && g(p.sub, p.sub)"),
            layer={"kind": "guard", "reason": "step_up_required"},
            layers=(GRANT,),
        ),
        (TOML, None, "bad-reason"),
    ),
    # the model file
    ("a stray line", model("g = _, _\n", "g = _, _\nfoo\n"), (CONF, 10, "stray-line")),
    (
        "a line without a key",
        model("g = _, _\n", "g = _, _\n= _, _\n"),
        (CONF, 10, "stray-line"),
    ),
    ("a stray end", Directory(model=MODEL + "\\\n"), (CONF, 16, "stray-line")),
    (
        "an unknown section",
        Directory(model=MODEL + "[matcher]\nm = True\n"),
        (CONF, 17, "unknown-section"),
    ),
    (
        "a line before all sections",
        Directory(model="x = 1\n" + MODEL),
        (CONF, 1, "unknown-section"),
    ),
    (
        "a section in capitals",
        Directory(model=MODEL + "[Matchers]\nm2 = 1\n"),
        (CONF, 17, "unknown-section"),
    ),
    (
        "an unknown key",
        model("g = _, _\n", "g = _, _\nh = _, _\n"),
        (CONF, 10, "unknown-definition"),
    ),
    (
        "a key of another section",
        model("g = _, _\n", "g = _, _\nm2 = True\n"),
        (CONF, 10, "unknown-definition"),
    ),
    (
        "a key that is never counted to",
        model("g = _, _\n", "g = _, _\ng1 = _, _\n"),
        (CONF, 10, "unknown-definition"),
    ),
    (
        "a key with a leading zero",
        model("g = _, _\n", "g = _, _\ng02 = _, _\n"),
        (CONF, 10, "unknown-definition"),
    ),
    (
        "a gap in the numbers",
        model("g = _, _\n", "g = _, _\ng3 = _, _\n"),
        (CONF, 10, "unreached-definition"),
    ),
    (
        "a second without a first",
        Directory(
            model=MODEL.replace("g = _, _\n", "g2 = _, _\n").replace("g(", "g2("),
            rows=NO_ROLES,
        ),
        (CONF, 9, "unreached-definition"),
    ),
    (
        "a key defined twice",
        Directory(model=MODEL + "m = True\n"),
        (CONF, 16, "duplicate-definition"),
    ),
    ("no request", model("r = sub, obj, act\n", ""), (CONF, None, "missing-definition")),
    ("no effect", model(f"{EFFECT}\n", ""), (CONF, None, "missing-definition")),
    ("no matcher", model(f"{RULES}\n", ""), (CONF, None, "missing-definition")),
    (
        "a continuation into a comment",
        model(RULES, f"{RULES} \\\n# more"),
        (CONF, MATCHER, "cut-continuation"),
    ),
    (
        "a continuation into a blank line",
        model(RULES, f"{RULES} \\\n\n"),
        (CONF, MATCHER, "cut-continuation"),
    ),
    (
        "a continuation into a section",
        model("act\n\n[policy_d", "act\\\n[policy_d"),
        (CONF, 3, "cut-continuation"),
    ),
    (
        "a continuation into the end",
        Directory(model=MODEL[:-1] + " \\"),
        (CONF, MATCHER, "cut-continuation"),
    ),
    ("a comment behind the effect", model(EFFECT, f"{EFFECT} # x"), (CONF, 12, "inline-comment")),
    (
        "a comment behind the matcher",
        model(RULES, f"{RULES} # x"),
        (CONF, MATCHER, "inline-comment"),
    ),
    (
        "a semicolon in the matcher",
        model(RULES, f"{RULES}; True"),
        (CONF, MATCHER, "inline-comment"),
    ),
    (
        "a name that is none",
        model("r = sub, obj, act", "r = sub, obj, act, s-p", request={"s-p": "x"}),
        (CONF, 3, "bad-name"),
    ),
    ("a name twice", model("r = sub, obj, act", "r = sub, obj, act, sub"), (CONF, 3, "bad-name")),
    ("an effect field misnamed", model("act, eft", "act, effect"), (CONF, 6, "misnamed-effect")),
    ("an effect field in capitals", model("act, eft", "act, EFT"), (CONF, 6, "misnamed-effect")),
    ("a conditional role", model("g = _, _", "g = _, _, (_, _)"), (CONF, 9, "conditional-role")),
    (
        "a comment with parentheses",
        model("g = _, _", "g = _, _ # (x)"),
        (CONF, 9, "conditional-role"),
    ),
    ("a role of one place", model("g = _, _", "g = _", NO_ROLES), (CONF, 9, "bad-role-definition")),
    (
        "a role of four places",
        model("g = _, _", "g = _, _, _, _", NO_ROLES),
        (CONF, 9, "bad-role-definition"),
    ),
    (
        "a role of names",
        model("g = _, _", "g = user, role", NO_ROLES),
        (CONF, 9, "bad-role-definition"),
    ),
    # effects
    (
        "an effect that is none",
        model(EFFECT, "e = some(where (p.eft == deny))"),
        (CONF, 12, "unknown-effect"),
    ),
    (
        "an effect with other blanks",
        model(EFFECT, "e = priority(p.eft)||deny"),
        (CONF, 12, "unknown-effect"),
    ),
    (
        "a grant that is open",
        model(EFFECT, "e = !some(where (p.eft == deny))"),
        (CONF, 12, "open-grant"),
    ),
    (
        "a deny that is ignored",
        model(EFFECT, "e = some(where (p.eft == allow))"),
        (CSV, 4, "ignored-deny"),
    ),
    (
        "a guard that refuses nobody",
        Directory(
            model=MODEL.replace(EFFECT, "e = !some(where (p.eft == deny))"),
            rows="p, a, /b, GET, allow\n",
            layer={"kind": "guard"},
            layers=(GRANT,),
        ),
        (CSV, None, "idle-guard"),
    ),
    (
        "decisions in a field of another name",
        Directory(
            model=MODEL.replace("obj, act, eft", "obj, act, verdict"), rows="p, a, /b, GET, deny\n"
        ),
        (CONF, 6, "misnamed-effect"),
    ),
    (
        "a pattern from the request",
        matcher("keyMatch2(p.obj, r.obj)"),
        (CONF, MATCHER, "pattern-from-request"),
    ),
    ("a blank in eval", matcher("eval( p.obj )"), (CONF, MATCHER, "not-compilable")),
    ("a private attribute", matcher("r.sub._x == p.obj"), (CONF, MATCHER, "not-compilable")),
    ("a method's name", matcher("r.sub.format == p.obj"), (CONF, MATCHER, "not-compilable")),
    # rows
    ("a type in capitals", added("P, x, y, z, deny"), (CSV, ADDED, "undefined-type")),
    ("a type without a definition", added("p2, x, y, z, deny"), (CSV, ADDED, "undefined-type")),
    ("a role without a definition", added("g2, x, y"), (CSV, ADDED, "undefined-type")),
    ("a row without a type", added(", x, y"), (CSV, ADDED, "undefined-type")),
    ("a type that Casbin takes for a section", added("m, x, y"), (CSV, ADDED, "undefined-type")),
    ("a short row", added("p, x, y, z"), (CSV, ADDED, "short-row")),
    ("a long row", added("p, x, y, z, allow, more"), (CSV, ADDED, "long-row")),
    ("a role row with a domain", added("g, alice, admin, tenantA"), (CSV, ADDED, "long-row")),
    ("a role row without a role", added("g, alice"), (CSV, ADDED, "short-row")),
    ("a bracket not closed", added("p, x, /[a, b, allow"), (CSV, ADDED, "unbalanced-bracket")),
    ("a bracket not opened", added("p, x, /a), GET, allow"), (CSV, ADDED, "unbalanced-bracket")),
    ("a trailing comment", rows("^.*$, deny", "^.*$ # no, deny"), (CSV, 4, "trailing-comment")),
    (
        "a trailing comment without a blank",
        added("p, x, #all, y, allow"),
        (CSV, ADDED, "trailing-comment"),
    ),
    ("quotes", added('p, "x", /y, GET, allow'), (CSV, ADDED, "quoted-value")),
    ("single quotes", added("p, 'x', /y, GET, allow"), (CSV, ADDED, "quoted-value")),
    (
        "an invisible character",
        added("p, a\u200b\u0007b, /y, GET, allow"),
        (CSV, ADDED, "control-character"),
    ),
    *(
        (f"an invisible U+{code:04X}", added(f"p, al{code:c}ice, /y, GET, allow"), INVISIBLE)
        for code in (0x09, 0x85, 0xA0, 0xAD, 0x200B, 0x200D, 0x202E, 0x2028, 0x2029, 0x2060, 0x3000)
    ),
    ("an invisible character of a role", added("g, bo\u200bb, member"), INVISIBLE),
    ("an effect in capitals", rows("deny", "Deny"), (CSV, 4, "bad-effect-value")),
    ("an effect misspelt", rows("deny", "dney"), (CSV, 4, "bad-effect-value")),
    ("no effect", rows("^.*$, deny", "^.*$,"), (CSV, 4, "bad-effect-value")),
    ("a priority of letters", with_priority("high"), (CSV, 2, "bad-priority")),
    ("a priority below zero", with_priority("-1"), (CSV, 2, "bad-priority")),
    ("a priority between", with_priority("1.5"), (CSV, 2, "bad-priority")),
    ("a priority in superscript", with_priority("²"), (CSV, 2, "bad-priority")),
    ("a chain of ten roles", Directory(rows=ROWS + CHAIN), (CSV, ADDED + 9, "deep-roles")),
    (
        "roles that go round, by subject",
        by_subject("g, a, b\ng, b, a\n"),
        (CSV, None, "role-cycle"),
    ),
    # values that functions judge
    ("a bad expression", judged_by("regexMatch", "^(GET$)("), (CSV, 2, "unbalanced-bracket")),
    ("a bad expression, balanced", judged_by("regexMatch", "*GET"), (CSV, 2, "bad-pattern")),
    ("a bad path", judged_by("keyMatch2", "(?P<a>x)(?P<a>y)"), (CSV, 2, "bad-pattern")),
    ("groups in keyMatch4", judged_by("keyMatch4", "(x)/{y}"), (CSV, 2, "bad-pattern")),
    ("too many braces", judged_by("globMatch", "{1..2000}"), (CSV, 2, "bad-pattern")),
    (
        "repeats in a repeat",
        judged_by("regexMatch", "^(a*)*$"),
        (CSV, 2, "catastrophic-pattern"),
    ),
    (
        "a repeat of what can be empty",
        judged_by("keyMatch2", "/x/(a*)*/y"),
        (CSV, 2, "catastrophic-pattern"),
    ),
    (
        "repeats in a repeat of the matcher",
        matcher('regexMatch(r.act, "^(a*)*$")'),
        (CONF, MATCHER, "catastrophic-pattern"),
    ),
    ("no address", judged_by("ipMatch", "10.0.0.300"), (CSV, 2, "bad-network")),
    ("no network", judged_by("ipMatch", "10.0.0.0/33"), (CSV, 2, "bad-network")),
    ("an address with a port", judged_by("ipMatch", "10.0.0.1:80"), (CSV, 2, "bad-network")),
    ("a zone", judged_by("ipMatch", "fe80::1%eth0"), (CSV, 2, "bad-network")),
    ("a zone of a network", judged_by("ipMatch", "fe80::%eth0/64"), (CSV, 2, "bad-network")),
    ("a mapped address", from_address("::ffff:192.0.2.1"), (CSV, 2, "bad-network")),
    ("a mapped network", from_address("::ffff:10.0.0.0/104"), (CSV, 2, "bad-network")),
    ("all that is mapped", from_address("::ffff:0:0/96"), (CSV, 2, "bad-network")),
    (
        "a mapped network for the address by a name of its own",
        from_address("::ffff:0:0/96", "r.addr", addr="{context.ip}"),
        (CSV, 2, "bad-network"),
    ),
    (
        "a mapped network for the address as a fact",
        from_address("::ffff:0:0/96", "r.context.ip"),
        (CSV, 2, "bad-network"),
    ),
    (
        "a mapped network in the matcher",
        matcher('r.act == p.act && !ipMatch(r.context.ip, "::ffff:10.0.0.0/104")'),
        (CONF, MATCHER, "bad-network"),
    ),
    ("host bits", judged_by("ipMatch", "10.0.0.1/8"), (CSV, 2, "host-bits")),
    ("host bits, IPv6", judged_by("ipMatch", "2001:db8::1/32"), (CSV, 2, "host-bits")),
    (
        "no time",
        matcher('timeMatch(p.act, "_")', rows="p, a, b, tomorrow, allow\n"),
        (CSV, 1, "bad-time"),
    ),
    ("no time in the matcher", matcher('timeMatch("soon", "_")'), (CONF, MATCHER, "bad-time")),
    ("more behind the star", judged_by("keyMatch", "/a/*/b"), (CSV, 2, "ignored-tail")),
    ("a dot in a path", judged_by("keyMatch2", "/a.txt"), (CSV, 2, "regex-in-path")),
    ("a bar in a path", judged_by("keyMatch3", "/a|/b"), (CSV, 2, "regex-in-path")),
    # the matcher
    ("an assignment", matcher("r.sub = p.sub"), (CONF, MATCHER, "assignment")),
    ("a syntax error", matcher("r.sub == "), (CONF, MATCHER, "bad-matcher")),
    ("an empty matcher", matcher(""), (CONF, MATCHER, "bad-matcher")),
    ("nesting without an end", matcher("!" * 120 + "True"), (CONF, MATCHER, "bad-matcher")),
    ("an unknown function", matcher("keyMatsh(r.obj, p.obj)"), (CONF, MATCHER, "unknown-function")),
    (
        "a role that is not defined",
        matcher("g2(r.sub, p.sub)"),
        (CONF, MATCHER, "unknown-function"),
    ),
    ("an unknown token", matcher("r.sbu == p.sub"), (CONF, MATCHER, "unknown-name")),
    ("an unknown field", matcher("r.sub == p.sbu"), (CONF, MATCHER, "unknown-name")),
    ("an unknown name", matcher("sub == p.sub"), (CONF, MATCHER, "unknown-name")),
    ("another section's request", matcher("r2.sub == p.sub"), (CONF, MATCHER, "unknown-name")),
    ("a whole request", matcher("r == p.sub"), (CONF, MATCHER, "unknown-name")),
    ("a whole entity", matcher("r.subject == p.sub"), (CONF, MATCHER, "unknown-name")),
    ("an attribute of a field", matcher("p.sub.name == r.sub"), (CONF, MATCHER, "unknown-name")),
    (
        "a function that is not Casbin's",
        matcher("len(r.sub) == p.sub"),
        (CONF, MATCHER, "unknown-function"),
    ),
    ("too few arguments", matcher("keyMatch(r.obj)"), (CONF, MATCHER, "function-arity")),
    (
        "too many arguments",
        matcher("ipMatch(r.obj, p.obj, p.act)"),
        (CONF, MATCHER, "function-arity"),
    ),
    ("a domain that g ignores", matcher("g(r.sub, p.sub, r.obj)"), (CONF, MATCHER, "role-arity")),
    ("glued and", matcher("r.sub == p.sub&&r.obj == p.obj"), (CONF, MATCHER, "glued-operator")),
    ("glued or", matcher("r.sub == p.sub ||!(r.obj == p.obj)"), (CONF, MATCHER, "glued-operator")),
    ("an operator in a text", matcher('r.sub == "a&&b"'), (CONF, MATCHER, "rewritten-literal")),
    ("a bang in a text", matcher('r.sub == "a!"'), (CONF, MATCHER, "rewritten-literal")),
    ("a token in a text", matcher('r.sub == "p.sub"'), (CONF, MATCHER, "rewritten-literal")),
    ("a hash in a text", matcher('r.sub == "a#b"'), (CONF, MATCHER, "rewritten-literal")),
    (
        "an operator in a long text",
        matcher('r.sub == """a"&&"b"""'),
        (CONF, MATCHER, "rewritten-literal"),
    ),
    (
        "a bad pattern in the matcher",
        matcher('regexMatch(r.act, "*")'),
        (CONF, MATCHER, "bad-pattern"),
    ),
    ("a pattern that is no text", matcher("keyMatch2(r.act, 1)"), (CONF, MATCHER, "bad-pattern")),
    ("a method", matcher("r.sub.startswith(p.sub)"), (CONF, MATCHER, "not-compilable")),
    ("a named argument", matcher("keyMatch(r.obj, key2=p.obj)"), (CONF, MATCHER, "not-compilable")),
    ("a comprehension", matcher("[1 for x in [1]] == p.sub"), (CONF, MATCHER, "not-compilable")),
    ("a slice", matcher("r.sub[1:2] == p.sub"), (CONF, MATCHER, "not-compilable")),
    ("a power", matcher("2 ** 3 == p.sub"), (CONF, MATCHER, "not-compilable")),
    ("an inversion", matcher("~1 == p.sub"), (CONF, MATCHER, "not-compilable")),
    ("identity", matcher("r.sub is p.sub"), (CONF, MATCHER, "not-compilable")),
    ("nothing at all", matcher("r.sub == None"), (CONF, MATCHER, "not-compilable")),
    ("a lambda", matcher("(lambda: True)()"), (CONF, MATCHER, "not-compilable")),
    (
        "an attribute of a call",
        matcher('g(r.sub, p.sub).x == "a"'),
        (CONF, MATCHER, "not-compilable"),
    ),
    ("an eval of no field", matcher("eval(r.sub)"), (CONF, MATCHER, "not-compilable")),
    (
        "an eval inside of a value",
        with_rule("True", matcher="eval(p.rule) == True"),
        (CONF, MATCHER, "not-compilable"),
    ),
    ("an eval of two fields", matcher("eval(p.act, p.obj)"), (CONF, MATCHER, "not-compilable")),
    ("an eval of a text", matcher('eval("True")'), (CONF, MATCHER, "not-compilable")),
    ("a glob that is no text", matcher("globMatch(r.obj, 1)"), (CONF, MATCHER, "bad-pattern")),
    (
        "an attribute of a token from several entities",
        model(
            RULES,
            "m = r.sub.age == p.sub",
            request={"sub": "{subject.type}:{action.name}"},
        ),
        (CONF, MATCHER, "unknown-name"),
    ),
    # rules in rows
    ("a rule with a syntax error", with_rule("r.sub.age >"), (CSV, 1, "bad-matcher")),
    ("a rule that escapes", with_rule("True) || (True"), (CSV, 1, "unbalanced-bracket")),
    ("a rule that evaluates", with_rule("eval(p.sub)"), (CSV, 1, "not-compilable")),
    ("a rule with an unknown name", with_rule("r.sbu == 1"), (CSV, 1, "unknown-name")),
    ("a rule with a comment", with_rule("True; False"), (CSV, 1, "inline-comment")),
    (
        "a rule with repeats in a repeat",
        with_rule('regexMatch(r.sub, "^(a*)*$")'),
        (CSV, 1, "catastrophic-pattern"),
    ),
    ("a rule with an assignment", with_rule("r.sub = p.sub"), (CSV, 1, "assignment")),
    # the settings
    (
        "a token that nothing fills",
        model("r = sub, obj, act", "r = sub, obj, act, zone"),
        (TOML, None, "unfilled-token"),
    ),
    (
        "a template for no token",
        Directory(layer={"request": {"sbu": "{subject.id}"}}),
        (TOML, None, "unknown-token"),
    ),
    (
        "a template of nothing",
        Directory(layer={"request": {"sub": "{user.id}"}}),
        (TOML, None, "bad-template"),
    ),
    (
        "a template of no property",
        Directory(layer={"request": {"sub": "{subject.name}"}}),
        (TOML, None, "bad-template"),
    ),
    (
        "a brace alone",
        Directory(layer={"request": {"sub": "{subject.id"}}),
        (TOML, None, "bad-template"),
    ),
    ("no grant", Directory(layer={"kind": "guard"}), (TOML, None, "no-grant")),
    (
        "a layer twice",
        Directory(layers=(LayerSettings(name="rbac", kind="grant", model=CONF, policy=CSV),)),
        (TOML, None, "duplicate-layer"),
    ),
    (
        "a status that reveals",
        Directory(concealment={"resources": ("/x",), "unknown_resource": 403}),
        (TOML, None, "revealing-status"),
    ),
    (
        "a bad concealed path",
        Directory(concealment={"resources": ("/(x",)}),
        (TOML, None, "bad-pattern"),
    ),
    (
        "concealed paths with repeats in a repeat",
        Directory(concealment={"resources": ("/(a*)*",)}),
        (TOML, None, "catastrophic-pattern"),
    ),
    # entities
    ("entities that are no JSON", Directory(entities=b"[{]"), ("entities.json", 1, "bad-json")),
    ("entities in no list", Directory(entities=b"{}"), ("entities.json", None, "bad-entity")),
    (
        "an entity without an id",
        Directory(entities=b'[{"type": "user"}]'),
        ("entities.json", 1, "bad-entity"),
    ),
    (
        "an entity twice",
        Directory(entities=b'[{"type": "a", "id": "b"}, {"type": "a", "id": "b"}]'),
        ("entities.json", 1, "duplicate-entity"),
    ),
]
CODES = known_codes()
WARNINGS = {"idle-guard", "ignored-tail", "regex-in-path"}
mistakes = pytest.mark.parametrize(
    ("directory", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)


def test_the_clean_directory_has_no_problem() -> None:
    snapshot, problems = Directory().build()
    assert (snapshot is not None, problems) == (True, [])


@mistakes
def test_one_mistake_is_one_problem_at_its_place(
    directory: Directory, expected: tuple[str, int | None, str]
) -> None:
    snapshot, problems = directory.build()
    found = [(problem.file, problem.line, problem.code) for problem in problems]
    assert found == [expected]
    assert (snapshot is None) == (expected[2] not in WARNINGS)


@mistakes
def test_every_problem_speaks_plainly(
    directory: Directory, expected: tuple[str, int | None, str]
) -> None:
    (problem,) = directory.problems()
    assert "\n" not in problem.message + problem.help
    assert problem.message[0] in "`[" or problem.message.split()[0].isascii()
    assert (
        problem.message[0].islower()
        or problem.message[0] in "`("
        or problem.message[:6] == "Casbin"
    )
    assert (problem.severity is Severity.WARNING) == (problem.code in WARNINGS)
    assert str(problem).endswith(f" {problem.code} {problem.message}")


def codes_in_use() -> set[str]:
    """Every text that looks like a code and stands as an argument of a problem."""
    found = set()
    for path in (ROOT / "pdp" / "policy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value
                if word.replace("-", "").isalnum() and "-" in word.strip("-") and word.islower():
                    found.add(word)
    return (found | {"assignment"}) - {"utf-8"}


def test_every_code_has_a_mistake_in_the_table() -> None:
    deep = {"unused-role", "shadowed-rule", "contradictory-rules"}  # see test_checks_deep.py
    found = {code for _, _, (_, _, code) in TABLE} | {"inline-comment"}
    assert codes_in_use() <= found | deep


def test_every_code_in_use_is_explained_and_no_other() -> None:
    assert codes_in_use() == set(CODES)


@mistakes
def test_a_code_is_as_severe_as_it_is_explained(
    directory: Directory, expected: tuple[str, int | None, str]
) -> None:
    (problem,) = directory.problems()
    assert problem.severity is CODES[problem.code].severity


EXAMPLES = pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))


@EXAMPLES
def test_an_explanation_is_made_of_sentences(code: Code) -> None:
    for sentence in (code.what, code.why, code.instead):
        assert (sentence[0].isupper() or sentence[0] == "`", sentence[-1]) == (True, ".")
        assert "\n" not in sentence
    assert code.bad != code.good


def test_the_page_of_codes_is_what_the_table_says() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    page = (ROOT / "docs" / "checks.md").read_text()
    assert page == generate["render_codes"](), "run `python docs/generate.py`"


CARETS = [
    (matcher("r.sub == p.sub && nope(r.obj)"), "nope(r.obj)"),
    (matcher("r.sub == p.sbu"), "p.sbu"),
    (matcher('r.sub == "é" && nope(r.obj)'), "nope(r.obj)"),
    (matcher("r.sub == p.sub && r.obj = p.obj"), "="),
    (matcher("r.sub == p.sub # x"), "#"),
    (matcher("r.sub == p.sub&&True"), "&&"),
    (matcher('r.obj == "a&&b"'), '"a&&b"'),
    (matcher("!(r.sub == p.sub) && !nope(r.obj)"), "nope(r.obj)"),
    (matcher("r.sub == p.sub && \\\n  nope(r.obj)"), "nope(r.obj)"),
    (matcher("r.sub == p.sub && \\\n\t keyMatch(r.obj)"), "keyMatch(r.obj)"),
    (matcher("r.sub == p.sub && (r.obj"), "("),
    (model("act, eft", "act, effect"), "effect"),
    (model("r = sub, obj, act", "r = sub, obj, a c", request={"a c": "x"}), "a c"),
    (model(EFFECT, "e = allow"), "allow"),
    (model("g = _, _", "g = _, _ (x)"), "("),
    (with_rule("r.sub == nope.x"), "nope.x"),
    (matcher('regexMatch(r.act, "^(a*)*$")'), "^(a*)*$"),
    (with_rule("nope == 1", "g, nope, nope == 1\n"), "nope"),
]


@pytest.mark.parametrize(("directory", "marked"), CARETS)
def test_the_caret_marks_what_is_wrong(directory: Directory, marked: str) -> None:
    (problem,) = directory.problems()
    source, carets = problem.caret().split("\n")
    start = len(carets) - len(carets.lstrip())
    assert source[start : start + carets.count("^")] == marked
    assert problem.column == start + 1


def test_the_caret_of_a_rule_marks_the_rule_and_not_its_twin() -> None:
    (problem,) = Directory(
        model=MODEL.replace("p = sub, obj, act, eft", "p = sub, rule, eft").replace(
            RULES, "m = r.sub == p.sub && eval(p.rule)"
        ),
        rows="p, nope.x, nope.x, allow\n",
    ).problems()
    assert problem.caret() == "p, nope.x, nope.x, allow\n           ^^^^^^"


def test_the_caret_names_the_line_of_a_continuation() -> None:
    (problem,) = matcher("r.sub == p.sub && \\\n  nope(r.obj)").problems()
    assert problem.line == MATCHER + 1
    (outer,) = matcher("nope(r.sub) && \\\n  True").problems()
    assert (outer.line, outer.column) == (MATCHER, 5)


@pytest.mark.parametrize(
    ("directory", "help_"),
    [
        (matcher("keyMatsh(r.obj, p.obj)"), "did you mean `keyMatch`?"),
        (matcher("r.sbu == p.sub"), "did you mean `sub`?"),
        (matcher("r.sub == p.sbu"), "did you mean `sub`?"),
        (matcher("r.sub.x == p.acts"), "did you mean `act`?"),
        (matcher("r.resuorce.id == p.sub"), "did you mean `resource`?"),
        (Directory(layer={"request": {"sbu": "x"}}), "did you mean `sub`?"),
        (Directory(model=MODEL + "[matcher]\nm2 = True\n"), "did you mean `matchers`?"),
        (rows("deny", "Deny"), "did you mean `deny`?"),
        (rows("deny", "dney"), "did you mean `deny`?"),
        (added("P, x, y, z, deny"), "known here: `g`, `p`"),
        (added("p, x"), "the model says `p = sub, obj, act, eft`"),
    ],
)
def test_help_names_what_was_meant(directory: Directory, help_: str) -> None:
    (problem,) = directory.problems()
    assert problem.help == help_


def test_all_problems_are_found_at_once() -> None:
    directory = Directory(
        model=MODEL.replace("g = _, _", "g = _, _\nh = 1"),
        rows=ROWS.replace("deny", "Deny") + "P, x\np, a\n",
        layer={"request": {"sbu": "x"}},
        concealment={"resources": ("(",)},
        entities=b"{}",
    )
    assert [problem.code for problem in directory.problems()] == [
        "bad-pattern",
        "unknown-definition",
        "undefined-type",
        "short-row",
        "bad-effect-value",
        "unknown-token",
        "bad-entity",
    ]


def test_all_problems_of_a_matcher_are_found_at_once() -> None:
    found = matcher("nope(r.sbu) && r.sub == p.sbu && 2 ** 3 == r.obj.x[1:2]").problems()
    assert [problem.code for problem in found] == [
        "unknown-name",
        "unknown-function",
        "unknown-name",
        "not-compilable",
        "not-compilable",
    ]


def test_a_value_is_told_once_however_many_rows_hold_it() -> None:
    text = judged_by("regexMatch", "*GET")
    several = Directory(model=text.model, rows=f"{text.rows!s}p, b, /b, *GET, deny\n")
    assert len(several.problems()) == 1


def harmless(directory: Directory) -> bool:
    return directory.problems() == []


@pytest.mark.parametrize(
    "directory",
    [
        Directory(rows=ROWS.replace("\n", "\r\n")),
        Directory(model=MODEL.replace("\n", "\r\n")),
        Directory(model=MODEL.replace("\n", "\r")),
        Directory(rows=ROWS + "   \n\n  # more\n"),
        Directory(rows="# a policy without rules\n"),
        added("p, x, /a/[bc], (GET,HEAD), allow", model=MODEL.replace("keyMatch2", "globMatch")),
        Directory(rows=ROWS + CHAIN.replace("g, n9, n10\n", "")),
        Directory(rows=ROWS + CHAIN + "g, n0, n5\n"),
        Directory(rows=ROWS + "g, a, b\ng, b, a\n"),
        by_subject("g, a, b\ng, b, c\n"),
        added("p, Zoë Müller, /y, GET, allow"),
        added("p, 山田 太郎 🦊, /y, GET, allow"),
        judged_by("ipMatch", "10.0.0.0/8"),
        judged_by("ipMatch", "::ffff:10.0.0.0/104"),  # an attribute stays as it is
        from_address("::ffff:0:0/96", "r.addr", addr="{subject.properties.home}"),
        from_address("::/0"),
        from_address("::fffe:0:0/95"),
        from_address("::fffe:c000:201"),
        judged_by("keyMatch2", "/a/:b.c/*"),
        judged_by("regexMatch", "(a{2,3})"),
        matcher('r.sub == "a;b"'),
        matcher('(r.sub == "root")&&(r.obj == p.obj)'),
        matcher("r.sub == p.sub && \\\n  r.obj == p.obj"),
        matcher(r'regexMatch(r.obj, "^/\d+$")'),
        with_rule('r.sub.name == "a#b"'),
        with_rule("r.sub in ('a', 'b')"),
    ],
)
def test_what_is_harmless_is_no_problem(directory: Directory) -> None:
    assert harmless(directory)


def test_subject_priority_needs_roles() -> None:
    bare = MODEL.replace(EFFECT, "e = subjectPriority(p.eft) || deny")
    bare = bare.replace("[role_definition]\ng = _, _\n", "").replace("g(r.sub, p.sub)", "True")
    (problem,) = Directory(model=bare, rows="p, a, b, c, allow\n").problems()
    assert (problem.code, problem.line) == ("missing-definition", 10)


def test_open_effects_are_fine_in_guards() -> None:
    guard = LayerSettings(name="net", kind="guard", model="net.conf", policy="net.csv")
    files = {
        "rbac.conf": MODEL.encode(),
        "rbac.csv": ROWS.encode(),
        "net.conf": MODEL.replace(EFFECT, "e = !some(where (p.eft == deny))").encode(),
        "net.csv": ROWS.encode(),
    }
    grant = LayerSettings(name="rbac", kind="grant", model=CONF, policy=CSV)
    settings = PolicySettings(layers=(guard, grant))
    assert build_snapshot(files, settings, Credentialing(), TOML)[1] == []


def test_a_layer_without_its_files_is_left_to_who_read_them() -> None:
    grant = LayerSettings(name="rbac", kind="grant", model=CONF, policy=CSV)
    settings = PolicySettings(layers=(grant,))
    assert build_snapshot({CONF: MODEL.encode()}, settings, Credentialing(), TOML)[1] == []


def test_entities_are_known_by_type_and_id() -> None:
    data = b'[{"type": "user", "id": "a", "properties": {"x": 1}}, {"type": "user", "id": "b"}]'
    snapshot, problems = Directory(entities=data).build()
    assert snapshot is not None
    assert (problems, snapshot.entities["user", "a"]) == ([], {"x": 1})
    assert snapshot.entities["user", "b"] == {}


# What loads silently in Casbin, hazard by hazard.
HAZARDS: list[tuple[int, Callable[[], Directory]]] = [
    (1, lambda: added("P, alice, /x, ^GET$, deny")),
    (1, lambda: added("p2, alice, /x, ^GET$, deny")),
    (2, lambda: Directory(rows="\ufeff" + ROWS)),
    (3, lambda: rows("^.*$, deny", "^.*$, deny # comment")),
    (3, lambda: rows("p, mallory", 'p, "mallory"')),
    (4, lambda: rows("deny", "Deny")),
    (4, lambda: model("act, eft", "act, effect")),
    (4, lambda: model("act, eft", "act, eft # the decision")),
    (5, lambda: added("p, alice, /x")),
    (5, lambda: added("p, alice, /x, ^GET$, allow, allow")),
    (6, lambda: model(RULES, "m = g(r.sub, p.sub) \\\n# and\n&& False")),
    (6, lambda: model(RULES, "m = g(r.sub, p.sub) && \\\n\n keyMatch2(r.obj, p.obj)")),
    (7, lambda: matcher("r.sub = p.sub")),
    (7, lambda: matcher("r.sub == p.sub; False")),
    (7, lambda: matcher("r.sub == p.sub # && False")),
    (7, lambda: matcher("isOwner(r.sub, p.sub)")),
    (7, lambda: matcher("r.user == p.sub")),
    (7, lambda: matcher("r.sub === p.sub")),
    (8, lambda: added("g, alice, admin, tenantA")),
    (8, lambda: matcher("g(r.sub, p.sub, r.obj)")),
    (9, lambda: model("g = _, _", "g = _, _ # (user, role)")),
    (10, lambda: judged_by("ipMatch", "10.0.0/8")),
    (10, lambda: judged_by("ipMatch", "10.1.2.3/8")),
    (11, lambda: added("p, alice, /[x, ^GET$, deny")),
    (11, lambda: added("p, alice, /(x, ^GET$, deny")),
    (12, lambda: judged_by("regexMatch", "*")),
    (12, lambda: judged_by("regexMatch", "^(a*)*$")),
    (13, lambda: with_priority("first")),
    (13, lambda: with_priority("-1")),
    (13, lambda: with_priority("0.5")),
    (14, lambda: Directory(rows="")),
    (15, lambda: Directory(model=MODEL + "[matcher]\nm = True\n")),
    (15, lambda: Directory(model=MODEL + "m = True\n")),
    (16, lambda: Directory(rows=ROWS + CHAIN)),
    (17, lambda: judged_by("keyMatch", "/a/*/b")),
    (17, lambda: judged_by("keyMatch2", "/a.b")),
    (17, lambda: judged_by("keyMatch2", "/a|/b")),
    (18, lambda: matcher('r.sub == "a&&b"')),
    (18, lambda: matcher('r.sub == "r.sub"')),
    (20, lambda: model(EFFECT, "e = some(where (p.eft == allow))")),
    (21, lambda: model(EFFECT, "e = !some(where (p.eft == deny))")),
]


@pytest.mark.parametrize(("number", "directory"), HAZARDS)
def test_a_hazard_is_reported_with_its_file_and_a_way_out(
    number: int, directory: Callable[[], Directory]
) -> None:
    snapshot, problems = directory().build()
    assert problems
    assert all(problem.file in (CONF, CSV) for problem in problems)
    assert any(problem.help for problem in problems) or number == 7
    assert (snapshot is None) == (number != 17)


def test_every_hazard_is_in_the_table() -> None:
    deep = {19}  # see test_checks_deep.py
    assert {number for number, _ in HAZARDS} == set(range(1, 22)) - deep


def test_the_starter_directory_has_no_problem() -> None:
    loaded = load(ROOT / "policies")
    assert loaded.warnings == ()
    assert [layer.name for layer in loaded.snapshot.layers] == [
        *("network", "office"),
        *("acl", "rbac", "departments"),
    ]
