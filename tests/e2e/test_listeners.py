"""Listeners over real sockets: TLS, client certificates, Unix sockets, keys, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import support
from cryptography import x509
from support import FORWARD, Running
from tls_made import Authority, Pair, spiffe

from pdp.cli.serve import check_exposure
from pdp.errors import ConfigurationError
from pdp.runtime.load import load

QUESTION = {"subject": "alice", "action": "GET", "resource": "/docs/a", "context": {"ip": "::1"}}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def flags(pair: Pair, ca: Path | None = None, **more: Any) -> dict[str, Any]:
    """`[server]` settings for TLS."""
    found = {"tls_cert": str(pair.cert), "tls_key": str(pair.key), **more}
    return found if ca is None else {**found, "tls_client_ca": str(ca)}


async def asked(
    server: Running, tls: ssl.SSLContext, path: str = "/authz/forward", **options: Any
) -> int:
    """The status of an answer on a connection of its own."""
    url = server.url.replace("http:", "https:") + path
    async with aiohttp.ClientSession() as session:
        method = "POST" if "json" in options else "GET"
        headers = FORWARD | options.pop("headers", {})
        async with session.request(method, url, ssl=tls, headers=headers, **options) as answer:
            await answer.read()
            return answer.status


async def shown(server: Running) -> bytes:
    """The certificate that a new connection is shown."""
    host, port = server.url.removeprefix("http://").split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def until(holds: Callable[[], Any], seconds: float = 8) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.1)


# TLS


async def test_it_speaks_tls_from_1_2_on(policies: Path, authority: Authority) -> None:
    async with support.pdp(policies, **flags(authority.server())) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = authority.client()
            client.minimum_version = client.maximum_version = version
            assert await asked(server, client) == 200
        old = authority.client()
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(aiohttp.ClientError):
            await asked(server, old)
        with pytest.raises(aiohttp.ClientError):
            await server.ask("GET", "/livez")  # in the clear
        assert (await server.ask("GET", "/livez", admin=True))[0].status == 200


async def test_a_renewed_certificate_is_shown_and_a_bad_one_is_not(
    policies: Path, authority: Authority, tmp_path: Path
) -> None:
    live, other = authority.server(), authority.server("other")
    der = ssl.PEM_cert_to_DER_cert
    async with support.pdp(policies, **flags(live)) as server:
        assert await shown(server) == der(live.cert.read_text())

        async def kept(session: aiohttp.ClientSession) -> int:
            url = server.url.replace("http:", "https:") + "/livez"
            async with session.get(url, ssl=authority.client()) as answer:
                return answer.status

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            assert await kept(session) == 200
            live.write(other)
            expected = der(other.cert.read_text())

            async def is_shown() -> bool:
                return await shown(server) == expected

            await until(is_shown)
            assert await kept(session) == 200  # who was connected stays

        authority.server("third")
        live.cert.write_bytes((tmp_path / "third.pem").read_bytes())  # whose key is another

        async def told() -> bool:
            _, body = await server.ask("GET", "/readyz", admin=True)
            found = json.loads(body)
            return found["status"] == "ready" and len(found["certificates_stale"]) == 1

        await until(told)
        _, body = await server.ask("GET", "/metrics", admin=True)
        assert b"pdp_certificates_stale 1.0" in body
        assert await shown(server) == expected
        live.key.write_bytes((tmp_path / "third.key").read_bytes())

        async def is_well() -> bool:
            _, body = await server.ask("GET", "/readyz", admin=True)
            return json.loads(body)["certificates_stale"] == []

        await until(is_well)
        assert await shown(server) == der((tmp_path / "third.pem").read_text())


async def test_a_handshake_that_does_not_go_on_is_not_waited_for(
    policies: Path, authority: Authority
) -> None:
    tls = flags(authority.server(), header_seconds=0.5)
    async with support.pdp(policies, **tls) as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01\x02\x00")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        assert time.monotonic() - began < 2
        writer.close()


def codes(policies: Path, **given: Any) -> list[str]:
    try:
        load(policies, None, {}, given)
    except ConfigurationError as error:
        return [problem.code for problem in error.problems]
    return []


def test_bad_files_are_told_at_the_start(
    policies: Path, authority: Authority, tmp_path: Path
) -> None:
    server, other = authority.server(), authority.server("other")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    assert codes(policies, **flags(server)) == []
    assert codes(policies, **flags(Pair(server.cert, other.key))) == ["bad-certificate"]
    assert codes(policies, **flags(Pair(server.key, server.key))) == ["bad-certificate"]
    assert codes(policies, **flags(Pair(tmp_path / "x", server.key))) == ["missing-file"]
    assert codes(policies, **flags(server, empty)) == ["bad-certificate"]
    assert codes(policies, tls_cert=str(server.cert)) == ["half-tls"]
    assert codes(policies, tls_client_ca=str(authority.ca)) == ["half-tls"]
    assert codes(policies, client_certificates=["CN=x"]) == ["half-tls"]
    assert codes(policies, **flags(server, listen="unix:/run/x")) == ["tls-on-unix"]
    for name in ("spiffe://", "*.internal", "O=x", "Gateway.Internal", "CN="):
        found = codes(policies, **flags(server, authority.ca, client_certificates=[name]))
        assert found == ["bad-certificate-name"], name


# Client certificates


async def test_nobody_asks_without_a_certificate_of_the_authority(
    policies: Path, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "strangers").issue("stranger", cn="gateway")
    async with support.pdp(policies, **flags(authority.server(), authority.ca)) as server:
        assert await asked(server, authority.client(authority.issue("gateway"))) == 200
        for pair in (None, stranger):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await asked(server, authority.client(pair))


@pytest.mark.parametrize(
    ("names", "cn", "may"),
    [
        ([spiffe("gateway")], "x", True),
        ([spiffe("other")], "x", False),
        ([spiffe("gateway"), spiffe("other")], "x", False),
        ([x509.DNSName("gw.internal")], "x", True),
        ([x509.DNSName("spiffe://test.internal/gateway")], "x", False),
        ([x509.DNSName("CN=edge")], "x", False),
        ([], "edge", True),
        ([], "gw.internal", False),
        ([], "x", False),
    ],
    ids=str,
)
async def test_only_listed_certificates_may_ask(
    policies: Path, authority: Authority, names: list[x509.GeneralName], cn: str, may: bool
) -> None:
    known = ["spiffe://test.internal/gateway", "gw.internal", "CN=edge"]
    tls = flags(authority.server(), authority.ca, client_certificates=known)
    client = authority.client(authority.issue("client", *names, cn=cn))
    async with support.pdp(policies, **tls) as server:
        if may:
            assert await asked(server, client) == 200
            return
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await asked(server, client)
        _, body = await server.ask("GET", "/metrics", admin=True)
        assert b'pdp_connections_closed_total{listener="main",reason="certificate"} ' in body


CALLERS = """
[[callers]]
name = "mesh"
certificate = "spiffe://test.internal/service"
vouch = true
[[callers]]
name = "key"
key_sha256_file = "key.sha256"
"""


@pytest.fixture
def callers(policies: Path) -> Path:
    """The policies, with callers known by a key and by a certificate."""
    toml = policies / "pdp.toml"
    toml.write_text(toml.read_text() + CALLERS)
    (policies / "key.sha256").write_text(hashlib.sha256(b"good").hexdigest() + "\n")
    return policies


async def test_a_certificate_identifies_a_caller(callers: Path, authority: Authority) -> None:
    known = ["spiffe://test.internal/gateway"]
    tls = flags(authority.server(), authority.ca, client_certificates=known)
    service = authority.client(authority.issue("service", spiffe("service")))
    gateway = authority.client(authority.issue("gateway", spiffe("gateway")))
    key, bad = ({"Authorization": f"Bearer {key}"} for key in ("good", "bad"))
    async with support.pdp(callers, **tls) as server:

        async def decision(client: ssl.SSLContext, headers: dict[str, str]) -> int:
            return await asked(server, client, "/v1/decision", json=QUESTION, headers=headers)

        assert await decision(service, {}) == 200  # and may vouch
        assert await decision(gateway, {}) == 401
        assert await decision(gateway, key) == 400  # may not vouch
        assert await decision(service, bad) == 401
        assert await asked(server, gateway) == 200


def exposed(policies: Path, **given: Any) -> list[str]:
    try:
        check_exposure(load(policies, None, {}, {"listen": "0.0.0.0:7373", **given}))
    except ConfigurationError as error:
        return [problem.code for problem in error.problems]
    return []


def test_certificates_stand_in_for_a_trusted_network(callers: Path, authority: Authority) -> None:
    pair = authority.server()
    assert exposed(callers, **flags(pair, authority.ca)) == []
    grpc = exposed(callers, **flags(pair, authority.ca, grpc_listen="0.0.0.0:9"))
    assert grpc == ["open-gateway-endpoints"]
    assert exposed(callers, **flags(pair, authority.ca, grpc_listen="127.0.0.1:9")) == []
    toml = callers / "pdp.toml"
    toml.write_text(toml.read_text().replace(CALLERS, ""))
    assert exposed(callers, **flags(pair, authority.ca)) == ["open-json-api"]
    assert exposed(callers, **flags(pair)) == ["open-gateway-endpoints", "open-json-api"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ('name = "x"', "missing-key"),
        ('name = "x"\nkey_sha256_file = "key.sha256"\ncertificate = "CN=x"', "missing-key"),
        ('name = "x"\ncertificate = "O=x"', "bad-certificate-name"),
    ],
)
def test_a_caller_is_known_by_one_thing(
    callers: Path, authority: Authority, lines: str, code: str
) -> None:
    toml = callers / "pdp.toml"
    toml.write_text(f"{toml.read_text()}[[callers]]\n{lines}\n")
    assert codes(callers, **flags(authority.server(), authority.ca)) == [code]


def test_a_caller_with_a_certificate_needs_who_verifies_it(callers: Path) -> None:
    assert codes(callers) == ["half-tls"]


# Unix sockets


async def on_unix(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: pdp\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize(("mode", "expected"), [("0660", 0o660), ("600", 0o600), ("0666", 0o666)])
async def test_a_unix_socket_has_its_mode_and_group_and_leaves_nothing_behind(
    policies: Path, tmp_path: Path, mode: str, expected: int
) -> None:
    path = tmp_path / "pdp.sock"
    given = {"listen": f"unix:{path}", "socket_mode": mode, "socket_group": str(os.getgid())}
    async with support.pdp(policies, **given):
        assert (await on_unix(path)).startswith(b"HTTP/1.1 200 ")
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (expected, os.getgid())
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(
    policies: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pdp.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with support.pdp(policies, listen=f"unix:{path}"):
        assert (await on_unix(path)).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(OSError, match="in use"):
            async with support.pdp(policies, listen=f"unix:{path}"):
                pass
        assert (await on_unix(path)).startswith(b"HTTP/1.1 200 ")


async def test_whatever_is_no_socket_is_left_alone(policies: Path, tmp_path: Path) -> None:
    path, socket_ = tmp_path / "precious", tmp_path / "s"
    path.write_text("precious")
    socket_.symlink_to(path)
    for place in (path, socket_):
        with pytest.raises(OSError, match="no socket"):
            async with support.pdp(policies, listen=f"unix:{place}"):
                pass
    assert path.read_text() == "precious"


async def test_a_socket_that_replaced_this_one_stays(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / "pdp.sock"
    with socket.socket(socket.AF_UNIX) as another:
        async with support.pdp(policies, listen=f"unix:{path}"):
            path.unlink()
            another.bind(str(path))
        assert path.exists()


async def test_a_group_that_is_none_is_told(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / "pdp.sock"
    with pytest.raises(OSError, match="no group `nobody-here`"):
        async with support.pdp(policies, listen=f"unix:{path}", socket_group="nobody-here"):
            pass
    assert not path.exists()


@pytest.mark.parametrize("mode", ["0999", "1777", "rw", ""])
def test_a_mode_that_is_none_is_told(policies: Path, mode: str) -> None:
    assert codes(policies, socket_mode=mode) == ["wrong-type"]


# The admin listener and its key

KEY = "an operator's key"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def keyed(policies: Path) -> dict[str, Any]:
    """Settings by which operators need a key."""
    (policies / "admin.sha256").write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
    return {"admin_key_sha256_file": "admin.sha256"}


ADMIN = [("GET", "/v1/policy"), ("POST", "/v1/reload"), ("POST", "/v1/explain")]


@pytest.mark.parametrize(("method", "path"), ADMIN)
@pytest.mark.parametrize("place", ["127.0.0.1", "0.0.0.0"])
async def test_operators_need_the_admin_key_where_there_is_one(
    policies: Path, keyed: dict[str, Any], method: str, path: str, place: str
) -> None:
    listen = f"{place}:{support.free_port()}"
    async with support.pdp(policies, admin_listen=listen, **keyed) as server:
        body = {"json": QUESTION} if path == "/v1/explain" else {}
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {KEY}"}):
            response, told = await server.ask(method, path, admin=True, headers=headers, **body)
            assert (response.status, KEY.encode() in told) == (401, False)
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="pdp"'
        response, _ = await server.ask(method, path, admin=True, headers=BEARER, **body)
        assert response.status == 200
        for harmless in ("/metrics", "/readyz"):
            assert (await server.ask("GET", harmless, admin=True))[0].status == 200


async def test_without_a_key_nobody_is_an_operator_off_loopback(policies: Path) -> None:
    async with support.pdp(policies, admin_listen=f"0.0.0.0:{support.free_port()}") as server:
        for method, path in ADMIN:
            response, _ = await server.ask(method, path, admin=True, headers=BEARER)
            assert response.status == 404


async def test_operators_off_loopback_are_spoken_to_in_tls_and_need_no_certificate(
    policies: Path, keyed: dict[str, Any], authority: Authority
) -> None:
    given = flags(authority.server(), authority.ca, admin_listen=f"0.0.0.0:{support.free_port()}")
    async with support.pdp(policies, **given, **keyed) as server:
        options = {"admin": True, "headers": BEARER}
        with pytest.raises(aiohttp.ClientError):
            await server.ask("GET", "/v1/policy", **options)
        port = server.admin.rpartition(":")[2]
        url = f"https://localhost:{port}/v1/policy"
        async with server.session.get(url, ssl=authority.client(), headers=BEARER) as answer:
            assert answer.status == 200


async def test_a_withdrawn_key_counts_no_more(
    callers: Path, keyed: dict[str, Any], authority: Authority
) -> None:
    toml = callers / "pdp.toml"
    only_key = CALLERS.split("[[callers]]")[2]
    toml.write_text(toml.read_text().replace(CALLERS, f"[[callers]]{only_key}"))
    headers = {"Authorization": "Bearer good"}
    question = {**QUESTION, "token": support.token()}
    del question["subject"]
    async with support.pdp(callers, **keyed) as server:

        async def statuses() -> tuple[int, int]:
            one, _ = await server.ask("POST", "/v1/decision", json=question, headers=headers)
            other, _ = await server.ask("GET", "/v1/policy", admin=True, headers=BEARER)
            return one.status, other.status

        async def are(*expected: int) -> bool:
            return await statuses() == expected

        assert await statuses() == (200, 200)
        (callers / "key.sha256").write_text("# all withdrawn\n")
        await until(lambda: are(401, 200), 2)
        (callers / "admin.sha256").write_text("# all withdrawn\n")
        await until(lambda: are(401, 401), 2)
        _, body = await server.ask("GET", "/readyz", admin=True)
        assert len(json.loads(body)["callers_stale"]) == 2  # a file without a digest
        (callers / "key.sha256").write_text(hashlib.sha256(b"good").hexdigest())
        await until(lambda: are(200, 401))


@pytest.mark.parametrize("path", ["/v1/policy", "/v1/reload", "/v1/explain", "/metrics", "/readyz"])
async def test_a_browser_is_told_nothing(server: Running, path: str) -> None:
    origin = {"Origin": "https://evil.test"}
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization"
    for method, headers in (("OPTIONS", preflight), ("GET", origin), ("POST", origin)):
        response, _ = await server.ask(method, path, admin=True, headers=headers)
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        if path.startswith("/v1/"):
            assert response.status in {400, 405}


# Probes


async def probed(env: dict[str, str], *args: str) -> tuple[int, str]:
    """The exit code of `pdp healthcheck`, and what it says."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pdp", "healthcheck", *args),
        env={**os.environ, **env},
        stdout=pipe,
        stderr=pipe,
    )
    out, err = await process.communicate()
    return process.returncode or 0, (out + err).decode()


@pytest.mark.parametrize("ca", [False, True], ids=["tls", "client certificates"])
async def test_a_probe_asks_over_tls(policies: Path, authority: Authority, ca: bool) -> None:
    tls = flags(authority.server(), authority.ca if ca else None)
    async with support.pdp(policies, **tls) as server:
        env = {f"PDP_{name.upper()}": value for name, value in tls.items()}
        loaded = server.service.loaded.server
        env |= {"PDP_LISTEN": loaded.listen, "PDP_ADMIN_LISTEN": loaded.admin_listen}
        assert await probed(env) == (0, "ready\n")
        code, _ = await probed({}, "--url", f"https://{loaded.listen}")
        assert code == (1 if ca else 0)  # a probe has no certificate
        server.service.stopping = True
        code, told = await probed(env)
        assert (code, "status 503" in told) == (1, True)


# The end


Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(policies: Path) -> Iterator[Started]:
    """A real process, on uvloop, that is serving."""
    with contextlib.ExitStack() as ended:

        def started(listen: str, *args: str, **env: str) -> subprocess.Popen[str]:
            admin = f"127.0.0.1:{support.free_port()}"
            command = [sys.executable, "-m", "pdp", "serve", str(policies), "--listen", listen]
            process = ended.enter_context(
                subprocess.Popen(  # noqa: S603
                    [*command, "--admin-listen", admin, "--decision-log", "off", *args],
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **env},
                )
            )
            ended.callback(process.kill)
            assert process.stderr
            for line in process.stderr:
                if '"serving"' in line:
                    return process
            raise AssertionError("it does not serve")

        yield started


def busy(place: str) -> socket.socket:
    """A connection with a request under way."""
    host, port = place.split(":")
    client = socket.create_connection((host, int(port)), 10)
    client.sendall(
        b"POST /v1/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{"
    )
    time.sleep(0.2)
    return client


def test_it_is_not_ready_before_it_ends_and_answers_what_is_under_way(start: Started) -> None:
    place = f"127.0.0.1:{support.free_port()}"
    process = start(place, PDP_SHUTDOWN_DELAY_SECONDS="1.5")
    with busy(place) as client:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with socket.create_connection(tuple(place.split(":")), 5) as probe:  # type: ignore[arg-type]
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: pdp\r\n\r\n")
            assert probe.recv(4_096).startswith(b"HTTP/1.1 503 ")
        time.sleep(1.5)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(tuple(place.split(":")), 5)  # type: ignore[arg-type]
        client.sendall(b"}")
        assert client.recv(4_096).startswith(b"HTTP/1.1 400 ")
    assert process.wait(10) == 0
    assert 1.9 < time.monotonic() - began < 6


@pytest.mark.parametrize("delay", ["0", "30"])
def test_a_second_signal_ends_it_at_once(start: Started, tmp_path: Path, delay: str) -> None:
    place = f"127.0.0.1:{support.free_port()}"
    process = start(place, PDP_SHUTDOWN_DELAY_SECONDS=delay, PDP_DRAIN_SECONDS="30")
    with busy(place):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(3) == 0


def test_a_process_removes_its_socket(start: Started, tmp_path: Path) -> None:
    path = tmp_path / "pdp.sock"
    process = start(f"unix:{path}")
    assert path.is_socket()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not path.exists()


def test_a_process_speaks_tls_and_takes_another_certificate_over(
    start: Started, authority: Authority, tmp_path: Path
) -> None:
    live, other = authority.server(), authority.server("other")
    host, port = "127.0.0.1", support.free_port()
    names = ("--tls-cert", str(live.cert), "--tls-key", str(live.key))
    start(f"{host}:{port}", *names, "--tls-client-ca", str(authority.ca))
    client = authority.client(authority.issue("client"))

    def serial() -> bytes:
        with (
            socket.create_connection((host, port), 5) as plain,
            client.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"GET /readyz HTTP/1.1\r\nHost: pdp\r\n\r\n")
            assert tls.recv(4_096).startswith(b"HTTP/1.1 200 ")
            return tls.getpeercert(binary_form=True) or b""

    assert serial() == ssl.PEM_cert_to_DER_cert(live.cert.read_text())
    live.write(other)
    expected, deadline = ssl.PEM_cert_to_DER_cert(other.cert.read_text()), time.monotonic() + 8
    while serial() != expected:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with (
        socket.create_connection((host, port), 5) as plain,
        contextlib.suppress(ssl.SSLError, ConnectionError),
        authority.client().wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET /readyz HTTP/1.1\r\nHost: pdp\r\n\r\n")
        assert tls.recv(1) == b""  # the end of the connection, if not an error
