"""The compose file: what is mounted exists, everything is locked, and the gateway comes last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
services = pytest.mark.parametrize("name", SERVICES)


@services
def test_no_service_may_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@services
def test_what_is_mounted_is_there_and_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        place, _, mode = volume.split(":")
        assert (COMPOSE.parent / place).exists(), place
        assert mode == "ro"


def test_only_the_gateway_is_reached_and_only_from_this_host() -> None:
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert ports.pop("namespace") == ["127.0.0.1:8000:8000"]
    assert not any(ports.values())
    shared = {s["network_mode"] for name, s in SERVICES.items() if name != "namespace"}
    assert shared == {"service:namespace"}


def test_the_gateway_waits_for_the_pdp() -> None:
    assert SERVICES["gateway"]["depends_on"]["pdp"] == {"condition": "service_healthy"}
    image = (COMPOSE.parents[2] / "Dockerfile").read_text()
    assert 'CMD ["pdp", "healthcheck"]' in image
    assert (COMPOSE.parent / SERVICES["pdp"]["build"] / "Dockerfile").exists()
