"""What nobody else holds goes, piece by piece; what somebody holds stays whole."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Any

import pytest

from pdp.gently import is_held_elsewhere, take_apart


class Part:
    """Counts how many of it are gone."""

    gone = 0

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __del__(self) -> None:
        Part.gone += 1


def tree(depth: int, width: int = 10) -> Part:
    return Part(*(tree(depth - 1) for _ in range(width))) if depth else Part()


@pytest.mark.parametrize(
    "made",
    [
        lambda: tree(3),
        lambda: [tree(2)] * 3,
        lambda: {i: Part() for i in range(10_000)},
        lambda: tuple(Part() for _ in range(10_000)),
        lambda: {Part(): [Part(), (Part(),)]},
    ],
    ids=["tree", "shared", "large dict", "large tuple", "mixed"],
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
