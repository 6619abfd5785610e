"""What `explain` says of refusals that are not the policy's rows alone."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    nobody,
)
from pdp.policy.snapshot import Snapshot
from pdp.runtime.explain import explain
from pdp.runtime.load import load

TOML = """\
[authentication]
[authentication.api_keys]
[[layers]]
name = "strength"
kind = "guard"
reason = "step_up_required"
model = "strength.conf"
policy = "strength.csv"
[[layers]]
name = "acl"
kind = "grant"
model = "acl.conf"
policy = "acl.csv"
"""
MODEL = """\
[request_definition]
r = sub, obj
[policy_definition]
p = {policy}
[policy_effect]
e = {effect}
[matchers]
m = {matcher}
"""
FILES = {
    "pdp.toml": TOML,
    "api-keys.csv": "# none\n",
    "strength.conf": MODEL.format(
        policy="obj, acr, eft",
        effect="!some(where (p.eft == deny))",
        matcher="r.obj == p.obj && r.sub.acr != p.acr",
    ),
    "strength.csv": "p, /pay, mfa, deny\n",
    "acl.conf": MODEL.format(
        policy="sub, obj",
        effect="some(where (p.eft == allow))",
        matcher="r.sub == p.sub && r.obj == p.obj",
    ),
    "acl.csv": "p, alice, /pay\np, anonymous, /open\n",
    "entities.json": '[{"type": "user", "id": "mallory", "properties": {"disabled": true}}]',
}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return load(tmp_path).snapshot


def step(snapshot: Snapshot, identity: Identity, number: int, resource: str = "/pay") -> str:
    query = Query(Action("GET"), Entity("resource", resource))
    return explain(query, identity, snapshot, 0.0).steps[number - 1].found


ALICE = Identity("alice", method=Method.BEARER, claims={"acr": "pwd"})


def test_a_stronger_login_is_wanted_of_whom_all_else_allows(snapshot: Snapshot) -> None:
    assert step(snapshot, ALICE, 6) == (
        "acl allows (acl.csv:1): granted; of whom that allows: strength denies (strength.csv:1)"
    )
    assert step(snapshot, ALICE, 7) == "a stronger or more recent login could help"
    strong = Identity("alice", method=Method.BEARER, claims={"acr": "mfa"})
    assert step(snapshot, strong, 6) == "acl allows (acl.csv:1): granted"


def test_of_whom_is_not_logged_in_a_stronger_login_is_wanted_too(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    (tmp_path / "acl.csv").write_text("p, anonymous, /pay\n")
    told = explain(
        Query(Action("GET"), Entity("resource", "/pay")), ANONYMOUS, load(tmp_path).snapshot, 0.0
    )
    assert (told.status, told.reason) == (401, Reason.CREDENTIALS_MISSING)
    assert [(step.found, step.verdict) for step in told.steps[5:]] == [
        (
            "acl allows (acl.csv:1): public; of whom that allows: strength denies (strength.csv:1)",
            None,
        ),
        ("nobody is logged in, and logging in could help", Outcome.UNAUTHENTICATED),
    ]


def test_what_takes_a_stronger_login_is_revealed_all_the_same(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    acl = FILES["acl.conf"].replace("= sub, obj", "= sub, obj, act")
    (tmp_path / "acl.conf").write_text(acl.rstrip() + " && r.act == p.act\n")
    (tmp_path / "acl.csv").write_text("p, alice, /pay, GET\n")
    (tmp_path / "pdp.toml").write_text(TOML + '[concealment]\nresources = ["/pay"]\n')
    asked = Query(Action("DELETE"), Entity("resource", "/pay"))
    told = explain(asked, ALICE, load(tmp_path).snapshot, 0.0)
    assert (told.status, told.reason) == (403, Reason.NOT_GRANTED)
    assert told.steps[6].found == (
        "concealed, but revealed by GET, which is granted; some grant rule covers it"
    )


@pytest.mark.parametrize("method", [Method.BEARER, Method.BASIC, Method.API_KEY, Method.VOUCHED])
def test_a_disabled_account_is_called_so(snapshot: Snapshot, method: Method) -> None:
    found = step(snapshot, Identity("mallory", method=method), 3)
    assert found == "`mallory` is refused: its account is disabled"


def test_a_session_of_a_disabled_account_counts_as_none(snapshot: Snapshot) -> None:
    query = Query(Action("GET"), Entity("resource", "/open"))
    mallory = Identity("mallory", method=Method.SESSION)
    told = explain(query, mallory, snapshot, 0.0)
    assert (told.verdict, told.reason) == (Outcome.ALLOW, Reason.PUBLIC)
    assert told.steps[2].found == "nobody: the cookie is refused: account_disabled"
    elsewhere = explain(Query(Action("GET"), Entity("resource", "/pay")), mallory, snapshot, 0.0)
    assert (elsewhere.status, elsewhere.reason) == (401, Reason.SESSION_INVALID)


def test_a_bad_session_says_what_was_wrong_with_it(snapshot: Snapshot) -> None:
    lapsed = nobody(Rejected(Reason.SESSION_INVALID, detail="token_expired"))
    assert step(snapshot, lapsed, 3) == "nobody: the cookie is refused: token_expired"
