"""`pdp test --mutate`: what happens to rows that are dropped and flipped."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cli_runs import MODEL, ROOT, STARTER, Ran, command, copy_starter, environment, pdp, write_pair

from pdp.cli.policy_files import read_policy_files
from pdp.errors import ConfigurationError
from pdp.runtime.load import load

EFT = MODEL.replace("p = sub, obj, act", "p = sub, obj, act, eft")
OVERRIDE = EFT.replace(
    "some(where (p.eft == allow))", "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
)
GET_A = "- {subject: alice, action: GET, resource: /a, expect: {status: 200%s}}\n"
GOOD = GET_A % ""


def mutate(directory: Path, policy: str, cases: str = GOOD, *args: str, model: str = MODEL) -> Ran:
    write_pair(directory, policy)
    (directory / "model.conf").write_text(model)
    (directory / "cases.yaml").write_text(cases)
    return pdp("test", directory, "--mutate", *args)


def test_the_starters_cases_catch_every_mutant() -> None:
    found = pdp("test", STARTER, "--mutate")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[2:] == ["mutants: 34 of 34 caught"]


def test_a_case_taken_away_lets_mutants_survive(tmp_path: Path) -> None:
    directory = copy_starter(tmp_path)
    file = directory / "cases.yaml"
    lines = file.read_text().split("\n")
    start = next(n for n, line in enumerate(lines) if "so is the health page" in line)
    file.write_text("\n".join(lines[:start] + lines[start + 6 :]))
    found = pdp("test", directory, "--mutate", "--coverage")
    assert found.code == 1
    assert found.out.splitlines() == [
        "no case rbac.csv:8 p, anonymous, /health, ^(GET|HEAD)$",
        "survived rbac.csv:8 p, anonymous, /health, ^(GET|HEAD)$ (dropped)",
        "50 of 50 cases passed",
        "rows: 23 of 24 exercised",
        "mutants: 33 of 34 caught",
    ]


ALLOW, DENY = "p, alice, /a, GET, allow\n", "p, bob, /a, GET, deny\n"
BOB = "- {subject: bob, action: GET, resource: /a, expect: {status: 403%s}}\n"
TABLE = [
    # what, model, policy, cases, the survivors
    ("the only rule", MODEL, "p, alice, /a, GET\n", GOOD, []),
    (
        "a rule said twice",
        MODEL,
        "p, alice, /a, GET\np, alice, /:x, GET\n",
        GOOD,
        ["1 dropped", "2 dropped"],
    ),
    (
        "which row decides is not compared",
        MODEL,
        "p, alice, /a, GET\np, alice, /:x, GET\n",
        GET_A % ", rule: 'policy.csv:1'",
        ["1 dropped", "2 dropped"],
    ),
    ("a decision is flipped", OVERRIDE, ALLOW, GOOD, []),
    (
        "a deny that no reason is expected of",
        OVERRIDE,
        ALLOW + DENY,
        GOOD + BOB % "",
        ["2 dropped"],
    ),
    ("its reason tells", OVERRIDE, ALLOW + DENY, GOOD + BOB % ", reason: explicitly_denied", []),
    (
        "a deny that no case is about",
        OVERRIDE,
        ALLOW + DENY,
        GOOD,
        ["2 dropped", "2 flipped to allow"],
    ),
    ("lines end as they like", OVERRIDE, ALLOW.replace("\n", "\r\n"), GOOD, []),
]


@pytest.mark.parametrize(
    ("model", "policy", "cases", "survivors"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_what_survives(
    tmp_path: Path, model: str, policy: str, cases: str, survivors: list[str]
) -> None:
    found = mutate(tmp_path, policy, cases, "--format", "json", model=model)
    told = found.json["mutants"]
    assert [f"{m['line']} {m['change']}" for m in told["survivors"]] == survivors
    assert told["tried"] - told["caught"] == len(survivors)
    assert found.code == (1 if survivors else 0)


def test_json_tells_the_survivors_rows(tmp_path: Path) -> None:
    found = mutate(tmp_path, "p, alice, /a, GET\np, b, /b, GET\n", GOOD, "--format", "json")
    assert found.json["mutants"] == {
        "tried": 2,
        "caught": 1,
        "refused": 0,
        "survivors": [
            {"file": "policy.csv", "line": 2, "text": "p, b, /b, GET", "change": "dropped"}
        ],
    }


def test_a_mutant_that_the_checks_refuse_is_caught(tmp_path: Path) -> None:
    found = mutate(tmp_path, ALLOW, GOOD, "-v", model=EFT)  # where a deny would change nothing
    assert found.code == 0
    assert found.out.splitlines()[1:] == [
        "caught policy.csv:1 p, alice, /a, GET, allow (dropped)",
        "refused policy.csv:1 p, alice, /a, GET, allow (flipped to deny)",
        "1 of 1 cases passed",
        "rows: 1 of 1 exercised",
        "mutants: 2 of 2 caught",
    ]


def test_other_rows_keep_their_lines(tmp_path: Path) -> None:
    policy = "p, bob, /a, GET\np, alice, /a, GET\n"
    cases = GET_A % ", rule: 'policy.csv:2'" + BOB.replace("403", "200") % ""
    assert mutate(tmp_path, policy, cases).out.endswith("mutants: 2 of 2 caught\n")


def test_where_a_case_fails_no_mutant_is_tried(tmp_path: Path) -> None:
    found = mutate(tmp_path, "p, alice, /a, GET\n", BOB.replace("403", "200") % "")
    assert found.code == 1
    assert "mutants" not in found.out
    assert found.err == "error: no mutants were tried, because cases fail that should hold\n"
    report = pdp("test", tmp_path, "--mutate", "--format", "json").json
    assert (report["failed"], report["mutants"]) == (1, None)


def test_without_the_flag_no_mutant_is_tried(tmp_path: Path) -> None:
    mutate(tmp_path, "p, alice, /a, GET\n" * 2)
    found = pdp("test", tmp_path, "--format", "json")
    assert (found.code, found.json["mutants"]) == (0, None)


SHARED = """[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
[[layers]]
name = "two"
kind = "guard"
section = "2"
model = "model.conf"
policy = "policy.csv"
request = { ip = "{context.ip}" }
"""
SECTIONS = """[request_definition]
r = sub, obj, act
r2 = ip
[policy_definition]
p = sub, obj, act
p2 = net, eft
[policy_effect]
e = some(where (p.eft == allow))
e2 = !some(where (p2.eft == deny))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act
m2 = ipMatch(r2.ip, p2.net)
"""


def test_a_file_that_layers_share_is_mutated_once(tmp_path: Path) -> None:
    write_pair(tmp_path, "p, alice, /a, GET\np2, 192.0.2.0/24, deny\n", SHARED)
    (tmp_path / "model.conf").write_text(SECTIONS)
    from_there = GOOD.replace("/a,", "/a, context: {ip: 192.0.2.1},")
    cases = from_there.replace("200", "403") + from_there.replace("192.0", "198.0")
    (tmp_path / "cases.yaml").write_text(cases)
    found = pdp("test", tmp_path, "--mutate", "-v")
    assert (found.code, found.out.splitlines()[2:]) == (
        0,
        [
            "caught policy.csv:1 p, alice, /a, GET (dropped)",
            "caught policy.csv:2 p2, 192.0.2.0/24, deny (dropped)",
            "caught policy.csv:2 p2, 192.0.2.0/24, deny (flipped to allow)",
            "2 of 2 cases passed",
            "rows: 2 of 2 exercised",
            "mutants: 3 of 3 caught",
        ],
    )


def on_terminal(directory: Path) -> tuple[bytes, bytes]:
    """What `pdp test --mutate` writes to a terminal that is its standard error, and to a pipe."""
    ours, theirs = pty.openpty()
    words = command("test", directory, "--mutate")
    with subprocess.Popen(  # noqa: S603 - what the tests themselves say
        words, env=environment({"TERM": "xterm"}), stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT
    ) as running:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
        out, _ = running.communicate(timeout=60)
    os.close(ours)
    return seen, out


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the other side is closed
        return b""


def test_a_terminal_sees_a_bar_and_nobody_else() -> None:
    shown, out = on_terminal(STARTER)
    assert b"mutants" in shown
    assert b"%" in shown
    assert out.endswith(b"mutants: 34 of 34 caught\n")
    piped = pdp("test", STARTER, "--mutate", env={"FORCE_COLOR": "1"})
    assert piped.err == ""


def test_files_that_vanish_after_loading_are_a_problem(tmp_path: Path) -> None:
    loaded = load(write_pair(tmp_path))
    (tmp_path / "policy.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"policy\.csv"):
        read_policy_files(loaded)


def test_files_that_changed_after_loading_are_a_problem(tmp_path: Path) -> None:
    loaded = load(write_pair(tmp_path))
    (tmp_path / "policy.csv").write_text("p, mallory, /a, GET\n")
    with pytest.raises(ConfigurationError, match="changed while the policy was read"):
        read_policy_files(loaded)


GUIDE = ROOT / "docs" / "testing-policies.md"
FILE_BLOCK = re.compile(
    r"^`(shop/[\w.]+)`(, at its end)?:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_guide_says_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    blocks = [(m.start(), m) for p in (FILE_BLOCK, CONSOLE) for m in p.finditer(GUIDE.read_text())]
    codes: list[int] = []
    for _, block in sorted(blocks, key=lambda found: found[0]):
        if block.re is FILE_BLOCK:
            with (tmp_path / block[1]).open("a" if block[2] else "w") as file:
                file.write(block[3])
            continue
        for session in block[1].removeprefix("$ ").split("\n$ "):
            line, _, shown = session.strip("\n").partition("\n")
            program, *words = shlex.split(line)
            ran = pdp(*words)
            assert program == "pdp"
            assert not shown or (ran.out + ran.err).strip() == shown, line
            codes.append(ran.code)
    assert codes == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
