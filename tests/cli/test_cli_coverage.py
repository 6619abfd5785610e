"""`pdp test`: which policy rows the cases exercise, and results as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cli_runs import SECRET_ISSUER, STARTER, Ran, pdp, write_pair

ALICE = "subject: alice, action: GET, resource: /a"
TWO = "p, alice, /a, GET\n# not a row\np, bob, /b, GET\n"
RBAC = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && (keyMatch2(r.obj, p.obj) || g2(r.obj, p.obj)) && r.act == p.act
"""
GUARD = """[request_definition]
r = ip
[policy_definition]
p = net, eft
[policy_effect]
e = !some(where (p.eft == deny))
[matchers]
m = ipMatch(r.ip, p.net)
"""
SUBJECTS = GUARD.replace("r = ip", "r = sub").replace("ipMatch(r.ip, p.net)", "r.sub == p.net")
ORDER = RBAC.replace(
    "some(where (p.eft == allow)) && !some(where (p.eft == deny))", "priority(p.eft) || deny"
)
LATE = RBAC.replace("p.act\n", "p.act and r.sub.rank > 3\n")
EITHER = RBAC.replace("g(r.sub, p.sub)", '(g(r.sub, "root") || g(r.sub, p.sub))')
CONSTANT = RBAC.replace("g(r.sub, p.sub)", 'g(r.sub, "staff")')
ONE = """[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
"""
ANOTHER = """[[layers]]
name = "guard"
kind = "guard"
model = "guard.conf"
policy = "guard.csv"
"""
LAYERS = ANOTHER + ONE
HIDDEN = '[concealment]\nresources = ["/h"]\nreveal_action = "SEE"\n'


def case(asked: str, status: int = 200) -> str:
    return f"- {{{asked}, expect: {{status: {status}}}}}\n"


def write(directory: Path, cases: str, **files: str) -> Path:
    """A directory of files by their names, with `_` for the dot."""
    directory.mkdir(exist_ok=True)
    for name, text in {**files, "cases_yaml": cases}.items():
        (directory / name.replace("_", ".")).write_text(text)
    return directory


def unexercised(directory: Path) -> list[str]:
    found = pdp("test", directory, "--format", "json")
    assert found.code == 0, found.out
    rows = found.json["coverage"]
    assert rows["rows"] - rows["exercised"] == len(rows["unexercised"])
    return [f"{row['file']}:{row['line']}" for row in rows["unexercised"]]


def two(directory: Path, *args: str, cases: str = case(ALICE)) -> Ran:
    write_pair(directory, TWO)
    (directory / "cases.yaml").write_text(cases)
    return pdp("test", directory, *args)


def test_the_starters_rows_are_all_exercised() -> None:
    found = pdp("test", STARTER, "--coverage", "--fail-under", "100")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[1:] == ["rows: 24 of 24 exercised"]


@pytest.mark.parametrize("flag", ["-v", "--coverage"])
def test_a_row_that_no_case_exercises_is_listed_on_demand(tmp_path: Path, flag: str) -> None:
    assert two(tmp_path).out == "1 of 1 cases passed\nrows: 1 of 2 exercised\n"
    assert "no case policy.csv:3 p, bob, /b, GET\n" in two(tmp_path, flag).out


def test_json_tells_the_coverage(tmp_path: Path) -> None:
    assert two(tmp_path, "--format", "json").json["coverage"] == {
        "rows": 2,
        "exercised": 1,
        "unexercised": [{"file": "policy.csv", "line": 3, "text": "p, bob, /b, GET"}],
    }


@pytest.mark.parametrize(
    ("percent", "code"), [("0", 0), ("49.9", 0), ("50", 0), ("50.1", 1), ("100", 1)]
)
def test_too_little_coverage_fails(tmp_path: Path, percent: str, code: int) -> None:
    found = two(tmp_path, "--fail-under", percent)
    assert found.code == code
    told = f"error: fewer than {percent} % of the policy rows are exercised\n"
    assert found.err == (told if code else "")


@pytest.mark.parametrize("percent", ["-1", "100.5", "nan", "inf", "-inf", "all", ""])
def test_what_is_no_percentage_is_wrong_usage(tmp_path: Path, percent: str) -> None:
    found = two(tmp_path, f"--fail-under={percent}")
    assert (found.code, found.out) == (2, "")
    assert "--fail-under" in found.err


def test_of_no_rows_all_are_exercised(tmp_path: Path) -> None:
    write_pair(tmp_path, "# none\n")
    (tmp_path / "cases.yaml").write_text(case(ALICE, 404))
    found = pdp("test", tmp_path, "--fail-under", "100")
    assert (found.code, found.out.splitlines()[1]) == (0, "rows: 0 of 0 exercised")


STAFF = "p, staff, /a, GET, allow\ng, alice, staff\ng, bob, staff\n"
LONG = "p, c, /a, GET, allow\ng, alice, b\ng, b, c\ng, c, d\ng, alice, x\ng, x, c\n"
THINGS = "p, alice, things, GET, allow\ng2, /a, things\ng2, /b, things\n"
PAIR = [
    # what, model, policy, cases, the lines that are not exercised
    ("a role row that was needed", RBAC, STAFF, case(ALICE), [3]),
    ("the shortest way, not what it does not need", RBAC, LONG, case(ALICE), [4, 5, 6]),
    ("a role that no rule asked for", RBAC, STAFF, case(f"{ALICE}2", 404), [1, 2, 3]),
    ("a role of a resource", RBAC, THINGS, case(ALICE), [3]),
    ("a role that was asked for in vain", EITHER, STAFF + "g, bob, root\n", case(ALICE), [3, 4]),
    ("a role that the matcher names", CONSTANT, STAFF, case(ALICE), [3]),
    (
        "what anonymous may, everybody may",
        RBAC,
        "p, anonymous, /a, GET, allow\np, bob, /a, GET, allow\n",
        case(ALICE),
        [2],
    ),
    (
        "a rule that matches need not decide",
        ORDER,
        "p, alice, /a, GET, allow\np, alice, /:x, GET, allow\np, alice, /:x, PUT, deny\n",
        case(ALICE),
        [3],
    ),
    (
        "what is unknown counts where it denies",
        LATE,
        "p, alice, /a, GET, allow\np, alice, /a, GET, deny\n",
        case(ALICE, 403),
        [1],
    ),
    (
        "a question that no surface takes",
        RBAC,
        "p, alice, /a, GET, allow\n",
        case(f"{ALICE}//b", 400),
        [1],
    ),
    (
        "of two equal role rows only the first counts",
        RBAC,
        "p, staff, /a, GET, allow\ng, alice, staff\ng, alice, staff\n",
        case(ALICE),
        [3],
    ),
]


@pytest.mark.parametrize(
    ("model", "policy", "cases", "lines"), [row[1:] for row in PAIR], ids=[row[0] for row in PAIR]
)
def test_what_is_exercised(
    tmp_path: Path, model: str, policy: str, cases: str, lines: list[int]
) -> None:
    directory = write(tmp_path, cases, model_conf=model, policy_csv=policy)
    assert unexercised(directory) == [f"policy.csv:{line}" for line in lines]


BAD_IP, GOOD_IP = "context: {ip: 192.0.2.9}", "context: {ip: 198.51.100.9}"
NETWORKS = "p, 192.0.2.0/24, deny\np, 203.0.113.0/24, deny\n"
GUARDED = [
    ("who is refused by a guard asks no grant", GUARD, NETWORKS, f"{ALICE}, {BAD_IP}", 403, "2 p"),
    ("who passes, does", GUARD, NETWORKS, f"{ALICE}, {GOOD_IP}", 200, "1 2"),
    ("a guard about the subject, too", SUBJECTS, "p, alice, deny\n", ALICE, 403, "p"),
    ("with no address a deny is unknown", GUARD, NETWORKS, ALICE, 403, "p"),
]


@pytest.mark.parametrize(
    ("model", "policy", "asked", "status", "missing"),
    [row[1:] for row in GUARDED],
    ids=[row[0] for row in GUARDED],
)
def test_layers_that_are_not_asked_are_not_exercised(
    tmp_path: Path, model: str, policy: str, asked: str, status: int, missing: str
) -> None:
    grant = {"model_conf": RBAC, "policy_csv": "p, alice, /a, GET, allow\n"}
    guard = {"guard_conf": model, "guard_csv": policy, "pdp_toml": LAYERS}
    directory = write(tmp_path, case(asked, status), **grant, **guard)
    places = {"1": "guard.csv:1", "2": "guard.csv:2", "p": "policy.csv:1"}
    assert unexercised(directory) == [places[name] for name in missing.split()]


@pytest.mark.parametrize(("page", "missing"), [("/h", []), ("/o", ["policy.csv:1"])])
def test_the_revealing_action_counts_only_where_something_is_hidden(
    tmp_path: Path, page: str, missing: list[str]
) -> None:
    policy = f"p, alice, {page}, SEE, allow\n"
    cases = case(f"subject: alice, action: GET, resource: {page}", 403)
    toml = ONE + HIDDEN
    directory = write(tmp_path, cases, model_conf=RBAC, policy_csv=policy, pdp_toml=toml)
    assert unexercised(directory) == missing


def test_a_role_from_the_token_exercises_no_role_row(tmp_path: Path) -> None:
    toml = SECRET_ISSUER.replace(
        "[[layers]]", 'roles_claim = "roles"\nroles = ["staff"]\n[[layers]]'
    )
    cases = case("token: {sub: carl, roles: [staff]}, action: GET, resource: /a")
    refused = case("token: {sub: alice, exp: 1}, action: GET, resource: /a", 401)
    directory = write(tmp_path, cases + refused, model_conf=RBAC, policy_csv=STAFF, pdp_toml=toml)
    assert unexercised(directory) == ["policy.csv:2", "policy.csv:3"]


def test_a_row_that_no_layer_judges_is_never_exercised(tmp_path: Path) -> None:
    model = RBAC.replace("[role_definition]", "p2 = sub\n[role_definition]")
    policy = "p, alice, /a, GET, allow\np2, alice\n"
    directory = write(tmp_path, case(ALICE), model_conf=model, policy_csv=policy)
    assert unexercised(directory) == ["policy.csv:2"]


def test_junit_holds_every_case(tmp_path: Path) -> None:
    names = '- {name: "a<b \\a", subject: bob, action: GET, resource: /a, expect: {status: 200}}\n'
    file = tmp_path / "out.xml"
    found = two(tmp_path, "--junit", str(file), cases=case(ALICE) + names)
    assert found.code == 1
    suite = ET.parse(file).getroot().find("testsuite")  # noqa: S314 - we wrote it
    assert suite is not None
    assert {**suite.attrib, "time": ""} == {
        "name": "cases.yaml",
        "tests": "2",
        "failures": "1",
        "errors": "0",
        "time": "",
    }
    good, bad = suite.findall("testcase")
    assert (good.get("name"), good.get("line"), good.find("failure")) == ("cases[0]", "1", None)
    assert (bad.get("name"), bad.get("line"), bad.get("file")) == ("a<b \\x07", "2", "cases.yaml")
    assert float(suite.get("time", "")) >= float(bad.get("time", "")) > 0
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "expected 200, got 403 not_granted"
    assert failure.text == "expected: 200\nactual:   403 not_granted\n"


def test_junit_goes_beside_json(tmp_path: Path) -> None:
    file = tmp_path / "out.xml"
    assert two(tmp_path, "--junit", str(file), "--format", "json").json["passed"] == 1
    assert file.read_bytes().startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites>")


def test_junit_that_cannot_be_written_is_3(tmp_path: Path) -> None:
    found = two(tmp_path, "--junit", str(tmp_path / "no" / "out.xml"))
    assert found.code == 3
    assert "no such file or directory" in found.err
