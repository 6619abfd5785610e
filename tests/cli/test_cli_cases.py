"""`pdp test`: cases as data, their problems, and what it says of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import SECRET_ISSUER, STARTER, Ran, copy_starter, pdp, write_pair

from pdp.cli.cases import failing_cases
from pdp.runtime.load import load

GOOD = "- {subject: alice, action: GET, resource: /a, expect: {status: 200}}\n"
ROWS = "rows: 24 of 24 exercised\n"


def run(directory: Path, cases: str, *args: str, toml: str = "", **env: str) -> Ran:
    write_pair(directory, toml=toml)
    (directory / "cases.yaml").write_text(cases)
    return pdp("test", directory, *args, env=env)


def outcome(directory: Path, case: str, toml: str = "", top: str = "") -> str:
    """What comes out of one case that expects a 429, which never does."""
    found = run(directory, f"{top}cases:\n- {{{case}, expect: {{status: 429}}}}\n", toml=toml)
    assert found.code == 1, found.err
    line = found.out.splitlines()[0]
    return line.partition("got ")[2]


def test_the_starters_cases_all_hold() -> None:
    found = pdp("test", STARTER)
    assert (found.code, found.out, found.err) == (0, f"51 of 51 cases passed\n{ROWS}", "")
    listed = pdp("test", STARTER, "-v").out.splitlines()
    assert len(listed) == 53
    assert listed[0] == "pass cases.yaml:20 the front page is public: 200 public rbac.csv:7"


def test_a_rule_deleted_is_noticed(tmp_path: Path) -> None:
    directory = copy_starter(tmp_path)
    text = (directory / "rbac.csv").read_text().replace("g, alice, member", "# g, alice, member")
    (directory / "rbac.csv").write_text(text)
    found = pdp("test", directory)
    assert found.code == 1
    assert (
        "FAIL cases.yaml:115 and a single one: expected 200 granted rbac.csv:12, "
        "got 403 not_granted\n" in found.out
    )
    assert found.out.endswith("49 of 51 cases passed\nrows: 22 of 23 exercised\n")


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ("{status: 200}", True),
        ("{status: 200, reason: granted, rule: 'policy.csv:1'}", True),
        ("{status: 200, reason: public}", False),
        ("{status: 200, rule: 'policy.csv:2'}", False),
        ("{status: 403}", False),
    ],
)
def test_what_is_expected_must_come_out(tmp_path: Path, expect: str, passes: bool) -> None:
    case = f"- {{subject: alice, action: GET, resource: /a, expect: {expect}}}\n"
    found = run(tmp_path, case)
    assert found.code == (0 if passes else 1)
    assert ("cases[0]: expected" in found.out) is not passes


def test_json_tells_both_sides(tmp_path: Path) -> None:
    case = "- {name: one, subject: bob, action: GET, resource: /a, expect: {status: 200}}\n"
    found = run(tmp_path, GOOD + case, "--format", "json")
    assert found.code == 1
    assert (found.json["passed"], found.json["failed"]) == (1, 1)
    assert found.json["cases"][1] == {
        "name": "one",
        "line": 2,
        "passed": False,
        "expected": {"status": 200, "reason": None, "rule": None},
        "actual": {"status": 403, "reason": "not_granted", "rule": None, "detail": ""},
    }


def test_a_mapping_without_now_uses_the_clock(tmp_path: Path) -> None:
    assert run(tmp_path, "cases:\n" + GOOD).code == 0


CLOCK = """[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
request = { sub = "{subject.id}", obj = "{resource.id}", act = "{context.time.hour}" }
"""


@pytest.mark.parametrize(
    "now",
    [
        "2026-01-15T12:00:00Z",
        "2026-01-15T13:00:00+01:00",
        "2026-01-15 12:00:00",
        "'2026-01-15T12:00:00Z'",
        "1768478400",
        "'1768478400.5'",
    ],
)
def test_the_clock_is_what_the_file_says(tmp_path: Path, now: str) -> None:
    write_pair(tmp_path, toml=CLOCK)
    model = (tmp_path / "model.conf").read_text().replace("r.act == p.act", "r.act == 12")
    (tmp_path / "model.conf").write_text(model)
    (tmp_path / "cases.yaml").write_text(f"now: {now}\ncases:\n{GOOD}")
    assert pdp("test", tmp_path).out.startswith("1 of 1 cases passed\n")


def test_who_asks_is_vouched_for_or_nobody(tmp_path: Path) -> None:
    assert outcome(tmp_path, "subject: alice, action: GET, resource: /a") == (
        "200 granted policy.csv:1"
    )
    assert outcome(tmp_path, "action: GET, resource: /a") == "403 not_granted"
    typed = "subject: {type: user, id: alice, properties: {a: 1}}, action: GET, resource: /a"
    assert outcome(tmp_path, typed) == "200 granted policy.csv:1"


@pytest.mark.parametrize(
    ("token", "got"),
    [
        ("{sub: alice}", "200 granted policy.csv:1"),
        ("{sub: alice, iss: 'https://idp.test/', aud: [x, api]}", "200 granted policy.csv:1"),
        ("{sub: alice, iss: 'https://evil.test/'}", "401 issuer_unknown"),
        ("{sub: alice, iss: [1]}", "401 issuer_unknown"),
        ("{sub: alice, aud: other}", "401 audience_mismatch"),
        ("{sub: alice, exp: 1}", "401 token_expired"),
        ("{}", "401 token_invalid"),
    ],
)
def test_a_tokens_claims_are_judged(tmp_path: Path, token: str, got: str) -> None:
    case = f"token: {token}, action: GET, resource: /a"
    assert outcome(tmp_path, case, SECRET_ISSUER) == got


def test_a_subject_beside_a_token_must_be_its_own(tmp_path: Path) -> None:
    case = "token: {sub: alice}, subject: bob, action: GET, resource: /a"
    assert outcome(tmp_path, case, SECRET_ISSUER) == "403 subject_mismatch"


def test_a_question_that_no_surface_takes_is_a_400(tmp_path: Path) -> None:
    got = outcome(tmp_path, "subject: alice, action: GET, resource: /a//b")
    assert got == "400 request_invalid (resource: holds an empty segment)"
    case = "- {action: GET, resource: /a/../b, expect: {status: 400, reason: request_invalid}}\n"
    assert run(tmp_path, case).code == 0
    forged = "token: {sub: alice}, subject: {type: user, id: alice, properties: {a: 1}}"
    got = outcome(tmp_path, f"{forged}, action: GET, resource: /a", SECRET_ISSUER)
    assert got.startswith("400 request_invalid (subject.properties: ")


def test_exempt_targets_are_exempt_here_too(tmp_path: Path) -> None:
    case = "subject: alice, action: GET, resource: /a;b"
    toml = '[server]\nexempt_targets = ["/a;b"]\n'
    assert outcome(tmp_path, case).startswith("400 ")
    assert outcome(tmp_path, case, toml) == "404 resource_unknown"


def test_a_token_needs_an_issuer(tmp_path: Path) -> None:
    case = GOOD + "- {token: {sub: a}, action: GET, resource: /a, expect: {status: 200}}\n"
    found = run(tmp_path, case)
    assert found.code == 3
    assert "cases.yaml:2 no-issuer" in found.err


def test_a_secret_that_only_the_server_has_is_no_obstacle(tmp_path: Path) -> None:
    case = "- {token: {sub: alice}, action: GET, resource: /a, expect: {status: 200}}\n"
    found = run(tmp_path, case, toml=SECRET_ISSUER)
    assert found.code == 0
    assert "no-secret warning" in found.err


LAUGHS = "".join(f"- &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
LAUGHS = "- &a0 [x]\n" + LAUGHS

PROBLEMS = [
    ("", "cases.yaml no-cases"),
    ("[]", "cases.yaml no-cases"),
    ("text", "cases.yaml no-cases"),
    ("cases: {a: 1}", "cases.yaml no-cases"),
    ("now: 5", "cases.yaml no-cases"),
    ("? [1]\n: 2", "cases.yaml:1 bad-yaml"),
    ("a: [", "cases.yaml:1 bad-yaml"),
    ("- a: 1\n  a: 2", "cases.yaml:2 bad-yaml is not YAML: a key occurs twice"),
    (LAUGHS, "cases.yaml bad-yaml is not YAML: aliases write out to too much"),
    ("- a\n---\n- b", "cases.yaml:2 bad-yaml"),
    ("\x07", "cases.yaml bad-yaml"),
    ("!!int x", "cases.yaml bad-yaml"),
    ("[" * 700, "cases.yaml bad-yaml is not YAML: maximum recursion depth"),
    (f"now: yesterday\ncases:\n{GOOD}", "cases.yaml wrong-type `now` must be"),
    (f"now: true\ncases:\n{GOOD}", "cases.yaml wrong-type `now` must be"),
    (f"now: [1]\ncases:\n{GOOD}", "cases.yaml wrong-type `now` must be"),
    (f"now: -1\ncases:\n{GOOD}", "cases.yaml wrong-type `now` must be"),
    (f"now: .inf\ncases:\n{GOOD}", "cases.yaml wrong-type `now` must be"),
    (f"nwo: 1\ncases:\n{GOOD}", "cases.yaml unknown-key unknown key `nwo`"),
    (GOOD + "- 7", "cases.yaml:2 wrong-type `cases[1]` must be a table"),
    (GOOD + "- {a: .nan}", "cases.yaml:2 wrong-type `cases[1]` holds what JSON cannot say"),
    (GOOD + "- {a: !!binary aGk=}", "cases.yaml:2 wrong-type"),
    ("- &a [*a]", "cases.yaml:1 wrong-type"),
    ("\n- {action: GET}", "cases.yaml:2 missing-key `cases[0].resource` is required"),
    ("- {action: GET}", "cases.yaml:1 missing-key `cases[0].expect` is required"),
    (GOOD.replace("GET", "yes"), "cases.yaml:1 wrong-type `cases[0].action`"),
    (GOOD.replace("subject", "sbuject"), "help: did you mean `subject`?"),
    (GOOD.replace("alice", "[alice]"), "`cases[0].subject`"),
    (GOOD.replace("}}", "}, context: 5}"), "`cases[0].context`"),
    (GOOD.replace("}}", "}, token: 5}"), "`cases[0].token`"),
    (GOOD.replace("}}", "}, name: 5}"), "`cases[0].name`"),
    (GOOD.replace("200", "201"), "`cases[0].expect.status`"),
    (GOOD.replace("200", "'200'"), "`cases[0].expect.status`"),
    (GOOD.replace("200", "200, reason: nice"), "`cases[0].expect.reason`"),
    (GOOD.replace("200", "200, rule: 7"), "`cases[0].expect.rule`"),
    (GOOD.replace("200", "200, resaon: x"), "unknown key `cases[0].expect.resaon`"),
]


@pytest.mark.parametrize(("text", "told"), PROBLEMS)
def test_what_is_no_case_is_a_problem(tmp_path: Path, text: str, told: str) -> None:
    found = run(tmp_path, text)
    assert found.code == 3
    assert told in found.err


def test_cases_may_share_their_parts(tmp_path: Path) -> None:
    base = "- &base {subject: alice, action: GET, resource: /a, expect: &yes {status: 200}}\n"
    more = "- &more {<<: *base, action: POST, expect: {status: 403}}\n- {<<: *more, name: x}\n"
    assert run(tmp_path, base + more).out.startswith("3 of 3 cases passed\n")


def test_bytes_that_are_not_utf_8_are_a_problem(tmp_path: Path) -> None:
    write_pair(tmp_path)
    (tmp_path / "cases.yaml").write_bytes(b"- \xff")
    found = pdp("test", tmp_path)
    assert (found.code, "bad-yaml" in found.err) == (3, True)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = run(tmp_path, "now: x\nnwo: 1\ncases:\n- {a: 1}\n- 7\n")
    assert [line.split()[0] for line in found.err.splitlines() if line.startswith("cases")] == [
        "cases.yaml",
        "cases.yaml",
        *["cases.yaml:4"] * 4,
        "cases.yaml:5",
    ]


def test_without_cases_there_is_nothing_to_test(tmp_path: Path) -> None:
    found = pdp("test", write_pair(tmp_path))
    assert found.code == 3
    assert "cases.yaml does not exist" in found.err
    (tmp_path / "cases.yaml").mkdir()
    assert "missing-file" in pdp("test", tmp_path).err


def test_a_policy_that_cannot_be_loaded_is_3(tmp_path: Path) -> None:
    found = run(tmp_path, GOOD, toml="x = 1\n")
    assert found.code == 3
    assert "unknown-key" in found.err


FAILED = "cases.yaml:1 case-failed `cases[0]`: expected 200, got 404 resource_unknown"
GATE = [
    # cases.yaml, server.activate, what keeps the policy from going live
    (None, "cases", []),
    (GOOD, "cases", []),
    (GOOD.replace("/a", "/b"), "cases", [FAILED]),
    (f"now: 5\ncases:\n{GOOD}", "cases", []),
    (GOOD.replace("/a", "/b"), "checked", []),
    ("[]", "cases", ["cases.yaml no-cases has no cases"]),
]


@pytest.mark.parametrize(("cases", "activate", "told"), GATE)
def test_a_case_that_fails_keeps_a_policy_from_going_live(
    tmp_path: Path, cases: str | None, activate: str, told: list[str]
) -> None:
    write_pair(tmp_path, toml=f'[server]\nactivate = "{activate}"\n')
    if cases is not None:
        (tmp_path / "cases.yaml").write_text(cases)
    assert [str(problem) for problem in failing_cases(load(tmp_path))] == told


INTROSPECTED = """\
[[authentication.issuers]]
issuer = "https://idp.example.com/"
introspection_url = "https://idp.example.com/introspect"
client_id = "pdp"
client_secret_env = "PDP_TEST_CLIENT_SECRET"
"""


def test_a_case_can_have_the_claims_of_an_opaque_token(tmp_path: Path) -> None:
    case = "- {token: {sub: alice}, action: GET, resource: /a, expect: {status: 200}}\n"
    found = run(tmp_path, case, toml=INTROSPECTED)
    assert (found.code, found.out.splitlines()[-2]) == (0, "1 of 1 cases passed"), found
