"""`pdp bench`, what it draws, and the short form of `benchmarks/engine.py`: shapes, never times."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cli_runs import ROOT, SECRET_ISSUER, STARTER, pdp, write_pair

from pdp.cli.directory import load_leniently
from pdp.cli.drawing import Question, draw, read_source
from pdp.cli.pattern_values import VALUES
from pdp.cli.policy_files import read_policy_files
from pdp.cli.timing import figures
from pdp.model import ANONYMOUS, Outcome
from pdp.pipeline import decide
from pdp.policy.matcher.functions import PATTERN_FUNCTIONS

ENGINE = ROOT / "benchmarks" / "engine.py"
Quick = tuple[str, Any]
NOW = 1_780_000_000.0
SHORT = ("--seconds", "0.1")


def test_the_text_names_every_layer_and_the_whole() -> None:
    found = pdp("bench", STARTER, *SHORT)
    assert found.code == 0
    lines = found.out.splitlines()
    assert re.fullmatch(
        r"loaded in [\d.]+ s: 5 layers, 24 rows, 4 of roles(; [\d.]+ MB)?", lines[0]
    )
    names = ["network", "office", "acl", "rbac", "departments", "whole decision"]
    *figures, last = [line for line in lines[2:] if not line.startswith(" ")]
    assert [re.split(r"  +", line)[0] for line in figures] == names
    assert re.match(r"[\d,]+ decisions per second on one core; of [\d,]+: [a-z_]+ \d+%", last)
    assert "        indexed     ipMatch(r.ip, p.net)" in lines


def test_json_has_the_figures_of_every_layer() -> None:
    told = pdp("bench", STARTER, *SHORT, "--format", "json").json
    assert set(told) == {"load", "layers", "decision"}
    assert (told["load"]["rows"], told["load"]["role_rows"]) == (24, 4)
    assert told["load"]["bytes_per_row"] is None  # 24 rows weigh nothing beside the interpreter
    assert [(layer["name"], layer["rows"]) for layer in told["layers"]] == [
        ("network", 2),
        ("office", 5),
        ("acl", 3),
        ("rbac", 9),
        ("departments", 1),
    ]
    for part in (*told["layers"], told["decision"]):
        assert 0 <= part["p50_us"] <= part["p99_us"]
    assert all(isinstance(layer["plan"], list) for layer in told["layers"])
    assert sum(told["decision"]["outcomes"].values()) == told["decision"]["count"] > 0
    assert told["decision"]["per_second"] > 0


def test_many_rows_are_weighed(tmp_path: Path) -> None:
    policy = "".join(f"p, user{i}, /page/{i}, GET\n" for i in range(10_000))
    found = pdp("bench", write_pair(tmp_path, policy), *SHORT)
    assert "1 layer, 10000 rows, 0 of roles" in found.out
    if Path("/proc/self/statm").exists():
        assert re.search(r"; [\d.,]+ MB, [\d,]+ bytes a row\n", found.out)


def test_a_policy_with_problems_is_3(tmp_path: Path) -> None:
    found = pdp("bench", write_pair(tmp_path, "p, alice\n"), *SHORT)
    assert (found.code, found.out) == (3, "")
    assert "policy.csv:1 " in found.err
    assert pdp("bench", "nowhere").code == 3


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_seconds_that_are_none_are_bad_usage(seconds: str) -> None:
    assert pdp("bench", STARTER, "--seconds", seconds).code == 2


def test_a_warning_goes_to_standard_error(tmp_path: Path) -> None:
    found = pdp("bench", write_pair(tmp_path, toml=SECRET_ISSUER), *SHORT, "--format", "json")
    assert found.code == 0
    assert "no-secret" in found.err
    assert found.json["layers"][0]["name"] == "one"


def test_a_policy_without_rows_is_measured_too(tmp_path: Path) -> None:
    told = pdp("bench", write_pair(tmp_path, "# none yet\n"), *SHORT, "--format", "json").json
    assert set(told["decision"]["outcomes"]) <= {"not_found", "unauthenticated", "forbidden"}


def drawn(directory: Path, number: int, seed: int = 1) -> list[Question]:
    rng = Random(seed)  # noqa: S311
    shapes = read_policy_files(load_leniently(directory, None)).shapes()
    sources = [source for source in (read_source(shape, rng) for shape in shapes) if source.rows]
    return [draw(sources, rng) for _ in range(number)]


def outcomes(directory: Path, questions: list[Question]) -> Counter[Outcome]:
    snapshot = load_leniently(directory, None).snapshot
    return Counter(decide(q, who, snapshot, NOW).outcome for q, who in questions)


def test_the_starters_questions_reach_all_of_its_verdicts() -> None:
    questions = drawn(STARTER, 600)
    found = outcomes(STARTER, questions)
    assert set(found) == {
        Outcome.ALLOW,
        Outcome.FORBIDDEN,
        Outcome.NOT_FOUND,
        Outcome.UNAUTHENTICATED,
    }
    assert found[Outcome.ALLOW] > 100
    ids = {who.id for _, who in questions}
    assert {"alice", "bob", "erin", "mallory"} < ids
    assert not ids & {"member", "accountant", "administrator"}  # those are roles
    assert {role for _, who in questions for role in who.roles} == {"administrator"}
    assert {who.claims.get("department") for _, who in questions} == {None, "finance"}
    assert any(who is ANONYMOUS for _, who in questions)
    assert any(query.context["ip"].startswith("192.0.2.") for query, _ in questions)


def test_the_same_seed_draws_the_same_questions() -> None:
    assert drawn(STARTER, 20, seed=7) == drawn(STARTER, 20, seed=7)
    assert drawn(STARTER, 20, seed=7) != drawn(STARTER, 20, seed=8)


TEMPLATES = """[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
[layers.request]
sub = "{subject.type}:{subject.id}"
dom = "{context.site.name}"
zone = "{resource.properties.zone}"
"""
DOMAINS = """[request_definition]
r = sub, dom, obj, act, zone
[policy_definition]
p = sub, dom, obj, act, zone, level
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && keyMatch4(r.obj, p.obj) && \\
    regexMatch(r.act, p.act) && p.zone == r.zone && r.action.properties.level == p.level
"""


def test_templates_domains_and_properties_are_filled(tmp_path: Path) -> None:
    directory = write_pair(
        tmp_path,
        "p, admin, north, /a/{id}/b/{id}, ^P(UT|ATCH)$, red, 7\ng, bot:r2d2, admin, north\n",
        TEMPLATES,
    )
    (directory / "model.conf").write_text(DOMAINS)
    questions = drawn(directory, 200)
    assert outcomes(directory, questions)[Outcome.ALLOW] > 100
    query, who = next(
        q for q in questions if q[1].id == "r2d2" and "nowhere" not in q[0].resource.id
    )
    assert (who.type, who.id) == ("bot", "r2d2")
    assert query.context["site"] == {"name": "north"}
    assert query.resource.properties == {"zone": "red"}
    assert query.action.properties == {"level": "7"}


@pytest.mark.parametrize(
    ("function", "pattern"),
    [
        ("keyMatch", "/docs/*"),
        ("keyMatch2", "/docs/:id/parts/:part/*"),
        ("keyMatch3", "/docs/{id}/*"),
        ("keyMatch4", "/docs/{id}/parts/{id}/{other}"),
        ("keyMatch5", "/docs/{id}"),
        ("globMatch", "/docs/*"),
        ("regexMatch", "^(GET|HEAD)$"),
        ("regexMatch", "^/docs/[^/]+/(parts|pages)/\\d+$"),
        ("regexMatch", ".*"),
        ("ipMatch", "192.0.2.0/24"),
        ("ipMatch", "192.0.2.7"),
        ("ipMatch", "2001:db8::/32"),
    ],
)
def test_what_is_made_of_a_pattern_matches_it(function: str, pattern: str) -> None:
    rng, match = Random(1), PATTERN_FUNCTIONS[function](pattern)  # noqa: S311
    made = {VALUES[function](pattern, rng) for _ in range(20)}
    assert None not in made
    assert all(match(value) for value in made)


def test_a_pattern_that_is_too_much_for_it_gives_nothing() -> None:
    assert VALUES["regexMatch"]("^(?=.*z)q{3}$", Random(1)) is None  # noqa: S311


def test_percentiles_are_by_rank() -> None:
    found = figures([n * 1_000 for n in range(100, 0, -1)])
    assert (found.p50, found.p99) == (50, 99)
    assert figures([1_500]).p99 == 1.5


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory,
) -> Quick:
    """The short form of the engine's benchmark: its text and its results."""
    file = tmp_path_factory.mktemp("engine") / "engine.json"
    command = [sys.executable, str(ENGINE), "--quick", "--json", str(file)]
    done = subprocess.run(  # noqa: S603 - a program of this repository
        command, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_the_engine_is_measured_for_every_model_and_size(
    quick: Quick,
) -> None:
    text, results = quick
    models = ["acl", "rbac", "rest", "rest-one-role", "domains", "ip"]
    models += ["deny-networks", "deny-subjects", "priority"]
    wanted = {(model, rows) for model in models for rows in (10, 1_000)}
    assert {(run["model"], run["rows"]) for run in results["runs"]} == wanted
    kinds = {"first", "last", "any", "miss", "all"}
    for run in results["runs"]:
        parts = [run[name] for name in ("engine", "decide", "pycasbin", "fast") if name in run]
        assert len(parts) == 3 + (run["model"] in {"acl", "rbac", "domains", "deny-subjects"})
        for part in parts:
            assert kinds <= set(part)
            assert all(part[k]["calls"] > 0 and part[k]["p50"] <= part[k]["p99"] for k in kinds)
    assert set(results["machine"]) == {"cpu", "python", "system", "day"}
    assert text.count("\nrest-one-role ") == 4  # two sizes, in the table of ours and of pycasbin's


def test_the_engines_benchmark_refuses_what_it_does_not_know() -> None:
    for option in (["--models", "acl,nope"], ["--rows", "7"]):
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(ENGINE), *option], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stdout
        assert "argument --" in done.stderr
