"""Path confusion: the path that was judged is the path that is served, or nothing is."""

from __future__ import annotations

import pytest
from gateway_cases import ALICE
from gateway_processes import Live
from gateway_targets import HONEST, HOSTILE, PUBLIC, canonical, protected
from gateway_wire import Fields


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) >= 100
    assert len(HONEST) >= 20


def test_the_readings_find_what_they_are_for() -> None:
    assert [t for t in HOSTILE[:9] if not protected(t)] == ["//app.test/admin"]
    for target in ("/docs/..;/admin", "/docs/..%5cadmin", "/docs/%252e%252e/admin", "/Admin."):
        assert protected(target)
    assert not any(protected(target) for target, _ in HONEST)


@pytest.mark.parametrize("credential", [[], [ALICE]], ids=["nobody", "alice"])
@pytest.mark.parametrize("target", HOSTILE, ids=ascii)
def test_a_hostile_target_reaches_nothing_protected(
    live: Live, target: str, credential: Fields
) -> None:
    response, decisions, seen = live.judge("GET", target, credential)
    assert (response.status == 200) == bool(seen)
    assert response.status == 200 or response.status < 500
    for request in seen:
        assert request["target"].startswith("/")
        assert not protected(request["target"])
        assert canonical(request["target"]) == decisions[0]["resource"]
        assert decisions[0]["resource"].startswith(PUBLIC)
    assert len(seen) <= 1
    assert len(decisions) <= 1


@pytest.mark.parametrize(("target", "resource"), HONEST, ids=lambda v: str(v)[:40])
def test_an_odd_but_honest_target_is_served(live: Live, target: str, resource: str | None) -> None:
    response, decisions, seen = live.judge("GET", target)
    if resource is None:
        assert (response.status, seen) == (400, [])
        return
    assert (response.status, len(decisions), len(seen)) == (200, 1, 1)
    assert seen[0]["target"].startswith("/")
    assert decisions[0]["resource"] == canonical(seen[0]["target"]) == resource
    assert seen[0]["target"].partition("?")[2] == target.partition("?")[2]
