"""The metadata, and the URL that it is about."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import support
from asking import add_callers

from pdp.cli.serve import running
from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.load import load
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.discovery import base_url

FIXTURE = Path(__file__).parent / "fixture"
PATH = "/.well-known/authzen-configuration"


def codes(url: str) -> list[str]:
    return [p.code for p in check_gateways(ServerSettings(public_url=url), "pdp.toml")]


@pytest.mark.parametrize(
    "url",
    [
        *("https://pdp.example.com", "https://pdp.example.com:8443", "https://192.0.2.7"),
        *("http://localhost:7373", "http://127.0.0.1", "http://[::1]:1", "https://[2001:db8::1]"),
    ],
)
def test_a_public_url_is_that_of_a_host(url: str) -> None:
    assert codes(url) == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "pdp.example.com", "https://", "//pdp.example.com", "ftp://pdp.example.com"),
        *("https://pdp.example.com/", "https://pdp.example.com/a", "https://pdp.example.com?a"),
        *("https://pdp.example.com#a", "https://a@pdp.example.com", "https://PDP.example.com"),
        *("HTTPS://pdp.example.com", "https://pdp.example.com:443", "https://pdp.example.com:0"),
        *(
            "https://pdp.example.com:65536",
            "https://pdp.example.com\n",
            " https://a",
            "https://a b",
        ),
        *("http://pdp.example.com", "http://192.0.2.7:80", "http://127.0.0.1:80", "https://[1]"),
        *("https://pdp..example.com", "https://localhost.", "http://0.0.0.0"),
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    assert codes(url) == ["bad-public-url"]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:7373", "http://127.0.0.1:7373"),
        ("[::1]:7373", "http://[::1]:7373"),
        ("localhost:1", "http://localhost:1"),
        ("0.0.0.0:7373", None),
        ("pdp.example.com:443", None),
        ("unix:/run/pdp.sock", None),
    ],
)
def test_without_one_only_loopback_has_a_url(listen: str, url: str | None) -> None:
    assert base_url(ServerSettings(listen=listen)) == url
    public = ServerSettings(listen=listen, public_url="https://pdp.example.com")
    assert base_url(public) == "https://pdp.example.com"


async def test_on_loopback_the_metadata_is_that_of_the_listener() -> None:
    async with support.pdp(FIXTURE) as server:
        response, body = await server.ask("GET", PATH)
        assert response.status == 200
        assert json.loads(body)["policy_decision_point"] == server.url
        response, body = await server.ask("HEAD", PATH)
        assert (response.status, body) == (200, b"")


async def test_where_no_url_is_known_there_is_no_metadata() -> None:
    port = support.free_port()
    flags = {**support.places(), "listen": f"0.0.0.0:{port}", "trust_network": True}
    loaded = load(FIXTURE, None, {}, flags)
    async with (
        running(loaded),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{PATH}") as response,
    ):
        assert response.status == 404
        assert "public_url" in (await response.json())["message"]


async def test_it_needs_no_key(tmp_path: Path) -> None:
    policies = add_callers(support.copy_policies(tmp_path))
    async with support.pdp(policies, public_url="https://pdp.example.com") as server:
        response, _ = await server.ask("GET", PATH)
        assert response.status == 200


def test_the_environment_can_name_it() -> None:
    environment = {"PDP_PUBLIC_URL": "https://pdp.example.com"}
    assert load(FIXTURE, None, environment, {}).server.public_url == "https://pdp.example.com"


def test_serve_takes_it_and_refuses_a_bad_one() -> None:
    command = [sys.executable, "-m", "pdp", "serve", str(FIXTURE), "--public-url", "http://x.test"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)  # noqa: S603
    assert ran.returncode == 3
    assert "bad-public-url" in ran.stderr
