"""While a policy is built only young objects are collected, and afterwards all as before."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pdp.runtime.garbage import only_young, set_aside, take_back


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_full_collections_wait_until_the_last_build_is_done() -> None:
    before = gc.get_threshold()
    first, second = only_young(), only_young()
    with first:
        second.__enter__()
        during = gc.get_threshold()
    assert during[:2] == before[:2]
    assert during[2] > 1_000_000
    assert gc.get_threshold() == during  # the second one goes on
    second.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_a_build_that_fails_leaves_no_trace() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="bad"), only_young():
        raise ValueError("bad")
    assert gc.get_threshold() == before


def test_what_is_set_aside_is_not_walked_and_goes_with_its_last_holder() -> None:
    held = [[]] * 10
    before = gc.get_freeze_count()
    set_aside()
    assert gc.get_freeze_count() > before
    assert all(item is not held for item in gc.get_objects())
    take_back()
    assert any(item is held for item in gc.get_objects())
