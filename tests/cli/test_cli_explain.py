"""`pdp explain`, and the explanation that the admin listener shares."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_runs import ROOT, STARTER, Ran, pdp, write_pair
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from pdp.cli.case_file import read_cases
from pdp.cli.cases import identity_of
from pdp.cli.minting import fresh_key, pem_pair, sign
from pdp.cli.question import understand
from pdp.identity.issuer import IssuerSettings
from pdp.model import Action, Entity, Identity, Method, Query, Reason, Rejected
from pdp.runtime.explain import explain
from pdp.runtime.load import load

ADDRESS = "203.0.113.9"
NOW = 1_768_478_400.0


def ask(*args: object, action: str = "GET", resource: str = "/invoices/7", **more: Any) -> Ran:
    asked = ("--action", action, "--resource", resource, "--ip", more.pop("ip", ADDRESS))
    return pdp("explain", STARTER, *asked, *args, **more)


def told(*args: object, **more: Any) -> Any:
    found = ask(*args, "--format", "json", **more)
    assert found.code == 0, found.err
    return found.json


def test_the_verdict_with_rule_roles_and_every_layer() -> None:
    out = ask("--subject", "bob", action="DELETE").out.splitlines()
    assert out[0] == "200 allow  granted"
    assert "  question    DELETE /invoices/7" in out
    assert "  subject     bob (vouched), roles: accountant, member" in out
    rule = "rbac.csv:15  accountant, /invoices/:id, ^(PUT|PATCH|DELETE)$"
    assert f"  decided by  rbac: {rule}" in out
    path = "rbac: bob → accountant (rbac.csv:27) → member (rbac.csv:22)"
    assert "  roles       rbac: bob → accountant (rbac.csv:27)" in out
    assert f"              {path}" in out
    assert "  layers      guard  network      allow" in out
    assert f"              grant  rbac         allow  {rule}" in out
    assert "  resource    not concealed; covered by grant rules:" in out


def test_json_has_the_same() -> None:
    found = told("--subject", "alice", action="DELETE")
    assert found["verdict"] == "forbidden"
    assert (found["status"], found["reason"], found["rule"]) == (403, "not_granted", None)
    assert found["subject"] == {
        "id": "alice",
        "type": "user",
        "method": "vouched",
        "roles": ["member"],
    }
    step = {"member": "alice", "role": "member", "rule": "rbac.csv:26"}
    path = {"layer": "rbac", "role": "member", "domain": "", "steps": [step]}
    assert found["role_paths"] == [path]
    assert [layer["layer"] for layer in found["layers"]] == [
        "network",
        "office",
        "acl",
        "rbac",
        "departments",
    ]
    assert {rule["rule"] for rule in found["covered_by"]} >= {"rbac.csv:12", "rbac.csv:15"}
    assert (found["covered"], found["concealed"]) == (True, False)
    assert found["policy_revision"].startswith("sha256:")


@pytest.mark.parametrize(
    ("args", "first"),
    [
        ({"resource": "/"}, "200 allow  public"),
        ({}, "401 unauthenticated  credentials_missing"),
        ({"ip": "198.51.100.1"}, "403 forbidden  guard_denied"),
    ],
)
def test_nobody_may_ask_too(args: dict[str, str], first: str) -> None:
    found = ask(**args)
    assert (found.code, found.out.splitlines()[0]) == (0, first)
    assert "anonymous (not logged in), roles: none" in found.out


def test_what_is_public_is_told_apart() -> None:
    out = ask("--subject", "erin", resource="/docs/x").out
    assert out.startswith("200 allow  public")
    assert "  anybody     grant  rbac         allow  rbac.csv:9" in out


def test_concealed_and_unknown_resources() -> None:
    hidden = ask("--subject", "alice", resource="/admin").out
    assert hidden.startswith("404 not_found  concealed")
    assert "concealed: a refusal must not reveal it" in hidden
    unknown = ask("--subject", "alice", resource="/nope").out
    assert unknown.startswith("404 not_found  resource_unknown")
    assert "covered by no grant rule" in unknown


def test_a_layer_that_decides_without_a_rule() -> None:
    out = ask("--subject", "alice", ip="::", resource="other").out
    assert "  decided by  office, where no rule allows it" in out


def test_context_and_time_can_be_given(tmp_path: Path) -> None:
    directory = write_pair(tmp_path)
    model = (directory / "model.conf").read_text()
    model = model.replace("r.act == p.act", "r.context.n == 7 && r.context.time.year == 2026")
    (directory / "model.conf").write_text(model)
    args = ["explain", directory, "--subject", "alice", "--action", "GET", "--resource", "/a"]
    given = ["--context", '{"n": 7}', "--now"]
    assert pdp(*args, *given, "2026-01-01T00:00:00Z").out.startswith("200 ")
    assert pdp(*args, *given, "1000000000").out.startswith("403 ")
    assert pdp(*args).out.startswith("403 ")


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--context", "[]"], "--context: must be an object"),
        (["--context", "{"], "--context: not JSON"),
        (["--now", "soon"], "--now: must be"),
        (["--token-file", "/nowhere"], "--token-file: cannot read `/nowhere`: no such file"),
        (["--ip", "300.1.1.1"], "context.ip"),
        (["--subject", ""], "subject: is empty"),
        (["--subject", "\udcff"], "lone surrogate"),
    ],
)
def test_bad_questions_are_2(args: list[str], problem: str) -> None:
    found = ask(*args)
    assert found.code == 2
    assert problem in found.err


def test_a_resource_with_two_readings_is_2() -> None:
    found = ask(resource="/a/../b")
    assert (found.code, "would answer 400" in found.err) == (2, True)


# Tokens


KEY = fresh_key()
ISSUER = IssuerSettings(issuer="https://idp.test/", audiences=("api",), algorithms=("EdDSA",))
TOML = """[[authentication.issuers]]
issuer = "https://idp.test/"
audiences = ["api"]
algorithms = ["EdDSA"]
{keys}
roles_claim = "roles"
roles = ["reader"]
[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
"""


def token(kid: str | None = None, **claims: Any) -> str:
    given = {"iss": "https://idp.test/", "aud": "api", "sub": "alice", "exp": NOW + 60, **claims}
    return sign(KEY, given, ISSUER, kid)


def verified(directory: Path, stdin: str, *args: object) -> Ran:
    asked = ("--action", "GET", "--resource", "/a", "--token-file", "-", "--now", NOW)
    return pdp("explain", directory, *asked, *args, stdin=stdin)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "public.pem").write_bytes(pem_pair(KEY)[1])
    policy = "p, alice, /a, GET\n"
    return write_pair(tmp_path, policy, TOML.format(keys='public_key_file = "public.pem"'))


def test_a_token_is_verified(directory: Path, tmp_path: Path) -> None:
    found = verified(directory, token() + "\n")
    assert found.out.startswith("200 allow  granted")
    assert "subject     alice (bearer)" in found.out
    (tmp_path / "token").write_text(token())
    asked = ("--action", "GET", "--resource", "/a", "--token-file", tmp_path / "token")
    assert pdp("explain", directory, *asked, "--now", NOW).out == found.out


def test_a_refused_token_says_nobody(directory: Path) -> None:
    found = verified(directory, token(exp=1))
    assert found.code == 0
    assert found.out.startswith("401 unauthenticated  token_expired")
    assert "subject     nobody: the credential was refused" in found.out
    assert "layers" not in found.out
    assert verified(directory, "rubbish").out.startswith("401 unauthenticated  token_invalid")


def test_a_name_that_is_a_roles_is_refused(directory: Path) -> None:
    found = verified(directory, token(sub="reader"))
    assert found.out.startswith("401 unauthenticated  token_invalid")
    assert "subject     nobody" in found.out


def test_another_subject_than_the_tokens(directory: Path) -> None:
    found = verified(directory, token(), "--subject", "bob")
    assert found.out.startswith("403 forbidden  subject_mismatch")


def test_a_token_that_is_no_text(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff")
    asked = ("--action", "GET", "--resource", "/a", "--token-file", tmp_path / "token")
    found = pdp("explain", directory, *asked)
    assert (found.code, "it is not text" in found.err) == (2, True)


def test_a_token_without_an_issuer_is_2(tmp_path: Path) -> None:
    found = verified(write_pair(tmp_path), "x")
    assert (found.code, "no issuer is configured" in found.err) == (2, True)


@pytest.fixture
def published() -> Iterator[str]:
    """The URL of a key set that holds KEY."""
    private = KEY.private
    assert isinstance(private, Ed25519PrivateKey)
    jwk = {**OKPAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "k1"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": [jwk]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_published_keys_are_fetched(tmp_path: Path, published: str) -> None:
    directory = write_pair(tmp_path, toml=TOML.format(keys=f'jwks_url = "{published}"'))
    assert verified(directory, token("k1")).out.startswith("200 allow  granted")


def test_keys_that_cannot_be_fetched_are_3(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, toml=TOML.format(keys='jwks_url = "http://127.0.0.1:1/"'))
    found = verified(directory, token("k1"))
    assert found.code == 3
    assert "the keys of `https://idp.test/` were never loaded" in found.err


# The function


MODEL_WITH_DOMAINS = """[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, dom, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act
"""


def test_roles_of_a_domain_and_of_the_credential(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, "p, admin, acme, /a, GET\ng, staff, admin, acme\n")
    (directory / "model.conf").write_text(MODEL_WITH_DOMAINS)
    snapshot = load(directory).snapshot
    query = Query(Action("GET"), Entity("resource", "/a"), {"domain": "acme"})
    asker = Identity("zoe", method=Method.BEARER, roles=("staff",), domain="acme")
    found = explain(query, asker, snapshot, NOW)
    assert found.status == 200
    path = next(path for path in found.role_paths if path.role == "admin")
    assert path.domain == "acme"
    steps = [(s.member, s.role, s.rule) for s in path.steps]
    assert steps == [("zoe", "staff", None), ("staff", "admin", "policy.csv:2")]
    nowhere = Query(Action("GET"), Entity("resource", "/a"))
    assert explain(nowhere, asker, snapshot, NOW).role_paths == ()


def test_domains_and_assertions_are_shown(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, "p, admin, acme, /a, GET\ng, alice, admin, acme\n")
    (directory / "model.conf").write_text(MODEL_WITH_DOMAINS)
    asked = ("--subject", "alice", "--action", "GET", "--resource", "/a")
    found = pdp("explain", directory, *asked, "--context", '{"domain": "acme"}')
    assert "policy in acme: alice → admin (policy.csv:2)" in found.out
    shown = told("--subject", "carol", "--token-file", "-", stdin="x", resource="/")
    assert shown["subject"] is None


def test_a_matcher_without_rows_has_a_rule_without_text(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, "# nothing\n")
    model = (directory / "model.conf").read_text().partition("m = ")[0] + 'm = r.sub == "root"\n'
    (directory / "model.conf").write_text(model)
    snapshot = load(directory).snapshot
    query = Query(Action("GET"), Entity("resource", "/a"))
    found = explain(query, Identity("root", method=Method.VOUCHED), snapshot, NOW)
    assert found.rule is not None
    assert (found.rule.rule, found.rule.text) == ("model.conf:8", "")


def test_only_so_many_rules_are_listed(tmp_path: Path) -> None:
    rows = "".join(f"p, user{n}, /a, GET\n" for n in range(50))
    snapshot = load(write_pair(tmp_path, rows)).snapshot
    query = Query(Action("GET"), Entity("resource", "/a"))
    found = explain(query, Rejected(Reason.TOKEN_INVALID), snapshot, NOW)
    assert len(found.covered_by) == 20


def test_a_verdict_is_the_pipelines(tmp_path: Path) -> None:
    """Every case of the starter, explained, has the status that it must have."""
    loaded, file = load(STARTER), read_cases(STARTER)
    for case in file.cases:
        query = understand(case.question, loaded, presented=case.token is not None)
        identity = identity_of(case, query, loaded, NOW)
        assert explain(query, identity, loaded.snapshot, NOW).status == case.expect.status


def test_steps_and_near_misses_are_readable() -> None:
    out = ask("--subject", "alice", action="DELETE").out.splitlines()
    assert "  steps       1 question: DELETE /invoices/7" in out
    assert "              7 refusal: some grant rule covers it → forbidden" in out
    at = out.index("  near misses rbac.csv:12  member, /invoices/:id, ^(GET|HEAD)$")
    assert out[at + 1 : at + 4] == [
        "                regexMatch(r.act, p.act) fails: `DELETE` against `^(GET|HEAD)$`",
        "              rbac.csv:15  accountant, /invoices/:id, ^(PUT|PATCH|DELETE)$",
        "                g(r.sub, p.sub) fails: `alice` (roles: member) against `accountant`",
    ]
    erin = ask("--subject", "erin").out
    assert "g(r.sub, p.sub) fails: `erin` (roles: none) against `member`" in erin
    unknown = ask("--subject", "dave", resource="/reports/q3", ip="192.0.2.14").out
    clause = "r.sub.department == p.department"
    assert f"{clause} is not known: r.sub.department (no value) against `finance`" in unknown
    public = ask("--subject", "erin", action="PUT", resource="/").out
    assert "regexMatch(r.act, p.act) fails, for anybody: `PUT` against" in public


def test_json_has_steps_and_near_misses() -> None:
    found = told("--subject", "alice", action="DELETE")
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7]
    assert found["steps"][-1]["verdict"] == "forbidden"
    assert [miss["rule"]["rule"] for miss in found["near_misses"]] == ["rbac.csv:12", "rbac.csv:15"]
    assert "recorded" not in found


DOCS = (ROOT / "docs" / "explain.md").read_text()
CONSOLE = re.compile(r"```console\n\$ pdp (.*)\n((?:.*\n)*?)```")


@pytest.mark.parametrize(("line", "shown"), CONSOLE.findall(DOCS))
def test_the_documented_commands_print_what_is_documented(
    line: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(STARTER, tmp_path / "policies")
    (tmp_path / "pdp.log").write_text(DOCS.split("```json\n")[1].split("```")[0])
    monkeypatch.chdir(tmp_path)
    found = pdp(*line.split())
    assert found.code == 0
    assert found.out.startswith(shown)
