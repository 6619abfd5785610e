"""Bytes that are no clean request: nothing that was not judged reaches the application."""

from __future__ import annotations

import socket

import pytest
from gateway_cases import ALICE
from gateway_processes import Live
from gateway_targets import canonical, protected
from gateway_wire import connect, receive, request_bytes

SECOND = "GET /admin HTTP/1.1\r\nHost: app.test\r\n\r\n"
SMUGGLE = f"0\r\n\r\n{SECOND}"
CHUNK = f"{len(SECOND):x}\r\n{SECOND}\r\n0\r\n\r\n"
POST = "POST /any/a HTTP/1.1\r\nHost: app.test\r\n"


def framed(*lines: str, body: str = SMUGGLE) -> str:
    return POST + "".join(f"{line}\r\n" for line in lines) + "\r\n" + body


LENGTH = f"Content-Length: {len(SMUGGLE)}"
CHUNKED = "Transfer-Encoding: chunked"
ODDITIES = {
    "length and chunks": framed(LENGTH, CHUNKED),
    "chunks and length": framed(CHUNKED, LENGTH),
    "chunks and a short length": framed("Content-Length: 3", CHUNKED, body=CHUNK),
    "two lengths": framed("Content-Length: 0", LENGTH),
    "two lengths the other way": framed(LENGTH, "Content-Length: 0"),
    "a list of lengths": framed(f"Content-Length: 0, {len(SMUGGLE)}"),
    "a length with a sign": framed("Content-Length: +0"),
    "a length in hex": framed("Content-Length: 0x0"),
    "a length below zero": framed("Content-Length: -1"),
    "a space before the colon": framed("Content-Length: 0", "Transfer-Encoding : chunked"),
    "a tab before the coding": framed(LENGTH, "Transfer-Encoding:\tchunked"),
    "a control before the coding": framed(LENGTH, "Transfer-Encoding:\x0bchunked"),
    "an unknown coding": framed(LENGTH, "Transfer-Encoding: xchunked"),
    "chunked and another coding": framed(LENGTH, "Transfer-Encoding: chunked, identity"),
    "chunked twice": framed(LENGTH, CHUNKED, CHUNKED),
    "an underscore": framed(LENGTH, "Transfer_Encoding: chunked"),
    "a folded line": framed(LENGTH, "Transfer-Encoding:\r\n chunked"),
    "a bare line feed": framed(LENGTH, "X: y\nTransfer-Encoding: chunked"),
    "a bare carriage return": framed(LENGTH, "X: y\rTransfer-Encoding: chunked"),
    "a length on a GET": f"GET /docs/a HTTP/1.1\r\nHost: app.test\r\n{LENGTH}\r\n\r\n{SMUGGLE}",
    "chunks on a GET": f"GET /docs/a HTTP/1.1\r\nHost: app.test\r\n{CHUNKED}\r\n\r\n{SMUGGLE}",
    "a chunk size with a sign": framed(CHUNKED, body=f"+0\r\n\r\n{SECOND}"),
    "a chunk extension": framed(CHUNKED, body=f"0;\n\r\n\r\n{SECOND}"),
    "a trailer": framed(CHUNKED, body="0\r\nX-Auth-Subject: root\r\n\r\n" + SECOND),
    "an upgrade to h2c": framed(
        "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"
    ),
    "no version": "GET /admin\r\n\r\n",
    "version 0.9": "GET /admin HTTP/0.9\r\n\r\n",
    "version 1.0 without a host": "GET /admin HTTP/1.0\r\n\r\n",
    "version 2.0": "GET /admin HTTP/2.0\r\nHost: app.test\r\n\r\n",
    "no host": "GET /admin HTTP/1.1\r\n\r\n",
    "a line break in the target": "GET /docs/a\r/../../admin HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "two spaces": "GET  /admin HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "a tab": "GET\t/admin\tHTTP/1.1\r\nHost: app.test\r\n\r\n",
    "two targets": "GET /docs/a /admin HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "line feeds only": "GET /admin HTTP/1.1\nHost: app.test\n\n",
    "a line before it": "\r\nGET /admin HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "a space before a header": "GET /docs/a HTTP/1.1\r\n X: y\r\nHost: app.test\r\n\r\n" + SECOND,
    "NUL in a header": "GET /admin HTTP/1.1\r\nHost: app.test\r\nX: a\0b\r\n\r\n",
    "a connection to elsewhere": "CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n"
    + SECOND,
}


def drain(peer: socket.socket) -> bytes:
    got = b""
    peer.settimeout(0.08)  # long for loopback: whoever was going to answer has
    try:
        while data := peer.recv(65536):
            got += data
    except (TimeoutError, ConnectionError):
        pass
    return got


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_was_not_judged_is_not_served(live: Live, oddity: str) -> None:
    live.judge("GET", "/docs/a")
    with connect(live.port) as peer:
        peer.sendall(ODDITIES[oddity].encode("latin-1"))
        drain(peer)
    seen = [s for s in live.app.take() if s["target"] != live.gateway.page]
    judged = [d["resource"] for d in live.pdp.take() if d["status"] == 200]
    for served in seen:
        judged.remove(canonical(served["target"]))
    assert not any(protected(s["target"]) for s in seen)


def test_every_request_of_a_connection_is_judged(live: Live) -> None:
    asked = [("/docs/a", []), ("/invoices/7", []), ("/invoices/7", [ALICE]), ("/admin", [ALICE])]
    expected = [200, 401, 200, 404]
    live.judge("GET", "/docs/a")
    with connect(live.port) as peer:
        for (path, fields), status in zip(asked * 3, expected * 3, strict=True):
            peer.sendall(request_bytes("GET", path, [*fields, ("Connection", "keep-alive")]))
            assert receive(peer).status == status
    served = [s["target"] for s in live.app.take() if s["target"] != live.gateway.page]
    assert served == ["/docs/a", "/invoices/7"] * 3


def test_pipelined_requests_are_judged_one_by_one(live: Live) -> None:
    kept = ("Connection", "keep-alive")
    requests = [("/docs/a", [kept]), ("/admin", [kept, ALICE]), ("/invoices/7", [])]
    data = b"".join(request_bytes("GET", path, fields) for path, fields in requests)
    live.judge("GET", "/docs/a")
    with connect(live.port) as peer:
        peer.sendall(data)
        drain(peer)
    served = {s["target"] for s in live.app.take()} - {live.gateway.page}
    assert served == {"/docs/a"}
