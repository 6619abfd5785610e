"""What service.py compares with: one route on aiohttp's `web.Application`, no access log."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web


def application(answer: bytes) -> web.Application:
    """Decodes what it is asked and answers with the value of `answer`; if empty, with nothing."""
    value = msgspec.json.decode(answer) if answer else None

    async def decoded(request: web.Request) -> web.Response:
        msgspec.json.decode(await request.read())
        return web.Response(body=msgspec.json.encode(value), content_type="application/json")

    async def bare(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", decoded if answer else bare)
    return app


if __name__ == "__main__":
    port, file = sys.argv[1:]
    web.run_app(
        application(Path(file).read_bytes()),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
