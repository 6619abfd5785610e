"""The comparison with pycasbin is worth something: it finds every defect that is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from defects import DEFECTS, Defect, differs, plant
from differential_cases import answered, read
from index_defects import INDEX_DEFECTS


@pytest.mark.parametrize("defect", [*DEFECTS, *INDEX_DEFECTS], ids=str)
def test_a_planted_defect_is_found(defect: Defect, tmp_path: Path) -> None:
    run = differs(plant(tmp_path, defect), defect.only)
    assert run.returncode == 1, run.stderr[-2000:]
    assert "\ndifference: " in run.stdout


def test_what_is_found_is_made_small_and_printed_as_a_case(tmp_path: Path) -> None:
    silent = next(d for d in DEFECTS if d.name == "unknown as false in a negation")
    printed = differs(plant(tmp_path, silent), small=True).stdout
    case = printed[printed.index("\nabout: ") + 1 : printed.index(" pairs, 1 differences")]
    path = tmp_path / "case.yaml"
    path.write_text(case.rpartition("\n")[0], encoding="utf-8")
    sample, wanted = read(path)
    assert len(sample.policy.rows.splitlines()) == len(sample.asks) == 1
    assert answered(sample) == [{k: wanted[0][k] for k in ("decision", "line", "covers")}]


def test_without_a_defect_nothing_is_found(tmp_path: Path) -> None:
    run = differs(plant(tmp_path, None), pairs=2_000)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert f"engine {tmp_path}" in run.stdout


def test_a_defect_that_is_not_there_is_told(tmp_path: Path) -> None:
    gone = Defect("gone", "roles.py", "MAX_EDGES = 11", "MAX_EDGES = 12")
    with pytest.raises(AssertionError, match="0 times"):
        plant(tmp_path, gone)
