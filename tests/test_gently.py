"""What nobody else holds goes, piece by piece; what somebody holds stays whole."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import VERDICTS

from pdp.gently import (
    Wide,
    gently,
    growing,
    is_held_elsewhere,
    settled,
    step,
    stepping_aside,
    take_apart,
)
from pdp.runtime.load import load


class Part:
    """Counts how many of it are gone."""

    gone = 0

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __del__(self) -> None:
        Part.gone += 1


def tree(depth: int, width: int = 10) -> Part:
    return Part(*(tree(depth - 1) for _ in range(width))) if depth else Part()


def wide(items: Iterable[tuple[Any, Any]]) -> Wide[Any, Any]:
    made: Wide[Any, Any] = Wide()
    for key, value in items:
        made[key] = value
    return made


@pytest.mark.parametrize(
    "made",
    [
        lambda: tree(3),
        lambda: [tree(2)] * 3,
        lambda: {i: Part() for i in range(10_000)},
        lambda: tuple(Part() for _ in range(10_000)),
        lambda: {Part(): [Part(), (Part(),)]},
        lambda: wide((str(i), Part()) for i in range(10_000)),
    ],
    ids=["tree", "shared", "large dict", "large tuple", "mixed", "wide dict"],
)
def test_everything_that_only_it_held_is_freed(made: Any) -> None:
    gc.collect()
    held = [made()]
    gc.disable()  # references alone must do it
    try:
        before, parts = Part.gone, sum(isinstance(o, Part) for o in gc.get_objects())
        take_apart(held)
        assert held == []
        assert (Part.gone - before, parts > 0) == (parts, True)
    finally:
        gc.enable()


class Looking(list[Any]):
    """Notes at each step how many parts are gone."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.gone: list[int] = []

    def __delitem__(self, index: Any) -> None:
        self.gone.append(Part.gone)
        super().__delitem__(index)


def test_no_step_frees_much() -> None:
    held = Looking([([Part() for _ in range(5_000)],)])
    before = Part.gone
    take_apart(held)
    steps = [later - earlier for earlier, later in pairwise(held.gone)]
    assert Part.gone - before == 5_000
    assert 0 < max(steps) <= 512


def test_what_somebody_else_holds_stays_whole() -> None:
    kept = {"a": [1, 2], "b": {"c": (3, [4])}}
    held: list[Any] = [(kept, [kept["a"]])]
    take_apart(held)
    assert kept == {"a": [1, 2], "b": {"c": (3, [4])}}


def test_it_is_known_whether_somebody_else_holds_it() -> None:
    item = Part()
    held = [item]
    assert is_held_elsewhere(held)
    del item
    assert not is_held_elsewhere(held)


def test_items_are_handed_on_as_they_are_with_steps_between_them() -> None:
    steps: list[int] = []
    seen: list[int] = []
    with stepping_aside(lambda: steps.append(len(seen))):
        seen.extend(item for item in gently(range(1_000)))
        step()
    assert seen == [*range(1_000)]
    assert steps[0] == 0
    assert max(b - a for a, b in pairwise(steps)) <= 64
    assert steps[-1] == 1_000


def test_whoever_is_in_a_hurry_takes_no_steps() -> None:
    items = [1, 2]
    assert gently(items) is items
    step()


def test_a_build_steps_aside_all_along(tmp_path: Path) -> None:
    """Or a loop that answers would wait for it."""
    rows = [f"p, role{n % 50}, /pages/{n}/:id, ^GET$" for n in range(20_000)]
    rows += [f"g, user{n}, role{n % 50}" for n in range(20_000)]
    shutil.copy(VERDICTS / "rbac.conf", tmp_path / "model.conf")
    (tmp_path / "policy.csv").write_text("\n".join(rows))
    worked, last = [], time.thread_time()

    def aside() -> None:
        nonlocal last
        worked.append(time.thread_time() - last)
        last = time.thread_time()

    with stepping_aside(aside):
        load(tmp_path)
    assert len(worked) > 10 * 20_000 / 64
    assert max(worked) < sum(worked) / 4


@pytest.mark.parametrize("count", [0, 1, 8_192, 8_193, 30_000])
def test_a_dict_of_many_parts_has_what_a_dict_has(count: int) -> None:
    items = [(f"/a{n % (count - count // 5)}", n) for n in range(count)]  # some of them twice
    made, plain = wide(items), dict(items)
    assert (len(made), {*made}, dict(made.items())) == (len(plain), {*plain}, plain)
    assert sorted(made.values()) == sorted(plain.values())
    for key in [*plain, "/none"]:
        assert (key in made, made.get(key)) == (key in plain, plain.get(key))
    assert all(made[key] == value for key, value in plain.items())
    with pytest.raises(KeyError):
        made["/none"]
    for key, value in made.items():
        made[key] = -value
    assert dict(made.items()) == {key: -value for key, value in plain.items()}


def test_a_large_dict_that_grows_is_many_small_ones() -> None:
    made = wide((f"/a{n}", n) for n in range(40_000))
    (held,) = [held for held in gc.get_referents(made) if isinstance(held, list)]
    parts = gc.get_referents(held)
    assert sum(map(len, parts)) == 40_000
    assert max(map(len, parts)) < 400


def test_who_steps_aside_for_nobody_fills_a_dict() -> None:
    plain = growing()
    assert plain == {}
    assert settled(plain) is plain
    with stepping_aside(lambda: None):
        few, many = growing(), growing()
    few["a"] = 1
    for n in range(9_000):
        many[n] = n
    assert settled(few) == {"a": 1}
    assert settled(many) is many
