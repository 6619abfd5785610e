"""`pdp check` and the forms of its problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_runs import SECRET_ISSUER, STARTER, copy_starter, pdp, write_pair

from pdp.cli.problems import annotation, known_codes, sarif
from pdp.cli.terminal import printable
from pdp.errors import Problem, Severity


def test_the_starter_has_no_problems() -> None:
    found = pdp("check", STARTER, "--strict")
    assert (found.code, found.out) == (0, "no problems: 5 layers, 20 rules\n")


def test_one_is_singular(tmp_path: Path) -> None:
    assert pdp("check", write_pair(tmp_path)).out == "no problems: 1 layer, 1 rule\n"


def test_every_problem_of_every_file_is_shown(tmp_path: Path) -> None:
    directory = copy_starter(tmp_path)
    (directory / "acl.csv").write_text("p, erin, /reports/*\n")
    model = (directory / "rbac.conf").read_text().replace("keyMatch2", "keyMatch22")
    (directory / "rbac.conf").write_text(model)
    found = pdp("check", directory)
    assert found.code == 1
    assert "acl.csv:1 " in found.out
    assert "rbac.conf:" in found.out
    assert "^" in found.out
    assert "    help: " in found.out
    assert found.out.endswith("2 errors, 0 warnings\n")


def test_brackets_in_a_policy_are_no_markup(tmp_path: Path) -> None:
    toml = '"[red]x[/red] [/] :smile:" = 1\n'
    found = pdp("check", write_pair(tmp_path, toml=toml))
    assert found.code == 1
    assert "[red]x[/red] [/] :smile:" in found.out


def test_what_would_steer_the_terminal_is_escaped(tmp_path: Path) -> None:
    toml = '[server]\nlisten = "\\u001b[2J"\n[[layers]]\n"\\u202ex" = 1\n'
    found = pdp("check", write_pair(tmp_path, toml=toml))
    assert "\x1b" not in found.out
    assert "\u202e" not in found.out
    assert "\\u202ex" in found.out
    assert printable("a\tb\nc\x07") == "a\tb\\nc\\x07"


def test_long_lines_are_not_wrapped(tmp_path: Path) -> None:
    name = "x" * 300
    assert name in pdp("check", write_pair(tmp_path, toml=f"{name} = 1\n")).out


def unused_roles(directory: Path) -> Path:
    """A directory with a warning and nothing else."""
    copied = copy_starter(directory)
    toml = (copied / "pdp.toml").read_text().replace('roles_claim = "roles"\n', "")
    (copied / "pdp.toml").write_text(toml)
    return copied


def test_warnings_fail_only_a_strict_check(tmp_path: Path) -> None:
    directory = unused_roles(tmp_path)
    found = pdp("check", directory)
    assert found.code == 0
    assert "pdp.toml roles-unused warning: " in found.out
    assert "0 errors, 1 warning\n" in found.out
    assert pdp("check", directory, "--strict").code == 1


def test_a_secret_that_only_the_server_has_is_a_warning(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, toml=SECRET_ISSUER)
    found = pdp("check", directory)
    assert found.code == 0
    assert "no-secret warning: " in found.out
    assert pdp("check", directory, "--strict").code == 1
    assert "no problems" in pdp("check", directory, env={"TEST_SECRET": "s" * 40}).out
    weak = pdp("check", directory, env={"TEST_SECRET": "short"})
    assert weak.code == 1
    assert "short\n" not in weak.out


def test_a_missing_secret_hides_no_other_problem(tmp_path: Path) -> None:
    found = pdp("check", write_pair(tmp_path, "p, alice\n", SECRET_ISSUER))
    assert found.code == 1
    assert "policy.csv:1 " in found.out
    assert found.out.endswith("1 error, 1 warning\n")


def test_a_missing_secret_in_the_operators_file_is_a_warning_too(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "policies")
    config = tmp_path / "operator.toml"
    config.write_text(SECRET_ISSUER.partition("[[layers]]")[0])
    assert "operator.toml no-secret" in pdp("check", directory, "--config", config).out
    assert pdp("check", directory, env={"PDP_CONFIG": str(config)}).code == 0


def test_a_bad_variable_is_a_problem(tmp_path: Path) -> None:
    found = pdp("check", write_pair(tmp_path), env={"PDP_MAX_BATCH": "many"})
    assert found.code == 1
    assert "PDP_MAX_BATCH wrong-type" in found.out


def test_json_has_every_field(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, "p, alice\n")
    found = pdp("check", directory, "--format", "json")
    assert found.code == 1
    assert {"file": "policy.csv", "line": 1, "severity": "error"}.items() <= found.json[0].items()
    fields = {"file", "line", "column", "width", "code", "message", "help", "severity", "source"}
    assert set(found.json[0]) == fields
    assert pdp("check", STARTER, "--format", "json").json == []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_github_gets_paths_from_where_it_is(here: Path) -> None:
    write_pair(here / "policies", "p, alice\n")
    for name in ("policies", here / "policies"):
        found = pdp("check", name, "--format", "github")
        assert found.code == 1
        assert found.out.startswith("::error file=policies/policy.csv,line=1,")
    assert pdp("check", STARTER, "--format", "github").out == ""


@pytest.mark.parametrize(
    ("config", "path"), [("operator.toml", "operator.toml"), ("conf/nowhere.toml", "conf/nowhere")]
)
def test_github_finds_the_operators_file(here: Path, config: str, path: str) -> None:
    write_pair(here / "policies")
    (here / "operator.toml").write_text("layers = []\n")
    found = pdp("check", "policies", "--format", "github", "--config", config)
    assert found.out.startswith(f"::error file={path}")


def test_github_is_told_of_what_is_no_file(here: Path) -> None:
    directory = write_pair(here / "policies")
    found = pdp("check", directory, "--format", "github", env={"PDP_MAX_BATCH": "many"})
    assert found.out.startswith("::error file=PDP_MAX_BATCH,title=wrong-type::")


def test_an_annotation_cannot_be_broken_out_of() -> None:
    problem = Problem(
        "f", 3, "a:b", "100%\r\n::error::x", "more", Severity.WARNING, column=7, source="s"
    )
    assert annotation(problem, "a,b:c%\n.csv") == (
        "::warning file=a%2Cb%3Ac%25%0A.csv,line=3,col=7,title=a%3Ab::100%25%0D%0A::error::x%0Amore"
    )


def test_rules_are_compared_once_they_load(tmp_path: Path) -> None:
    twice = "p, alice, /a, GET\n" * 2
    found = pdp("check", write_pair(tmp_path, twice))
    assert found.code == 0
    assert "policy.csv:2 shadowed-rule warning: " in found.out
    assert pdp("check", tmp_path, "--strict").code == 1
    broken = pdp("check", write_pair(tmp_path, twice + "p, alice\n"))
    assert broken.out.endswith("1 error, 0 warnings\n")


def test_rules_of_every_layer_are_compared(tmp_path: Path) -> None:
    directory = copy_starter(tmp_path)
    for name in ("acl", "rbac"):
        rows = (directory / f"{name}.csv").read_text()
        last = [line for line in rows.splitlines() if line.startswith("p,")][-1]
        (directory / f"{name}.csv").write_text(f"{rows}\n{last}\n")
    assert pdp("check", directory).out.count("shadowed-rule") == 2


MISTAKES = "p, alice, /a, *GET\np, alice, /a.b, GET\np, bob\n"


def run(found: Any) -> Any:
    assert (found["version"], len(found["runs"])) == ("2.1.0", 1)
    assert found["$schema"].endswith("sarif-2.1.0.json")
    return found["runs"][0]


def test_sarif_has_what_the_format_requires(here: Path) -> None:
    write_pair(here / "policies", MISTAKES)
    found = pdp("check", "policies", "--format", "sarif")
    assert found.code == 1
    log = run(found.json)
    rules, results = log["tool"]["driver"]["rules"], log["results"]
    assert log["tool"]["driver"]["name"] == "pdp"
    assert [result["ruleId"] for result in results] == ["short-row", "regex-in-path"]
    assert [result["level"] for result in results] == ["error", "warning"]
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "policies/policy.csv"}
        assert place["region"]["startLine"] >= 1


def test_sarif_marks_columns(here: Path) -> None:
    directory = write_pair(here / "my policies")
    model = (directory / "model.conf").read_text().replace("r.act", "r.acts")
    (directory / "model.conf").write_text(model)
    (result,) = run(pdp("check", directory, "--format", "sarif").json)["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "my%20policies/model.conf"}
    region = place["region"]
    line = model.splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "r.acts"


def test_every_code_is_a_sarif_rule_with_help() -> None:
    rules = run(pdp("check", STARTER, "--format", "sarif").json)["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(known_codes())
    for rule in rules:
        assert all(rule[part]["text"] for part in ("shortDescription", "fullDescription", "help"))
        assert rule["defaultConfiguration"]["level"] in ("error", "warning")


def test_a_code_of_the_configuration_is_a_sarif_rule_too() -> None:
    problem = Problem("PDP_MAX_BATCH", None, "wrong-type", "is no number")
    log = run(sarif([(problem, "PDP_MAX_BATCH"), (problem, "PDP_MAX_BATCH")], known_codes()))
    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert rules == [*known_codes(), "wrong-type"]
    for result in log["results"]:
        assert (rules[result["ruleIndex"]], result["message"]) == (
            "wrong-type",
            {"text": "is no number"},
        )
        assert "region" not in result["locations"][0]["physicalLocation"]


# -- plans ---------------------------------------------------------------------------------------

PLANNED = """\

layer: grant, 4 rules
  allow rules, alternative 1 of 2: 3
    once        r.sub == "root"
    at worst    0 tried one by one
  allow rules, alternative 2 of 2: 3
    indexed     g(r.sub, p.sub)
    row by row  p.obj != r.obj
    at worst    3 tried one by one
  deny rules, alternative 1 of 2: 1
    once        r.sub == "root"
    at worst    0 tried one by one
  deny rules, alternative 2 of 2: 1
    indexed     g(r.sub, p.sub)
    row by row  p.obj != r.obj
    at worst    1 tried one by one, 1 where a value is missing
  coverage, distinct: 3
    row by row  p.obj != r.obj
    at worst    3 tried one by one
"""


def test_a_plan_says_how_each_layer_finds_its_rules(tmp_path: Path) -> None:
    (tmp_path / "pdp.toml").write_text(
        '[[layers]]\nname = "layer"\nkind = "grant"\nmodel = "a.conf"\npolicy = "a.csv"\n'
    )
    (tmp_path / "a.conf").write_text(
        "[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, obj, eft\n"
        "[role_definition]\ng = _, _\n[policy_effect]\n"
        "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n"
        '[matchers]\nm = r.sub == "root" || (g(r.sub, p.sub) && p.obj != r.obj)\n'
    )
    (tmp_path / "a.csv").write_text(
        "p, a, /x, allow\np, a, /y, allow\np, a, /z, allow\np, mallory, /x, deny\ng, bob, a\n"
    )
    found = pdp("check", tmp_path, "--plan")
    assert found.code == 0
    assert found.out.endswith(PLANNED)
    assert pdp("check", tmp_path).out.count("\n") == 1


def test_a_policy_with_problems_has_no_plan_and_other_formats_have_none(tmp_path: Path) -> None:
    assert "row by row" not in pdp("check", tmp_path, "--plan").out
    found = pdp("check", STARTER, "--plan", "--format", "json")
    assert (found.code, "text only" in found.err) == (2, True)
