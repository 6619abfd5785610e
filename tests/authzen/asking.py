"""Questions put to the AuthZEN endpoints of a running PDP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from support import Running

KEYS = {"gateway": "gateway-key", "voucher": "voucher-key", "auditor": "auditor-key"}
_MAY = {"gateway": "", "voucher": "vouch = true\n", "auditor": "see_reasons = true\n"}
IP = {"ip": "203.0.113.9"}


def user(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "user", "id": name, **({"properties": properties} if properties else {})}


def question(
    subject: str, action: str = "GET", resource: str = "/invoices/7", **context: Any
) -> dict[str, Any]:
    return {
        "subject": user(subject),
        "action": {"name": action},
        "resource": {"type": "resource", "id": resource},
        "context": {**IP, **context},
    }


def add_callers(policies: Path) -> Path:
    """Callers that may each do one thing more than the gateway."""
    with (policies / "pdp.toml").open("a") as file:
        for name, key in KEYS.items():
            digest = hashlib.sha256(key.encode()).hexdigest()
            (policies / f"{name}.sha256").write_text(f"{digest}\n")
            file.write(f'[[callers]]\nname = "{name}"\nkey_sha256_file = "{name}.sha256"\n')
            file.write(_MAY[name])
    return policies


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


async def ask(
    server: Running, to: str, body: object, headers: Mapping[str, str] | None = None
) -> tuple[aiohttp.ClientResponse, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", **(headers or {})}
    response, found = await server.ask("POST", f"/access/v1/{to}", data=data, headers=fields)
    return response, json.loads(found)
