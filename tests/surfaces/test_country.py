"""Guards by country: where gateways' questions have it from, over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from grpc_client import channel, check, check_request
from mmdb import BUILT, country, mmdb
from multidict import CIMultiDict, CIMultiDictProxy
from support import Running, free_port, pdp

from pdp.errors import ConfigurationError
from pdp.runtime.gateway_settings import check_gateways
from pdp.runtime.geo import load_countries
from pdp.runtime.load import load
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.asked import Reading
from pdp.surfaces.conventions import CONVENTIONS, FORWARD, Line, read_asked
from pdp.surfaces.country import country_source

PAGE = Path(__file__).parents[2] / "docs" / "country.md"
BLOCK = re.compile(r"^```(toml|ini|csv)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GRANTS = """
[[layers]]
name = "grants"
kind = "grant"
model = "grants.conf"
policy = "grants.csv"
"""
MODEL = """\
[request_definition]
r = sub, obj
[policy_definition]
p = sub, obj
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj)
"""
HEADER, DATABASE = 'country_header = "CF-IPCountry"', 'country_database = "geo/countries.mmdb"'
GERMAN, FRENCH, AUSTRIAN = "81.200.0.1", "91.160.0.1", "2001:628::1"
NETWORKS = {
    "81.200.0.0/16": country("DE"),
    "91.160.0.0/12": country("FR"),
    "2001:628::/32": country("AT"),
    "185.5.0.0/16": country("XX"),
    "185.6.0.0/16": {"registered_country": {"iso_code": "DE"}},
}


def policy(directory: Path, source: str) -> Path:
    """The guard of the documentation, and all else granted to everybody."""
    blocks = dict(BLOCK.findall(PAGE.read_text()))
    (directory / "geo").mkdir()
    (directory / "geo" / "countries.mmdb").write_bytes(mmdb(NETWORKS))
    (directory / "pdp.toml").write_text(f"[server]\n{source}\n{blocks['toml']}{GRANTS}")
    (directory / "country.conf").write_text(blocks["ini"])
    (directory / "country.csv").write_text(blocks["csv"])
    (directory / "grants.conf").write_text(MODEL)
    (directory / "grants.csv").write_text("p, anonymous, /*\n")
    return directory


@contextlib.asynccontextmanager
async def serving(directory: Path, source: str) -> AsyncIterator[Running]:
    place = f"127.0.0.1:{free_port()}"
    async with pdp(policy(directory, source), grpc_listen=place) as running:
        yield running


@pytest.fixture
async def by_header(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path, HEADER) as running:
        yield running


@pytest.fixture
async def by_database(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path, DATABASE) as running:
        yield running


Fields = Iterable[tuple[str, str]]


async def status(
    running: Running, ip: str = "203.0.113.9", fields: Fields = (), path: str = "/shop/7"
) -> int:
    asked = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", path),
        ("X-Forwarded-Host", "shop.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", ip),
    ]
    response, _ = await running.ask("GET", FORWARD.path, headers=CIMultiDict([*asked, *fields]))
    return response.status


async def grpc_status(running: Running, peer: str, headers: dict[str, str]) -> int:
    place = running.service.loaded.server.grpc_listen
    assert place is not None
    async with channel(place) as opened:
        answered = await check(opened, check_request("/shop/7", peer=peer, headers=headers))
    return answered.denied_response.status.code or 200


HEADERS: list[tuple[Fields, int]] = [
    ([("CF-IPCountry", "DE")], 200),
    ([("cf-ipcountry", "FR")], 200),
    ([("CF-IPCountry", "AT")], 403),
    ([("CF-IPCountry", "XX")], 403),
    ([("CF-IPCountry", "T1")], 403),
    ([("CF-IPCountry", "de")], 403),
    ([("CF-IPCountry", "DEU")], 403),
    ([("CF-IPCountry", "DE,FR")], 403),
    ([("CF-IPCountry", "DE;q=1")], 403),
    ([("CF-IPCountry", "")], 403),
    ([], 403),
    ([("CF-IPCountry", "DE"), ("CF-IPCountry", "DE")], 403),
    ([("CF-IPCountry", "DE"), ("cf-ipcountry", "AT")], 403),
    ([("CF_IPCountry", "DE")], 403),
    ([("CF.IPCountry", "DE")], 403),
    ([("CFIPCountry", "DE")], 403),
    ([("X-CF-IPCountry", "DE")], 403),
    ([("CF-IPCountry", "AT"), ("CF_IPCountry", "DE")], 403),
    ([("CF-IPCountry", "DE"), ("CF_IPCountry", "AT")], 200),
    ([("Country", "DE"), ("X-Country", "DE")], 403),
]


@pytest.mark.parametrize(("fields", "expected"), HEADERS, ids=str)
async def test_by_header_only_the_one_sound_field_of_its_name_counts(
    by_header: Running, fields: Fields, expected: int
) -> None:
    assert await status(by_header, GERMAN, fields) == expected
    assert await status(by_header, GERMAN, fields, path="/docs/a") == 200
    names = [name.lower() for name, _ in fields]
    if len(set(names)) == len(names):  # as Envoy has them
        told = {name.lower(): value for name, value in fields}
        assert await grpc_status(by_header, GERMAN, told) == expected


async def test_repeats_that_envoy_joins_do_not_count(by_header: Running) -> None:
    assert await grpc_status(by_header, GERMAN, {"cf-ipcountry": "DE,DE"}) == 403


ADDRESSES = [
    (GERMAN, 200),
    (FRENCH, 200),
    ("::ffff:81.200.0.1", 200),
    (AUSTRIAN, 403),
    ("203.0.113.9", 403),  # not listed
    ("185.5.0.1", 403),  # unknown
    ("185.6.0.1", 403),  # registered there, used who knows where
    ("10.0.0.1", 403),
    ("192.168.1.1", 403),
    ("127.0.0.1", 403),
    ("::1", 403),
    ("fd00::1", 403),
]


@pytest.mark.parametrize(("ip", "expected"), ADDRESSES)
async def test_by_database_the_clients_address_counts_and_no_header(
    by_database: Running, ip: str, expected: int
) -> None:
    assert await status(by_database, ip) == expected
    assert await status(by_database, ip, path="/docs/a") == 200
    for name in ("CF-IPCountry", "Country", "X-Country", "country", "X-Real-IP"):
        for code in ("DE", "AT", GERMAN):
            assert await status(by_database, ip, [(name, code)]) == expected
    if ip not in ("127.0.0.1", "::1"):  # the trusted proxies, behind which the client is
        assert await status(by_database, f"{GERMAN}, {ip}, 127.0.0.1") == expected
    assert await grpc_status(by_database, ip, {"cf-ipcountry": "DE"}) == expected


async def test_without_a_source_nobody_has_a_country(tmp_path: Path) -> None:
    async with serving(tmp_path, "") as running:
        assert await status(running, GERMAN, [("CF-IPCountry", "DE")]) == 403
        assert await status(running, GERMAN, path="/docs/a") == 200


@pytest.mark.parametrize("source", ["", HEADER, DATABASE])
async def test_who_asks_in_json_says_the_country(tmp_path: Path, source: str) -> None:
    async with serving(tmp_path, source) as running:
        for told, expected in (({"country": "DE"}, 200), ({"country": "AT"}, 403), ({}, 403)):
            question = {
                "action": "GET",
                "resource": "/shop/7",
                "context": {"ip": GERMAN, **told},
            }
            headers = {"CF-IPCountry": "DE"}
            _, body = await running.ask("POST", "/v1/decision", json=question, headers=headers)
            assert json.loads(body)["status"] == expected


@pytest.mark.parametrize(("fields", "expected"), HEADERS, ids=str)
def test_what_is_no_country_is_no_fact(fields: Fields, expected: int) -> None:
    source = country_source(ServerSettings(country_header="CF-IPCountry"), None)
    assert source is not None
    found = source(GERMAN, CIMultiDictProxy(CIMultiDict(fields)))
    assert found in (("DE", "FR") if expected == 200 else ("AT", None))


async def test_a_database_of_no_use_keeps_the_pdp_from_starting(tmp_path: Path) -> None:
    policy(tmp_path, DATABASE)
    (tmp_path / "geo" / "countries.mmdb").write_bytes(b"")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert [(p.file, p.code) for p in caught.value.problems] == [
        ("geo/countries.mmdb", "bad-country-database")
    ]


async def test_the_database_stands_beside_the_file_that_names_it(tmp_path: Path) -> None:
    directory = policy(tmp_path, "")
    (tmp_path / "etc" / "geo").mkdir(parents=True)
    config = tmp_path / "etc" / "pdp.toml"
    config.write_text(f"[server]\n{DATABASE}\n")
    settings = directory / "pdp.toml"
    settings.write_text(settings.read_text().replace("[server]\n", ""))
    with pytest.raises(ConfigurationError, match="missing-file"):
        load(directory, config)
    (tmp_path / "etc" / "geo" / "countries.mmdb").write_bytes(mmdb({"91.0.0.0/8": country("DE")}))
    async with pdp(directory, config) as running:
        assert [await status(running, ip) for ip in (FRENCH, GERMAN)] == [200, 403]


@pytest.mark.parametrize("source", ["", HEADER, DATABASE])
def test_the_page_is_a_policy_without_problems(tmp_path: Path, source: str) -> None:
    assert load(policy(tmp_path, source)).warnings == ()


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
def test_every_convention_has_the_country(tmp_path: Path, convention: Any) -> None:
    fields = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/",
        "X-Forwarded-Host": "h",
        "X-Forwarded-Proto": "https",
        "X-Original-Method": "GET",
        "X-Original-URI": "/",
        "X-Original-URL": "https://h/",
        "Host": "h",
        "X-Forwarded-For": f"{FRENCH}, {GERMAN}",
        "CF-IPCountry": "AT",
    }
    headers = CIMultiDictProxy(CIMultiDict(fields))
    (tmp_path / "c.mmdb").write_bytes(mmdb(NETWORKS))
    found = []
    for server in (
        ServerSettings(country_header="cf-ipcountry"),
        ServerSettings(country_database="c.mmdb"),
        ServerSettings(),
    ):
        countries, _ = load_countries(server, tmp_path)
        reading = Reading(country=country_source(server, countries))
        query = read_asked(convention, Line("GET", "/"), headers, reading).query
        found.append(query.context.get("country"))
    assert found == ["AT", "DE", None]


def codes(**settings: Any) -> list[str]:
    return [problem.code for problem in check_gateways(ServerSettings(**settings), "pdp.toml")]


@pytest.mark.parametrize(
    "name",
    ["CF-IPCountry", "CloudFront-Viewer-Country", "X-AppEngine-Country", "X-Vercel-IP-Country",
     "X-Country-Code", "X-Client-Region", "X-GeoIP-Country", "CDN-RequestCountryCode", "country"],
)  # fmt: skip
def test_names_that_cdns_use_are_good(name: str) -> None:
    assert codes(country_header=name) == []


OTHER_USES = [
    *(name for c in CONVENTIONS for name in (c.method, c.target, c.host, c.address, c.scheme)),
    *("Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "DPoP", "X-Auth-Subject"),
    *("x-auth-roles", "Origin", "Referer", "User-Agent", "Accept", "Accept-Language", "From"),
    *("Sec-Fetch-Mode", "Access-Control-Request-Method", "Forwarded", "X-Real-IP", "Via", "TE"),
    *("Content-Length", "If-None-Match", "CF-Connecting-IP", "X-Envoy-External-Address"),
    *("X-Request-Id", "X-HTTP-Method-Override", "X-Rewrite-URL", "True-Client-IP", "X-Tenant"),
    *("", "CF_IPCountry", "CF IPCountry", "CF-IPCountry:", "CF-IPCountry\n", "-CF", "CF--X"),
    *("Länder", "a" * 65),
]


@pytest.mark.parametrize("name", [name for name in OTHER_USES if name is not None])
def test_names_of_another_use_are_refused(name: str) -> None:
    found = codes(country_header=name, identity_headers={"x-tenant": "tenant"})
    assert found == ["bad-country-header"]


def test_two_sources_are_refused() -> None:
    assert codes(country_header="CF-IPCountry", country_database="c.mmdb") == [
        "two-country-sources"
    ]
    assert codes(country_database="c.mmdb") == []


async def test_a_running_pdp_follows_its_database(by_database: Running, tmp_path: Path) -> None:
    assert await status(by_database, FRENCH) == 200
    file = tmp_path / "geo" / "countries.mmdb"
    new = mmdb({"91.160.0.0/12": country("AT")}, built=BUILT + 1)
    file.with_suffix(".new").write_bytes(new)
    file.with_suffix(".new").replace(file)
    started = time.monotonic()
    while await status(by_database, FRENCH) != 403:
        assert time.monotonic() - started < 2.0
        await asyncio.sleep(0.02)
    assert await gauge(by_database, "country_database_build_timestamp_seconds") == BUILT + 1
    assert await gauge(by_database, "countries_stale") == 0
    file.unlink()
    while await gauge(by_database, "countries_stale") != 1:
        assert time.monotonic() - started < 4.0
        await asyncio.sleep(0.02)
    assert await status(by_database, FRENCH) == 403
    assert await status(by_database, GERMAN) == 403


async def gauge(running: Running, name: str) -> float:
    _, body = await running.ask("GET", "/metrics", admin=True)
    whole = f"pdp_{name} "
    (line,) = (line for line in body.decode().splitlines() if line.startswith(whole))
    return float(line.split()[1])
