# ruff: noqa: INP001 - a script beside samples, in no package
"""An application for trying a gateway out: it answers with the request that it got, byte by byte.

    python echo.py 8080

No server library stands between, so nothing is decoded, merged or reordered: `target` is the
request line's. `/docs/missing` is a page that does not exist, `/docs/forbidden` one that it refuses
itself; a WebSocket is accepted and echoed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Callable
from typing import Any

Seen = dict[str, Any]
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_NOT_FOUND = b"<h1>The application has no such page</h1>\n"


def parse(head: bytes) -> Seen:
    """Method, raw target and header fields, in order and as they were spelt."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    target = rest.rpartition(" ")[0]
    fields = [line.partition(":") for line in lines]
    return {
        "method": method,
        "target": target,
        "headers": [[name, value.strip()] for name, _, value in fields],
    }


def field(seen: Seen, name: str) -> str | None:
    """The first field of this name."""
    return next((value for key, value in seen["headers"] if key.lower() == name), None)


def answer(seen: Seen) -> bytes:
    """The response, headers included."""
    key = field(seen, "sec-websocket-key")
    if key is not None and (field(seen, "upgrade") or "").lower() == "websocket":
        accept = base64.b64encode(hashlib.sha1(key.encode() + _WEBSOCKET).digest())  # noqa: S324
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
    status, kind, body = "200 OK", "application/json", json.dumps(seen).encode()
    if re.match(r"/docs/(?:missing|broken)\b|/_not_found\b", seen["target"]):
        status, kind, body = "404 Not Found", "text/html", _NOT_FOUND
    if seen["target"].startswith("/docs/broken"):
        status, kind, body = "500 Internal Server Error", "text/plain", b"the application's own 500"
    if seen["target"].startswith("/docs/forbidden"):
        status, kind, body = "403 Forbidden", "text/plain", b"the application's own 403"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nX-App: echo\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if seen["method"] == "HEAD" else body)


async def _read_body(reader: asyncio.StreamReader, seen: Seen) -> None:
    if field(seen, "transfer-encoding"):
        await reader.readuntil(b"0\r\n\r\n")
    elif length := int(field(seen, "content-length") or 0):
        await reader.readexactly(length)


def handler(
    heard: Callable[[Seen], None],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    """What serves one connection; `heard` is told of every request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                seen = parse(await reader.readuntil(b"\r\n\r\n"))
                heard(seen)
                await _read_body(reader, seen)
                response = answer(seen)
                writer.write(response)
                if response.startswith(b"HTTP/1.1 101"):
                    while data := await reader.read(4096):
                        writer.write(data)
                    break
        writer.close()

    return serve


async def main(port: int) -> None:
    """Serve on loopback until the process is ended."""
    server = await asyncio.start_server(
        handler(lambda seen: print(json.dumps(seen), flush=True)),  # noqa: T201
        "127.0.0.1",
        port,
        limit=1 << 20,
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
