"""Answers as Cerbos or OPA would, from the very files that a benchmark made for them.

`careless` is a Cerbos that allows everything.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from aiohttp import web


def cerbos(config: Path, *, careless: bool = False) -> tuple[int, web.Application]:
    """The port and the application that a configuration of Cerbos describes."""
    told = config.read_text()
    port = re.search(r'httpListenAddr: "127.0.0.1:(\d+)"', told)
    directory = re.search(r'directory: "([^"]+)"', told)
    assert port
    assert directory

    async def check(request: web.Request) -> web.Response:
        asks = await request.json()
        resource = asks["resources"][0]["resource"]
        policy = (Path(directory[1]) / f"{resource['kind']}.yaml").read_text()
        role = re.search(r"roles: \[(\w+)\]", policy)
        assert role
        allowed = careless or role[1] in asks["principal"]["roles"]
        effect = "EFFECT_ALLOW" if allowed else "EFFECT_DENY"
        return web.json_response({"results": [{"actions": {"GET": effect}}]}, dumps=compact)

    app = web.Application()
    app.router.add_post("/api/check/resources", check)
    return int(port[1]), app


def opa(address: str, document: Path) -> tuple[int, web.Application]:
    """The port and the application that flags of OPA describe."""
    data = json.loads(document.read_text())

    async def allow(request: web.Request) -> web.Response:
        asks = (await request.json())["input"]
        service = asks["resource"].split("/")[1]
        roles = data["users"][asks["subject"]]
        allowed = any(asks["action"] in data["pages"][service].get(role, ()) for role in roles)
        return web.json_response({"result": allowed}, dumps=compact)

    app = web.Application()
    app.router.add_post("/v1/data/pdp/allow", allow)
    return int(address.rpartition(":")[2]), app


def compact(value: Any) -> str:
    """As both write it."""
    return json.dumps(value, separators=(",", ":"))


def main(name: str, *flags: str) -> None:
    """Serve, or tell the version."""
    if flags[0] in {"--version", "version"}:
        print("Version: 0.0.1")  # noqa: T201
        return
    given = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    if name == "opa":
        port, app = opa(given["--addr"], Path(flags[-1]))
    else:
        port, app = cerbos(Path(given["--config"]), careless=name == "careless")
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
