"""Every gateway is started once, from its sample; all share one PDP and one application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import support
from gateway_cases import here
from gateway_fleet import GATEWAYS, Gateway
from gateway_machinery import Loop, Relay, Upstream
from gateway_processes import GRPC, PDP, Live, Pdp
from support import free_port


class Fleet:
    """What all gateways share, and those that run."""

    def __init__(self, place: Path) -> None:
        self._place, self.loop, self._running = place, Loop(), dict[str, Live]()
        self._policies = here(support.copy_policies(place))
        self.pdp = Pdp(self._policies, place / "pdp")
        self.app = Upstream(self.loop, free_port())

    def get(self, gateway: Gateway) -> Live:
        if gateway.name not in self._running:
            self._running[gateway.name] = self._start(gateway)
        return self._running[gateway.name]

    def _start(self, gateway: Gateway) -> Live:
        binary = gateway.require()
        ports = {PDP: self.pdp.port, GRPC: self.pdp.grpc}
        relays = {port: Relay(self.loop, free_port(), to) for port, to in ports.items()}
        place = self._place / gateway.name
        place.mkdir()
        return Live(gateway, binary, relays, self.app, self.pdp, place)

    def another_pdp(self, **settings: str) -> Pdp:
        """With the same policies."""
        return Pdp(self._policies, self._place / "another-pdp", **settings)

    def stop(self) -> None:
        for live in self._running.values():
            live.stop()
        self.pdp.stop()
        self.loop.close()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    place = tmp_path_factory.mktemp("gateways")
    running = Fleet(place)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def strict(fleet: Fleet) -> Iterator[Pdp]:
    """A PDP that takes no credential over plain http."""
    running = fleet.another_pdp(PDP_REQUIRE_HTTPS="true")
    yield running
    running.stop()


@pytest.fixture(scope="session", params=GATEWAYS, ids=lambda gateway: gateway.name)
def live(request: pytest.FixtureRequest, fleet: Fleet) -> Live:
    """One running gateway; the tests about one stand together."""
    return fleet.get(request.param)
