"""One mistake in the starter is one problem, at its file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pdp.errors import ConfigurationError
from pdp.runtime.load import load

# ruff: noqa: E501 - a table reads better in lines
STARTER = Path(__file__).parents[2] / "policies"
MISTAKES: list[tuple[str, str, str, int | None, str]] = [
    ("rbac.csv", "p, member, /invoices, ", "P, member, /invoices, ", 11, "undefined-type"),
    ("rbac.csv", "# p, role", "\ufeff# p, role", 1, "byte-order-mark"),
    ("acl.csv", ", deny\np, mallory, /invoices/*", ", dney\np, mallory, /invoices/*", 9, "bad-effect-value"),
    ("acl.csv", "deny\np, mallory, /invoices/*", "deny # for now\np, mallory, /invoices/*", 9, "trailing-comment"),
    ("acl.csv", "p, mallory, /invoices, ", 'p, "mallory", /invoices, ', 9, "quoted-value"),
    ("acl.csv", "^.*$, deny\np, mallory, /invoices/*", "deny\np, mallory, /invoices/*", 9, "short-row"),
    ("acl.conf", "obj, act, eft", "obj, act, effect", 7, "misnamed-effect"),
    ("acl.conf", "r.sub == p.sub", "r.sub = p.sub", 14, "assignment"),
    ("acl.conf", "r.sub == p.sub", "r.subj == p.sub", 14, "unknown-name"),
    ("acl.conf", "keyMatch2(", "keyMach2(", 14, "unknown-function"),
    ("acl.conf", "regexMatch(r.act, p.act)", "regexMatch(r.act, p.act) \\\n\n", 14, "cut-continuation"),
    ("rbac.csv", "g, alice, member", "g, alice, member, tenant", 26, "long-row"),
    ("rbac.csv", "^(GET|HEAD)$\n\np, accountant", "^(GET|HEAD$\n\np, accountant", 12, "unbalanced-bracket"),
    ("rbac.csv", "^(GET|HEAD)$\n\np, accountant", "^(G*)*$\n\np, accountant", 12, "catastrophic-pattern"),
    ("rbac.conf", "g = _, _", "g = _, _, (_)", 10, "conditional-role"),
    ("network.csv", "198.51.100.0/24", "198.51.100.0/33", 3, "bad-network"),
    ("network.csv", "198.51.100.0/24", "198.51.100.7/24", 3, "host-bits"),
    ("network.conf", "e = !some(where (p.eft == deny))", "e = !some(where (p.eft==deny))", 13, "unknown-effect"),
    ("departments.conf", "r.sub.department", "r.sub.department&&r.act", 14, "glued-operator"),
    ("pdp.toml", 'kind = "guard"\nmodel = "network', 'kind = "grant"\nmodel = "network', 13, "open-grant"),
    ("pdp.toml", "reveal_action", "reveal_acton", None, "unknown-key"),
    ("entities.json", "[", "[[", 7, "bad-json"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "code"), MISTAKES, ids=[f"{m[0]} {m[4]}" for m in MISTAKES]
)
def test_one_mistake_in_the_starter_is_one_problem(
    tmp_path: Path, file: str, old: str, new: str, line: int | None, code: str
) -> None:
    directory = tmp_path / "policies"
    shutil.copytree(STARTER, directory)
    text = (directory / file).read_text()
    assert old in text
    (directory / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load(directory)
    (problem,) = caught.value.problems
    told = "network.conf" if code == "open-grant" else file
    assert (problem.file, problem.line, problem.code) == (told, line, code)
    assert problem.help or code == "bad-json"
