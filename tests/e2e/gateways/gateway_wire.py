"""Requests as raw bytes, and answers as a client sees them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from dataclasses import dataclass

Fields = Sequence[tuple[str, str]]
CLIENT = "127.0.0.2"  # any loopback address but the one that the PDP takes for a proxy
NEGLIGIBLE = frozenset({"date", "x-decision-id"})


@dataclass(frozen=True)
class Response:
    """Status, reason, header fields in order, and body; `status` 0: closed without a word."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def shown(self) -> object:
        """All that a client could compare, in order."""
        fields = [(k, v) for k, v in self.headers if k.lower() not in NEGLIGIBLE]
        return self.status, self.reason, fields, self.body


def request_bytes(method: str, target: str, fields: Fields = (), body: bytes = b"") -> bytes:
    """Exactly these bytes; text is latin-1, so that every byte can be said."""
    names = {name.lower() for name, _ in fields}
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [] if "host" in names else ["Host: app.test"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += [] if "connection" in names else ["Connection: close"]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def connect(port: int, source: str = CLIENT, timeout: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))


def send(
    port: int, data: bytes, *, source: str = CLIENT, timeout: float = 10, method: str = "GET"
) -> Response:
    """One connection, one request, one answer."""
    with connect(port, source, timeout) as peer:
        peer.sendall(data)
        return receive(peer, method)


def receive(peer: socket.socket, method: str = "GET") -> Response:
    response = http.client.HTTPResponse(peer, method=method)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionError):
        return Response(0)
    finally:
        response.close()
    return Response(response.status, response.reason, tuple(response.msg.items()), body)
