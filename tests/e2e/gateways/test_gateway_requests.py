"""Methods, large headers, bodies, WebSockets, and what a question costs in connections."""

from __future__ import annotations

import pytest
from gateway_cases import ALICE
from gateway_processes import Live
from gateway_wire import connect, receive, request_bytes

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    *("PROPFIND", "REPORT", "MKCOL", "LOCK", "SEARCH", "PURGE", "M-SEARCH"),
)
REFUSABLE = ("TRACE", "CONNECT", "TRACK", "DEBUG", "FOO")  # by the gateway itself
LOWER = ("get", "Get", "post", "delete", "gET")


@pytest.mark.parametrize("method", METHODS)
def test_the_method_that_is_judged_is_the_method_that_is_served(live: Live, method: str) -> None:
    response, decisions, seen = live.judge(method, "/any/a")
    if f"method {method}" in live.gateway.deviations:
        assert (400 <= response.status < 500, seen) == (True, [])
        return
    assert (response.status, len(seen)) == (200, 1)
    assert [d["action"] for d in decisions] == [seen[0]["method"]] == [method]


@pytest.mark.parametrize("method", REFUSABLE)
def test_an_odd_method_is_judged_as_it_is_or_refused(live: Live, method: str) -> None:
    response, decisions, seen = live.judge(method, "/any/a")
    assert (response.status == 200) == bool(seen)
    assert [d["action"] for d in decisions if d["status"] == 200] == [s["method"] for s in seen]


@pytest.mark.parametrize("method", LOWER)
def test_a_method_in_lower_case_is_another_one(live: Live, method: str) -> None:
    response, decisions, seen = live.judge(method, "/any/a")
    assert (400 <= response.status < 500, seen) == (True, [])
    assert {d["action"] for d in decisions} <= {method}


def test_a_large_cookie_and_a_large_body_are_no_trouble(live: Live) -> None:
    body = b"x" * 100_000
    cookies = [("Cookie", f"c{i}={'v' * 4000}") for i in range(4)]
    joined = [("Cookie", "; ".join(value for _, value in cookies))]
    response, _, seen = live.judge("POST", "/any/a", joined, body=body)
    assert (response.status, len(seen)) == (200, 1)
    assert [v for k, v in seen[0]["headers"] if k.lower() == "cookie"] == [joined[0][1]]


def test_a_body_in_chunks_reaches_the_application_and_not_the_pdp(live: Live) -> None:
    head = request_bytes("POST", "/any/a", [("Transfer-Encoding", "chunked")])
    live.judge("GET", "/docs/a")
    with connect(live.port) as peer:
        peer.sendall(head + b"5\r\nhello\r\n0\r\n\r\n")
        assert receive(peer).status == 200
    assert [s["method"] for s in live.app.take()] == ["POST"]


def test_a_websocket_is_judged_and_then_carried(live: Live) -> None:
    fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    refused, _, seen = live.judge("GET", "/invoices/7", fields)
    assert (refused.status, seen) == (401, [])
    for path, credential in (("/docs/ws", []), ("/invoices/7", [ALICE])):
        with connect(live.port) as peer:
            peer.sendall(request_bytes("GET", path, [*fields, *credential]))
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
            frame = b"\x81\x05hello"
            peer.sendall(frame)
            got = b""
            while len(got) < len(frame):
                got += peer.recv(4096)
            assert got == frame


def test_connections_to_the_pdp_are_kept(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    live.ask("GET", "/docs/a")
    before = live.relay.connections
    for number in range(100):
        fields = [ALICE] if number % 2 else []
        assert live.ask("GET", "/invoices/7", fields).status == (200 if number % 2 else 401)
    for _ in range(10):  # whoever promises the PDP a body has to open another
        assert live.ask("POST", "/any/a", [ALICE], body=b"x" * 1000).status == 200
    opened = live.relay.connections - before
    with capsys.disabled():
        print(f"\n{live.name}: {opened} new connections to the PDP in 110 requests; {live.version}")  # noqa: T201
    assert opened <= live.gateway.connections
