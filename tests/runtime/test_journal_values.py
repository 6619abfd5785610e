"""What stands in a record: the values that the policy reads, bounded, masked, without secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pdp.errors import ConfigurationError
from pdp.model import Action, Credentials, Entity, Identity, Method, Outcome, Query
from pdp.pipeline import decide
from pdp.policy.facts import Instant
from pdp.policy.reads import Reads, reads_of
from pdp.policy.snapshot import Snapshot
from pdp.runtime.journal_asking import Asking
from pdp.runtime.journal_record import Recorder
from pdp.runtime.journal_shapes import Entry, timestamp
from pdp.runtime.journal_tokens import fingerprint
from pdp.runtime.load import load

NOW = 1_768_478_400.25
HEAD = "[request_definition]\nr = {tokens}\n[policy_definition]\np = sub, rule\n"
TAIL = (
    "[role_definition]\ng = _, _\n"
    "[policy_effect]\ne = some(where (p.eft == allow))\n"
    "[matchers]\nm = "
)


def snapshot(
    directory: Path, matcher: str, *rows: str, tokens: str = "sub, obj, act", request: str = ""
) -> Snapshot:
    """The policy of one layer."""
    directory.mkdir(exist_ok=True)
    (directory / "m.conf").write_text(HEAD.format(tokens=tokens) + TAIL + matcher + "\n")
    (directory / "p.csv").write_text("".join(f"{row}\n" for row in rows or ("p, alice, true",)))
    layer = '[[layers]]\nname = "one"\nkind = "grant"\nmodel = "m.conf"\npolicy = "p.csv"\n'
    (directory / "pdp.toml").write_text(layer + request)
    return load(directory).snapshot


def record(
    policy: Snapshot,
    *,
    context: Mapping[str, Any] | None = None,
    identity: Identity | None = None,
    mask: tuple[str, ...] = (),
    sampled: float = 1.0,
    **query: Any,
) -> dict[str, Any]:
    given = {"action": Action("GET"), "resource": Entity("resource", "/a"), **query}
    asked = Query(**given, context=context or {})
    who = identity or Identity("alice", method=Method.VOUCHED)
    verdict = decide(asked, who, policy, NOW)
    entry = Entry("id", NOW, 1e-5, verdict, "native", Asking(), asked, policy)
    line = Recorder(mask, sampled).line(entry)
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize(
    ("matcher", "rows", "expected"),
    [
        ("r.sub == p.sub", (), Reads()),
        ("r.sub.age > 17", (), Reads(subject=(("age",),))),
        ("r.sub.a.b == 1 && r.sub.a.c == 2", (), Reads(subject=(("a", "b"), ("a", "c")))),
        ("r.sub.a.b == 1 && 1 in r.sub.a", (), Reads(subject=(("a",),))),
        ("r.obj.owner == r.sub", (), Reads(resource=(("owner",),))),
        ("r.act.soft == 1", (), Reads(action=(("soft",),))),
        ('r.context.host == "h"', (), Reads(context=(("host",),))),
        ("r.subject.properties.x == 1", (), Reads(subject=(("x",),))),
        ("r.context.time.hour > 8", (), Reads()),
        ("r.sub == p.sub || r.sub.x == 1", (), Reads(subject=(("x",),))),
        ("!(r.sub.x == 1)", (), Reads(subject=(("x",),))),
        ('keyMatch(r.sub.team, "a*")', (), Reads(subject=(("team",),))),
        ("g(r.sub.boss, p.sub)", (), Reads(subject=(("boss",),))),
        ("r.sub.a == 1 && r.sub.a.b == 2", (), Reads(subject=(("a",),))),
        ("r.sub.a.b == 2 && r.sub.a == 1", (), Reads(subject=(("a",),))),
        ("r.sub.list[0] == 1", (), Reads(subject=(("list",),))),
        (
            "eval(p.rule)",
            ("p, a, r.sub.one == 1", "p, b, r.obj.two == 2 && r.sub.one > 3"),
            Reads(subject=(("one",),), resource=(("two",),)),
        ),
        ("eval(p.rule) || r.sub == p.sub", ("p, a, r.sub.x == 1",), Reads(subject=(("x",),))),
    ],
    ids=str,
)
def test_what_a_matcher_reads_is_known(
    tmp_path: Path, matcher: str, rows: tuple[str, ...], expected: Reads
) -> None:
    assert reads_of(snapshot(tmp_path, matcher, *rows).layers) == expected


# Each alone, or pairs of them, could be mistaken for one another's form.
RULES = (
    'r.sub.a == "x"',
    "r.sub.b == 'x'",
    'r.sub.a == "y"',
    """r.sub.c == 'it"s' && r.sub.d == 'it"s'""",
    """r.sub.c == ' == e' && r.sub.f == " == g" """,
    """r.sub.c == "a' == 'b" """,
    """r.sub.h == 'a" == "b' """,
    'r.sub.i == "" && r.sub.j == ""',
    'r.sub.i == "" && r.sub.k == ""',
    r'r.sub.l == "a\"" || r.sub.m == "\"b"',
    r'r.sub.l == "a\"" || r.sub.n == "\"b"',
    "r.sub.o1 == 1",
    "r.sub.o2 == 2",
    "r.sub.p > 1.5 && r.sub.q in (1, 2)",
    "r.sub.p > 2.5 && r.sub.q in (3, 4)",
)


def test_of_many_rules_each_is_known(tmp_path: Path) -> None:
    """Rules that differ in their texts only are looked at once; no other may pass for one."""
    alone: set[tuple[str, ...]] = set()
    for number, rule in enumerate(RULES):
        alone |= set(reads_of(ruled(tmp_path / str(number), rule).layers).subject)
    assert len(alone) == 16
    for which in (RULES, RULES[::-1]):
        read = reads_of(ruled(tmp_path / which[0][6:7], *which).layers)
        assert set(read.subject) == alone


def ruled(directory: Path, *rules: str) -> Snapshot:
    """A policy of these rules."""
    rows = [f"p, a{number}, {rule}" for number, rule in enumerate(rules)]
    return snapshot(directory, "eval(p.rule)", *rows)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{context.domain}", Reads(context=(("domain",),))),
        ("{context.a.b}", Reads(context=(("a", "b"),))),
        ("{subject.properties.tenant}", Reads(subject=(("tenant",),))),
        (
            "{subject.properties.tenant}/{context.unit}:{resource.properties.kind}",
            Reads(subject=(("tenant",),), resource=(("kind",),), context=(("unit",),)),
        ),
        ("{subject.type}:{subject.id}", Reads()),
        ("{context}", Reads(whole=True)),
    ],
)
def test_what_a_template_reads_is_known(tmp_path: Path, template: str, expected: Reads) -> None:
    request = f'[layers.request]\nx = "{template}"\n'
    policy = snapshot(tmp_path, "r.x == p.sub", tokens="sub, obj, act, x", request=request)
    assert reads_of(policy.layers) == expected


def test_claims_and_properties_are_recorded_as_they_were_read(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, 'r.sub.dep == "d" && r.obj.tags.x == 1 && r.act.soft && r.sub.no')
    claims = {"dep": "d", "other": "not read", "exp": 1}
    found = record(
        policy,
        identity=Identity("alice", method=Method.BEARER, claims=claims),
        resource=Entity("doc", "7", {"tags": {"x": 1, "y": 2}}),
        action=Action("GET", {"soft": True}),
    )
    assert found["attributes"] == {
        "subject": {"dep": "d"},
        "resource": {"tags": {"x": 1}},
        "action": {"soft": True},
    }
    assert found["resource_type"] == "doc"
    assert "not read" not in str(found)


def test_facts_are_recorded_where_they_are_read(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, 'r.context.host == "h" && r.context.ip == "::1"')
    context = {"host": "h", "ip": "192.0.2.1", "country": "CH", "user_agent": "x"}
    found = record(policy, context=context)
    assert (found["context"], found["ip"], found["country"]) == ({"host": "h"}, "192.0.2.1", "CH")


def test_a_time_that_was_stated_is_recorded(tmp_path: Path) -> None:
    policy = snapshot(
        tmp_path, "r.x == p.sub", tokens="sub, x", request='[layers.request]\nx = "{context}"\n'
    )
    found = record(policy, context={"time": Instant.at(0), "n": 1})
    assert found["context"] == {"time": "1970-01-01T00:00:00Z", "n": 1}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://u:p@app.test/a?token=x#y", "https://app.test/a"),
        ("/a?token=x", "/a"),
        ("/a#x", "/a"),
        ("what? no URL", "what? no URL"),
    ],
)
def test_no_query_string_is_recorded(tmp_path: Path, given: str, kept: str) -> None:
    policy = snapshot(tmp_path, 'r.context.referer == "x"')
    found = record(policy, context={"referer": given}, resource=Entity("doc", given))
    assert (found["context"], found["resource"]) == ({"referer": kept}, kept)


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "authorization", "Cookie", "api_key", "password", "client_secret"],
)
def test_what_is_called_a_credential_is_never_recorded(tmp_path: Path, name: str) -> None:
    policy = snapshot(
        tmp_path, f"r.context.{name} == p.sub && r.context.all.x == 1 && r.sub.{name}"
    )
    identity = Identity("alice", method=Method.BEARER, claims={name: "hidden"})
    found = record(
        policy, context={name: "hidden", "all": {"x": {name: "hidden"}}}, identity=identity
    )
    assert "hidden" not in str(found)
    expected = [f"attributes.subject.{name}", f"context.all.x.{name}", f"context.{name}"]
    assert sorted(found["masked"]) == sorted(expected)


def test_what_looks_like_a_token_is_left_out_wherever_it_stands(tmp_path: Path) -> None:
    jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    policy = snapshot(tmp_path, 'r.context.note == "x"')
    found = record(policy, context={"note": f"a {jwt} b"}, resource=Entity("resource", f"/r/{jwt}"))
    assert (found["context"], found["resource"]) == ({"note": "a [token] b"}, "/r/[token]")


def test_values_are_bounded_and_that_is_told(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, "r.sub.a == r.sub.b && r.sub.c == r.sub.d && r.sub.e == r.sub.f")
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"x": deep}
    claims = {
        "a": "x" * 5_000,
        "b": list(range(1_000)),
        "c": deep,
        "d": {str(n): n for n in range(1_000)},
        "e": 2**80,
        "f": "fits",
    }
    identity = Identity("alice", method=Method.BEARER, claims=claims)
    found = record(policy, identity=identity, resource=Entity("resource", "/" + "x" * 60_000))
    subject = found["attributes"]["subject"]
    assert (len(subject["a"]), len(subject["b"]), len(subject["d"])) == (1_024, 64, 64)
    assert subject["e"] == str(2**80)
    assert len(found["resource"]) == 8_192
    names = ["resource", *(f"attributes.subject.{name}" for name in "abcd")]
    assert sorted(found["shortened"]) == sorted(names)
    assert len(json.dumps(found)) < 30_000


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\u2028", "\x9b", "\ud800", "\x00"])
def test_no_value_breaks_a_line_or_moves_a_terminal(tmp_path: Path, text: str) -> None:
    policy = snapshot(tmp_path, 'r.context.x == "x"')
    found = record(policy, context={"x": text})
    assert found["context"]["x"] == ("?" if text == "\ud800" else text)


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        ("subject", ["subject"]),
        ("roles", ["roles"]),
        ("ip", ["ip"]),
        ("resource", ["resource"]),
        ("attributes.email", ["attributes.subject.email"]),
        ("attributes.subject.email", ["attributes.subject.email"]),
        ("attributes.resource.email", []),
        ("attributes", ["attributes.subject.email", "attributes.subject.home"]),
        ("attributes.subject", ["attributes.subject.email", "attributes.subject.home"]),
        ("attributes.home.city", ["attributes.subject.home.city"]),
        ("context", ["context.host"]),
        ("context.host", ["context.host"]),
    ],
)
def test_masked_values_are_named_and_gone(tmp_path: Path, mask: str, hidden: list[str]) -> None:
    matcher = 'r.sub.email == "x" && r.sub.home == "x" && r.context.host == "x"'
    values = {
        "subject": "u-alice",
        "roles": "u-role",
        "ip": "192.0.2.1",
        "resource": "/u-resource",
        "attributes.subject.email": "u-mail",
        "attributes.subject.home": "u-city",
        "attributes.subject.home.city": "u-city",
        "context.host": "u-host",
    }
    identity = Identity(
        "u-alice",
        method=Method.BEARER,
        claims={"email": "u-mail", "home": {"city": "u-city", "n": 1}},
        roles=("u-role",),
    )
    found = record(
        snapshot(tmp_path, matcher),
        identity=identity,
        context={"host": "u-host", "ip": "192.0.2.1"},
        resource=Entity("resource", "/u-resource"),
        mask=(mask,),
    )
    assert found.get("masked", []) == hidden
    for name, value in values.items():
        alone = value not in {values[other] for other in hidden}
        assert (value in json.dumps(found)) is alone, name


@pytest.mark.parametrize("name", ["subjct", "attributes.", "status", "context..x", "decision_id"])
def test_a_mask_of_nothing_is_a_problem(tmp_path: Path, name: str) -> None:
    snapshot(tmp_path, "r.sub == p.sub")
    settings = (tmp_path / "pdp.toml").read_text()
    (tmp_path / "pdp.toml").write_text(f'{settings}[decision_log]\nmask = ["ip", "{name}"]\n')
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["unknown-mask"]


def test_only_allows_tell_that_they_are_sampled(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, "r.sub == p.sub")
    assert record(policy, sampled=0.25)["sampled"] == 0.25
    assert "sampled" not in record(policy)
    bob = Identity("bob", method=Method.VOUCHED)
    assert "sampled" not in record(policy, identity=bob, sampled=0.25)


def test_whom_else_the_question_names_is_told(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, "r.sub == p.sub")
    who = Identity("alice", method=Method.BEARER)
    found = record(policy, identity=who, subject=Entity("user", "bob"))
    assert (found["reason"], found["named"]) == ("subject_mismatch", {"id": "bob", "type": "user"})
    assert "named" not in record(policy, identity=who, subject=Entity("user", "alice"))


@pytest.mark.parametrize(
    ("credentials", "token"),
    [
        (Credentials(), None),
        (Credentials(token="t" * 40), "t" * 40),
        (Credentials(authorization="bEaReR " + "t" * 40), "t" * 40),
        (Credentials(cookie="a=b; s=" + "t" * 40), "t" * 40),
        (Credentials(token="t" * 31), None),
        (Credentials(authorization="Basic " + "t" * 40), None),
        (Credentials(authorization="ApiKey " + "t" * 40), None),
        (Credentials(api_key="t" * 40), None),
        (Credentials(cookie="a=" + "t" * 40), None),
    ],
    ids=str,
)
def test_only_tokens_have_fingerprints(credentials: Credentials, token: str | None) -> None:
    found = fingerprint(None, credentials, "s")
    assert found == (token and hashlib.sha256(token.encode()).hexdigest()[:32])


def test_a_record_that_cannot_be_made_is_made_smaller(tmp_path: Path) -> None:
    policy = snapshot(tmp_path, "r.sub == p.sub")
    query = Query(Action("GET"), Entity("resource", "/a"))
    verdict = decide(query, Identity("bob", method=Method.VOUCHED), policy, NOW)
    entry = Entry("id", NOW, 0, verdict, "native", Asking(), query, policy)
    least = json.loads(Recorder((), 1.0).least(entry))
    assert (least["verdict"], least["shortened"]) == (Outcome.NOT_FOUND, ["record"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1.9999999, "1970-01-01T00:00:02.000000Z"),
        (NOW, "2026-01-15T12:00:00.250000Z"),
    ],
)
def test_timestamps_have_microseconds(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text


@pytest.mark.parametrize("mask", [(), ("context.a.b",)])
def test_all_members_of_a_record_are_bounded(tmp_path: Path, mask: tuple[str, ...]) -> None:
    """Its line is made where questions are answered."""
    whole = {f"k{n}": {f"m{m}": [[m] * 64] * 64 for m in range(64)} for n in range(64)}
    request = '[layers.request]\nx = "{context}"\n'
    policy = snapshot(tmp_path, "r.x == p.sub", tokens="sub, obj, act, x", request=request)
    found = record(
        policy, context={"first": [1, 2], **whole, "secrets": {"x_token": "t"}}, mask=mask
    )
    assert found["context"]["first"] == [1, 2]
    assert 900 < json.dumps(found["context"]).count(",") < 1_200
    assert found["shortened"]
