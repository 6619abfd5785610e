"""Ways of breaking the engine, each of which the comparison with pycasbin must find.

A defect is one substitution in the text of one module, in a copy of the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pdp

SOURCE = Path(pdp.__file__).parent
RUN = Path(__file__).parent / "long_run.py"
PAIRS, SEED = 12_000, 2  # at most so many, and most defects are found among the first thousand


@dataclass(frozen=True)
class Defect:
    """`old`, which stands exactly once in `file`, becomes `new`.

    It can only matter where `only` stands in a policy: others are not compared.
    """

    name: str
    file: str
    old: str
    new: str
    only: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def plant(folder: Path, defect: Defect | None) -> Path:
    """A copy of the package with the defect, to be put first on Python's path."""
    shutil.copytree(SOURCE, folder / "pdp")  # with what is compiled of all other modules
    if defect:
        file = folder / "pdp" / "policy" / defect.file
        text = file.read_text(encoding="utf-8")
        assert text.count(defect.old) == 1, f"{defect.file} has {text.count(defect.old)} times"
        file.write_text(text.replace(defect.old, defect.new), encoding="utf-8")
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()
    return folder


def differs(
    folder: Path, only: str = "", pairs: int = PAIRS, *, small: bool = False
) -> subprocess.CompletedProcess[str]:
    """The comparison of the package in `folder`, until the first difference, made small or not."""
    options = ["--pairs", str(pairs), "--seed", str(SEED), "--most", "1", "--only", only]
    options += [] if small else ["--plain"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(RUN), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


DEFECTS = (
    Defect("roles one edge short", "roles.py", "MAX_EDGES = 9", "MAX_EDGES = 8", "k11"),
    Defect("roles one edge long", "roles.py", "MAX_EDGES = 9", "MAX_EDGES = 10", "k11"),
    Defect(
        "priority as text",
        "order.py",
        'int(text.column(row, "priority") or 0)',
        'text.column(row, "priority") or ""',
    ),
    Defect(
        "priority only roughly",
        "order.py",
        'int(text.column(row, "priority") or 0)',
        'int(text.column(row, "priority") or 0) // 2',
    ),
    Defect(
        "subject depth without its domain",
        "order.py",
        '(text.column(row, "dom") or "", row.values[0])',
        '("", row.values[0])',
    ),
    Defect(
        "deny override that is silent",
        "effect.py",
        'Effect("!some(where (p.eft == deny))", _DENY, Decision.ALLOW)',
        'Effect("!some(where (p.eft == deny))", _DENY, Decision.NONE)',
    ),
    Defect(
        "allow and deny without an allow",
        "effect.py",
        "needs_allow=True",
        "needs_allow=False",
    ),
    Defect(
        "allow and deny that stops at an allow",
        "effect.py",
        "_DENY,\n                Decision.ALLOW,",
        "_ALLOW | _DENY,\n                Decision.ALLOW,",
    ),
    Defect(
        "priority that does not stop at an allow",
        "effect.py",
        'Effect("priority(p.eft) || deny", _ALLOW | _DENY,',
        'Effect("priority(p.eft) || deny", _DENY,',
    ),
    Defect(
        "keyMatch one character short",
        "matcher/functions.py",
        "value[: len(prefix)] == prefix",
        "value[: len(prefix[:-1])] == prefix[:-1]",
    ),
    Defect(
        "unknown as true in a conjunction",
        "matcher/terms.py",
        "if found is False or result is True:\n                result = found",
        "if found is False:\n                result = found",
    ),
    Defect(
        "unknown as false in a negation",
        "matcher/terms.py",
        "return None if found is None else not found",
        "return not found",
    ),
    Defect(
        "an error as false",
        "matcher/terms.py",
        "        except EVALUATION_ERRORS:\n            return None",
        "        except EVALUATION_ERRORS:\n            return False",
    ),
    Defect(
        "coverage of a disjunction by its least side",
        "matcher/terms.py",
        "max(side(frame, row) for side in sides)",
        "min(side(frame, row) for side in sides)",
    ),
    Defect(
        "coverage though a side says no",
        "matcher/terms.py",
        "Cover.NOT if Cover.NOT in found else max(found)",
        "max(found)",
    ),
    Defect(
        "any value as a result",
        "matcher/terms.py",
        "RESULT: Final = Mode(any_true=False, any_false=False)",
        "RESULT: Final = Mode(any_true=True, any_false=True)",
    ),
)
