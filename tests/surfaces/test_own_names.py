"""What only this machine may ask is asked by its own names, and by no page in a browser."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import support
from support import FORWARD, Running

QUESTION = {"action": "GET", "resource": "/docs/a", "context": {"ip": "::1"}}
EVALUATION = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "GET"},
    "resource": {"type": "resource", "id": "/docs/a"},
}
SEARCH = {**EVALUATION, "subject": {"type": "user"}}
ASKED = {
    "/v1/decision": QUESTION,
    "/v1/decisions": {"decisions": [QUESTION]},
    "/access/v1/evaluation": EVALUATION,
    "/access/v1/evaluations": {"evaluations": [EVALUATION]},
    "/access/v1/search/subject": SEARCH,
}
OWN = ["localhost", "LOCALHOST:7373", "127.0.0.1", "127.0.0.1:1", "127.8.8.8", "[::1]", "[::1]:7"]
FOREIGN = [
    *("evil.test", "localhost.evil.test", "evil.localhost", "localhost.", "127.0.0.1.evil.test"),
    *("127.1", "2130706433", "0x7f.0.0.1", "10.0.0.1", "[::]", "0.0.0.0", "[::ffff:10.0.0.1]"),
    *("", "a,b", "localhost, evil.test", "localhost@evil.test", "localhost:0", "localhost:99999"),
]


async def status(server: Running, path: str, **headers: str) -> int:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    response, body = await server.ask("POST", path, json=ASKED[path], headers=fields)
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
    assert response.status == 200 or json.loads(body)["error"] == "invalid_request"
    return response.status


@pytest.mark.parametrize("path", ASKED)
async def test_every_json_api_is_asked_by_the_machines_own_names_only(
    server: Running, path: str
) -> None:
    assert [await status(server, path, Host=name) for name in OWN] == [200] * len(OWN)
    assert [await status(server, path, Host=name) for name in FOREIGN] == [400] * len(FOREIGN)


@pytest.mark.parametrize("path", ASKED)
async def test_no_page_in_a_browser_is_answered(server: Running, path: str) -> None:
    assert await status(server, path) == 200
    for origin in ("https://evil.test", "null", "http://127.0.0.1:7373", ""):
        assert await status(server, path, Origin=origin) == 400
    for site in ("cross-site", "same-origin", "same-site", "none"):
        assert await status(server, path, Sec_Fetch_Site=site) == 400
    preflight = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    response, _ = await server.ask("OPTIONS", path, headers=preflight)
    assert response.status == 405
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_gateways_pass_on_whatever_their_clients_say(server: Running) -> None:
    said = {**FORWARD, "Host": "app.test", "Origin": "https://other.test"}
    for more in ({}, {"Sec-Fetch-Site": "cross-site"}):
        response, _ = await server.ask("GET", "/authz/forward", headers=said | more)
        assert response.status == 200
    for path in ("/livez", "/readyz"):
        assert (await server.ask("GET", path, headers={"Host": "pdp.test"}))[0].status == 200


async def test_a_proxy_of_the_operators_may_use_the_public_name(policies: Path) -> None:
    async with support.pdp(policies, public_url="https://pdp.example.com") as server:
        for name in ("pdp.example.com", "pdp.example.com:8443", "localhost"):
            assert await status(server, "/v1/decision", Host=name) == 200
        assert await status(server, "/v1/decision", Host="example.com") == 400
        response, _ = await server.ask(
            "GET", "/v1/policy", admin=True, headers={"Host": "pdp.example.com"}
        )
        assert response.status == 400


async def test_off_loopback_names_are_the_networks_and_browsers_stay_out(policies: Path) -> None:
    listen = f"0.0.0.0:{support.free_port()}"
    async with support.pdp(policies, listen=listen, trust_network=True) as server:
        assert await status(server, "/v1/decision", Host="pdp.internal") == 200
        assert await status(server, "/v1/decision", Origin="https://evil.test") == 400


async def test_whoever_has_a_key_is_a_caller_by_any_name(policies: Path) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of `secret`
    (policies / "keys").write_text(digest + "\n")
    toml = policies / "pdp.toml"
    caller = '\n[[callers]]\nname = "shop"\nkey_sha256_file = "keys"\nvouch = true\n'
    toml.write_text(toml.read_text() + caller)
    async with support.pdp(policies) as server:
        key = {"Authorization": "Bearer secret", "Host": "pdp.internal"}
        response, _ = await server.ask("POST", "/v1/decision", json=QUESTION, headers=key)
        assert response.status == 200
        del key["Authorization"]
        response, _ = await server.ask("POST", "/v1/decision", json=QUESTION, headers=key)
        assert response.status == 401


async def test_a_unix_socket_has_no_name(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / "pdp.sock"
    body = json.dumps(QUESTION).encode()
    async with support.pdp(policies, listen=f"unix:{path}"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(
            b"POST /v1/decision HTTP/1.1\r\nHost: whoever\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("asked", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n"])
async def test_without_one_name_nothing_is_told(server: Running, asked: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/decision " + asked + b"Content-Type: application/json\r\n")
    writer.write(b"Content-Length: 2\r\n\r\n{}")
    assert b" 400 " in await reader.readline()
    writer.close()
