"""The seven steps in words, and when there are near misses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdp.cli.case_file import Case, read_cases
from pdp.cli.cases import identity_of
from pdp.cli.question import understand
from pdp.model import (
    ANONYMOUS,
    Action,
    Entity,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rejected,
)
from pdp.pipeline import decide
from pdp.policy.snapshot import Snapshot
from pdp.runtime.explain import Explanation, Step, explain
from pdp.runtime.load import load

STARTER = Path(__file__).parents[2] / "policies"
LOADED = load(STARTER)
CASES = read_cases(STARTER)
NOW = CASES.now or 0.0


def bearer(name: str, *roles: str) -> Identity:
    return Identity(name, method=Method.BEARER, roles=roles)


def ask(
    action: str,
    resource: str,
    identity: Identity | Rejected,
    *,
    named: str | None = None,
    ip: str = "203.0.113.9",
    snapshot: Snapshot = LOADED.snapshot,
) -> Explanation:
    subject = None if named is None else Entity("user", named)
    query = Query(Action(action), Entity("resource", resource), {"ip": ip}, subject)
    return explain(query, identity, snapshot, NOW)


@pytest.mark.parametrize("case", CASES.cases, ids=lambda case: case.name)
def test_the_last_step_that_is_reached_decides_as_the_pipeline_does(case: Case) -> None:
    query = understand(case.question, LOADED, presented=case.token is not None)
    identity = identity_of(case, query, LOADED, NOW)
    verdict = decide(query, identity, LOADED.snapshot, NOW)
    found = explain(query, identity, LOADED.snapshot, NOW)
    reached = [step for step in found.steps if step.found != "not reached"]
    assert [step.number for step in found.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert reached == list(found.steps[: len(reached)])
    assert [step.verdict for step in found.steps if step.verdict] == [verdict.outcome]
    assert reached[-1].verdict is verdict.outcome
    assert (found.status, found.reason) == (verdict.status, verdict.reason)
    if found.near_misses:
        assert verdict.outcome in (Outcome.FORBIDDEN, Outcome.NOT_FOUND)


ALICE, CAROL = bearer("alice"), bearer("carol", "administrator")
GUARDS = "network allows, office allows (office.csv:9)"
SILENT = "acl does not allow, rbac does not allow, departments does not allow: not granted"


@pytest.mark.parametrize(
    ("asked", "number", "found", "verdict"),
    [
        ({}, 1, "GET /invoices/7", None),
        ({}, 2, GUARDS, None),
        (
            {"resource": "/reports/q3"},
            2,
            "network allows, office denies (office.csv:5)",
            Outcome.FORBIDDEN,
        ),
        ({}, 3, "alice (bearer)", None),
        ({"identity": ANONYMOUS}, 3, "nobody: anonymous", None),
        (
            {"identity": Rejected(Reason.TOKEN_EXPIRED)},
            3,
            "the credential is refused: token_expired",
            Outcome.UNAUTHENTICATED,
        ),
        (
            {"identity": bearer("member")},
            3,
            "`member` is refused: it is the name of a role",
            Outcome.UNAUTHENTICATED,
        ),
        ({}, 4, "nobody else is named", None),
        ({"named": "alice"}, 4, "nobody else is named", None),
        (
            {"named": "bob"},
            4,
            "bob is named, the credential is another's",
            Outcome.FORBIDDEN,
        ),
        ({}, 5, "none", None),
        (
            {},
            6,
            "acl does not allow, rbac allows (rbac.csv:12), departments does not allow: granted",
            Outcome.ALLOW,
        ),
        (
            {"resource": "/", "identity": ANONYMOUS},
            6,
            "acl does not allow, rbac allows (rbac.csv:7), departments does not allow: public",
            Outcome.ALLOW,
        ),
        (
            {"resource": "/"},
            6,
            (
                "acl does not allow, rbac does not allow, departments does not allow; for anybody:"
                " acl does not allow, rbac allows (rbac.csv:7), departments does not allow: public"
            ),
            Outcome.ALLOW,
        ),
        (
            {"identity": bearer("mallory", "member")},
            6,
            (
                "acl denies (acl.csv:10), rbac allows (rbac.csv:12), departments does not allow:"
                " explicitly denied"
            ),
            None,
        ),
        ({"action": "PUT"}, 6, SILENT, None),
        ({}, 7, "not reached", None),
        ({"action": "PUT"}, 7, "some grant rule covers it", Outcome.FORBIDDEN),
        ({"resource": "/x"}, 7, "no grant rule covers it", Outcome.NOT_FOUND),
        (
            {"resource": "/admin"},
            7,
            "concealed, and not revealed: GET is refused, too; some grant rule covers it",
            Outcome.NOT_FOUND,
        ),
        (
            {"resource": "/admin", "action": "DELETE", "identity": CAROL},
            7,
            "concealed, but revealed by GET, which is granted; some grant rule covers it",
            Outcome.FORBIDDEN,
        ),
        (
            {"identity": ANONYMOUS},
            7,
            "nobody is logged in, and logging in could help",
            Outcome.UNAUTHENTICATED,
        ),
    ],
)
def test_a_step_says_what_it_found(
    asked: dict[str, Any], number: int, found: str, verdict: Outcome | None
) -> None:
    told = ask(**{"action": "GET", "resource": "/invoices/7", "identity": ALICE, **asked})
    step = told.steps[number - 1]
    assert (step.number, step.found, step.verdict) == (number, found, verdict)


FIREWALL = """[request_definition]
r = {token}, ip
[policy_definition]
p = {token}, net, eft
[policy_effect]
e = priority(p.eft) || deny
[matchers]
m = r.{token} == p.{token} && r.ip == p.net
"""
ACL = """[request_definition]
r = sub, obj
[policy_definition]
p = sub, obj
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj
"""
LAYERS = """[concealment]
resources = ["/hidden"]
[[layers]]
name = "{token}s"
kind = "guard"
model = "guard.conf"
policy = "guard.csv"
[[layers]]
name = "acl"
kind = "grant"
model = "acl.conf"
policy = "acl.csv"
"""


def guarded(directory: Path, token: str, row: str) -> Snapshot:
    (directory / "pdp.toml").write_text(LAYERS.format(token=token))
    (directory / "guard.conf").write_text(FIREWALL.format(token=token))
    (directory / "guard.csv").write_text(row)
    (directory / "acl.conf").write_text(ACL)
    (directory / "acl.csv").write_text("p, alice, /hidden\np, alice, /a\n")
    return load(directory).snapshot


def test_a_guards_refusal_of_a_concealed_resource_waits(tmp_path: Path) -> None:
    snapshot = guarded(tmp_path, "obj", "p, /hidden, 192.0.2.1, allow\n")
    found = ask("GET", "/hidden", ALICE, snapshot=snapshot, ip="192.0.2.2")
    assert [step.found for step in found.steps[1:]] == [
        "objs does not allow; waits for step 7, because the resource is concealed",
        "alice (bearer)",
        "nobody else is named",
        "not asked: step 2 refuses",
        "not asked: a guard refuses",
        "concealed, and not revealed: GET is refused, too; some grant rule covers it",
    ]
    assert (found.status, found.layer) == (404, "objs")
    assert [miss.clause for miss in found.near_misses] == ["r.ip == p.net"]


def test_guards_that_depend_on_the_subject_come_fifth(tmp_path: Path) -> None:
    snapshot = guarded(tmp_path, "sub", "p, alice, 192.0.2.1, allow\n")
    found = ask("GET", "/a", ALICE, snapshot=snapshot, ip="192.0.2.2")
    assert [step.found for step in found.steps[1:]] == [
        "none",
        "alice (bearer)",
        "nobody else is named",
        "subs does not allow",
        "not asked: a guard refuses",
        "some grant rule covers it",
    ]
    assert found.steps[-1] == Step(7, "refusal", "some grant rule covers it", Outcome.FORBIDDEN)
    assert [(miss.layer, miss.rule.rule) for miss in found.near_misses] == [("subs", "guard.csv:1")]


# Near misses


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        ({"action": "DELETE"}, ["rbac.csv:12", "rbac.csv:15"]),
        ({"resource": "/admin"}, ["rbac.csv:18"]),
        ({"resource": "/invoice"}, ["rbac.csv:11", "rbac.csv:12"]),
        ({"resource": "/doc/x"}, ["rbac.csv:9"]),
        ({"resource": "/docs/x", "action": "POST"}, ["rbac.csv:9"]),
        ({"resource": "/reports/q3", "ip": "192.0.2.1"}, ["acl.csv:5", "departments.csv:4"]),
        ({"resource": "/reports/q3"}, ["office.csv:4"]),
        ({"ip": "198.51.100.1"}, []),
        ({"identity": bearer("mallory", "member")}, []),
        ({"identity": ANONYMOUS}, []),
        ({"identity": Rejected(Reason.TOKEN_INVALID)}, []),
        ({"named": "bob", "action": "DELETE"}, []),
        ({}, []),
    ],
    ids=str,
)
def test_near_misses_of_the_starter(asked: dict[str, Any], rules: list[str]) -> None:
    told = ask(**{"action": "GET", "resource": "/invoices/7", "identity": ALICE, **asked})
    assert [miss.rule.rule for miss in told.near_misses] == rules


def test_the_story_of_alice_who_wants_to_delete_an_invoice() -> None:
    told = ask("DELETE", "/invoices/7", ALICE)
    action, role = msgspec.json.decode(msgspec.json.encode(told.near_misses))
    assert action == {
        "layer": "rbac",
        "rule": {"rule": "rbac.csv:12", "text": "member, /invoices/:id, ^(GET|HEAD)$"},
        "clause": "regexMatch(r.act, p.act)",
        "unknown": False,
        "operands": [
            {"source": "r.act", "value": "DELETE", "known": True, "roles": None},
            {"source": "p.act", "value": "^(GET|HEAD)$", "known": True, "roles": None},
        ],
        "public": False,
    }
    assert (role["rule"]["rule"], role["clause"]) == ("rbac.csv:15", "g(r.sub, p.sub)")
    assert [(o["value"], o["roles"]) for o in role["operands"]] == [
        ("alice", ["member"]),
        ("accountant", None),
    ]
    granted = ask("DELETE", "/invoices/7", bearer("alice", "accountant"))
    assert (granted.status, granted.near_misses) == (200, ())
