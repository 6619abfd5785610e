"""A PDP that is dead or silent: refused within the gateway's bound, as a fault, and never open."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_cases import ALICE
from gateway_fleet import GATEWAYS, Gateway
from gateway_processes import Live
from gateway_wire import Response

# Warmed by a request before, so that a kept connection is tried, too.
PATHS = ("/docs/a", "/invoices/7", "/admin", "/ghost")
Failure = tuple[Response, float, int]


def ask(live: Live, path: str) -> tuple[Response, float]:
    started = time.monotonic()
    response = live.ask("GET", path, [ALICE], timeout=60)
    return response, time.monotonic() - started


@pytest.mark.parametrize("path", PATHS)
def test_a_dead_pdp_lets_nothing_through(live: Live, path: str) -> None:
    assert live.ask("GET", "/docs/a").status == 200
    live.relay.down()
    try:
        live.app.take()
        response, seconds = ask(live, path)
        seen = [s for s in live.app.take() if s["target"] != live.gateway.page]
    finally:
        live.relay.up()
    assert (response.status, seen) == (live.gateway.dead, [])
    assert seconds < live.gateway.bound
    assert response.get("X-Auth-Subject") is None
    until = time.monotonic() + 10
    while live.ask("GET", "/docs/a").status != 200:  # it comes back by itself
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture(scope="module")
def silence(request: pytest.FixtureRequest) -> dict[str, tuple[list[Failure], Live]]:
    """All gateways ask a silent PDP at the same time: Traefik alone takes half a minute."""
    fleet = request.getfixturevalue("fleet")
    lives = [fleet.get(gateway) for gateway in GATEWAYS if gateway.find()]
    for live in lives:
        live.relay.hang()
        live.app.take()
    try:
        with ThreadPoolExecutor(len(lives) * 2) as pool:
            asked = [(live, pool.submit(ask, live, path)) for live in lives for path in PATHS[:2]]
            answers = [(live, future.result()) for live, future in asked]
    finally:
        for live in lives:
            live.relay.up()
    seen = len(lives[0].app.take())
    return {
        live.name: ([(*answer, seen) for at, answer in answers if at is live], live)
        for live in lives
    }


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.name)
def test_a_silent_pdp_lets_nothing_through(
    silence: dict[str, tuple[list[Failure], Live]], gateway: Gateway
) -> None:
    gateway.require()
    answers, _ = silence[gateway.name]
    for response, seconds, seen in answers:
        assert (response.status, seen) == (gateway.silent, 0)
        assert seconds < gateway.bound
