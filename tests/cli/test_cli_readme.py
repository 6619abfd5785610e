"""The README's commands, as one would paste them."""

from __future__ import annotations

import re
import shlex

import pytest
from cli_runs import ROOT, STARTER, pdp

from pdp.cli.main import _MODULES

README = (ROOT / "README.md").read_text()
SHOWN = re.findall(r"^\$ pdp (.*?)(?: +#.*)?$", README, re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_the_commands_for_every_edit_find_nothing_wrong(line: str) -> None:
    words = [str(STARTER) if word == "policies" else word for word in shlex.split(line)]
    found = pdp(*words)
    assert (found.code, found.err) == (0, "")


def test_the_commands_for_every_edit_are_shown() -> None:
    assert [line.split()[0] for line in SHOWN] == ["check", "test", "explain"]


def test_the_table_has_every_command() -> None:
    table = README.split("\n## Commands\n", 1)[1].split("\n## ", 1)[0]
    told = re.findall(r"^\| `pdp (\w+)", table, re.MULTILINE)
    assert sorted(told) == sorted(_MODULES)
