"""Client certificates that are nearly good, and lists and files that change."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import support
from cryptography import x509
from support import Running
from tls_made import Authority, Pair, spiffe

URL = "spiffe://test.internal/gateway"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def flags(authority: Authority, **more: Any) -> dict[str, Any]:
    pair = authority.server()
    names = {"tls_cert": str(pair.cert), "tls_key": str(pair.key)}
    return {**names, "tls_client_ca": str(authority.ca), **more}


async def is_let_in(server: Running, authority: Authority, pair: Pair | None) -> bool:
    url = server.url.replace("http:", "https:") + "/livez"
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url, ssl=authority.client(pair)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError):
            return False


HOUR = dt.timedelta(hours=1)


async def test_only_a_certificate_of_now_of_this_authority_is_good(
    policies: Path, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "namesake").mkdir()
    namesake = Authority(tmp_path / "namesake")  # of the same name, with another key
    pairs = {
        "good": authority.issue("good", spiffe("gateway")),
        "expired": authority.issue("expired", spiffe("gateway"), begins=-2 * HOUR),
        "of tomorrow": authority.issue("later", spiffe("gateway"), begins=24 * HOUR),
        "a namesake's": namesake.issue("fake", spiffe("gateway")),
        "a leaf's": authority.issued_by_leaf("leaf", spiffe("gateway")),
        "a server's": authority.issue("server-only", spiffe("gateway"), usage="server"),
    }
    async with support.pdp(policies, **flags(authority, client_certificates=[URL])) as server:
        found = {name: await is_let_in(server, authority, pair) for name, pair in pairs.items()}
    assert found == {name: name == "good" for name in pairs}


@pytest.mark.parametrize(
    ("names", "cn", "may"),
    [
        ([], "edge", True),
        ([], "Edge", False),
        ([], " edge", False),
        ([], "edge\n", False),
        ([], "edge,O=x", False),
        ([], "\u0435dge", False),
        ([], "CN=edge", False),
        ([x509.DNSName("GW.internal")], "x", True),
        ([x509.DNSName("gw.internal.")], "x", False),
        ([x509.DNSName("*.internal")], "x", False),
        ([x509.RFC822Name("gw.internal")], "x", False),
        ([x509.UniformResourceIdentifier("spiffe://test.internal/gateway/")], "x", False),
        ([x509.UniformResourceIdentifier("SPIFFE://test.internal/gateway")], "x", False),
        ([x509.UniformResourceIdentifier("spiffe://test.internal/%67ateway")], "x", False),
        ([x509.UniformResourceIdentifier("https://test.internal/gateway")], "x", False),
        ([spiffe("gateway"), spiffe("gateway")], "x", False),
    ],
    ids=repr,
)
async def test_a_name_is_compared_letter_by_letter(
    policies: Path, authority: Authority, names: list[x509.GeneralName], cn: str, may: bool
) -> None:
    known = [URL, "gw.internal", "CN=edge"]
    pair = authority.issue("client", *names, cn=cn)
    async with support.pdp(policies, **flags(authority, client_certificates=known)) as server:
        assert await is_let_in(server, authority, pair) is may


async def told(server: Running, count: int) -> None:
    """Wait until health tells so many reasons why certificates are stale."""
    for _ in range(80):
        _, body = await server.ask("GET", "/readyz", admin=True)
        if len(json.loads(body)["certificates_stale"]) == count:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(body)


@pytest.mark.parametrize("broken", [b"", b"no certificate", None], ids=["empty", "text", "gone"])
async def test_a_broken_authority_leaves_the_last_good_one(
    policies: Path, authority: Authority, tmp_path: Path, broken: bytes | None
) -> None:
    given, good = flags(authority), authority.ca.read_bytes()
    pair = authority.issue("client")
    (tmp_path / "strangers").mkdir()
    stranger = Authority(tmp_path / "strangers").issue("stranger")
    client = Authority.client
    async with support.pdp(policies, **given) as server:
        trusting = client(authority, pair), client(authority, stranger)

        async def let_in() -> list[bool]:
            url, found = server.url.replace("http:", "https:") + "/livez", []
            for context in trusting:
                async with aiohttp.ClientSession() as session:
                    try:
                        async with session.get(url, ssl=context) as answer:
                            found.append(answer.status == 200)
                    except (aiohttp.ClientError, ConnectionError, ssl.SSLError):
                        found.append(False)
            return found

        assert await let_in() == [True, False]
        authority.ca.unlink() if broken is None else authority.ca.write_bytes(broken)
        await told(server, 1)
        assert await let_in() == [True, False]
        authority.ca.write_bytes(good)
        await told(server, 0)
        assert await let_in() == [True, False]
