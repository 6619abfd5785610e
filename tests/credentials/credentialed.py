"""Questions with every kind of credential, put to a PDP in each of four ways."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support import VERDICTS, Running, copy_policies, pdp, token

from pdp.identity.attempts import Refuses
from pdp.model import RESOURCE_TYPE, Action, Credentials, Entity, Query, Verdict
from pdp.pipeline import judge

POLICIES = VERDICTS.parent / "credentials"
HOME, ELSEWHERE, COOKIE = "203.0.113.9", "203.0.113.10", "__Host-session"

METADATA = ', resource_metadata="https://api.test/.well-known/oauth-protected-resource"'
BEARER = 'Bearer realm="tests"'
OTHERS = (
    ', ApiKey realm="tests", Basic realm="tests", charset="UTF-8",'
    f' Cookie realm="tests", cookie-name="{COOKIE}"'
)


def asking(error: str = "", description: str = "", demands: str = "") -> str:
    """The whole `WWW-Authenticate` of a 401."""
    told = f', error="{error}", error_description="{description}"' if error else ""
    return BEARER + told + demands + METADATA + OTHERS


MISSING = asking()
INVALID = asking("invalid_token", "The access token is not valid")
EXPIRED = asking("invalid_token", "The access token has expired")


@dataclass(frozen=True)
class Presented:
    """Header values, as a client sends them."""

    authorization: str | None = None
    api_key: str | None = None
    cookie: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        names = {"Authorization": "authorization", "X-API-Key": "api_key", "Cookie": "cookie"}
        given = {header: getattr(self, name) for header, name in names.items()}
        return {header: value for header, value in given.items() if value is not None}

    def __or__(self, other: Presented) -> Presented:
        return replace(self, **{n: v for n, v in vars(other).items() if v is not None})


NOTHING = Presented()


def bearer(sub: str = "alice", **claims: Any) -> Presented:
    return Presented(authorization="Bearer " + token(sub, **claims))


def basic(name: str, password: str | None = None) -> Presented:
    text = f"{name}:{f'password-of-{name}' if password is None else password}"
    return Presented(authorization="Basic " + base64.b64encode(text.encode()).decode())


def session(sub: str = "alice", **claims: Any) -> Presented:
    return Presented(cookie=f"theme=dark; {COOKIE}={token(sub, **claims)}; lang=en")


def key(name: str) -> str:
    return f"key-of-{name}-0123456789"


def api_key(name: str) -> Presented:
    return Presented(api_key=key(name))


def api_key_scheme(name: str) -> Presented:
    return Presented(authorization=f"ApiKey {key(name)}")


@dataclass(frozen=True)
class Row:
    """A question with its credentials, and the verdict that must hold."""

    number: str
    resource: str
    status: int
    reason: str
    presented: Presented = NOTHING
    challenge: str | None = None
    subject: str | None = None
    country: str = "DE"
    ip: str = HOME
    action: str = "GET"
    accept: str = "*/*"
    extra: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number} {self.resource}"


def forward_headers(row: Row) -> dict[str, str]:
    return {
        "X-Forwarded-Method": row.action,
        "X-Forwarded-Uri": row.resource,
        **_gateway_headers(row),
    }


def nginx_headers(row: Row) -> dict[str, str]:
    return {
        "X-Original-Method": row.action,
        "X-Original-URI": row.resource,
        **_gateway_headers(row),
    }


def _gateway_headers(row: Row) -> dict[str, str]:
    return {
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-For": row.ip,
        "X-Forwarded-Proto": "https",
        "CF-IPCountry": row.country,
        "Accept": row.accept,
        **row.extra,
        **row.presented.fields,
    }


def body_of(row: Row) -> dict[str, Any]:
    given = {name: value for name, value in vars(row.presented).items() if value is not None}
    context = {"ip": row.ip, "country": row.country}
    asked = {"action": row.action, "resource": row.resource, "context": context}
    return {**asked, **given, "accept": row.accept}


async def by_engine(server: Running, row: Row) -> Verdict:
    """The verdict of the seven steps, without a surface."""
    query = Query(
        Action(row.action),
        Entity(RESOURCE_TYPE, row.resource),
        {"ip": row.ip, "country": row.country, "scheme": "https"},
    )
    service = server.service
    credentials = Credentials(**vars(row.presented))

    async def authenticate(given: Credentials, now: float, refuses: Refuses) -> Any:
        return await service.authenticate(given, now, refuses, address=row.ip)

    return await judge(query, credentials, authenticate, service.snapshot, time.time())


async def by_json(server: Running, row: Row) -> dict[str, Any]:
    _, body = await server.ask("POST", "/v1/decision", json=body_of(row))
    found: dict[str, Any] = json.loads(body)
    return found


@dataclass(frozen=True)
class Shown:
    """All of a gateway's answer that a client could compare."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str | None:
        found = [value for field, value in self.fields if field == name]
        return ",".join(found) if found else None


_NEGLIGIBLE = {"Date", "X-Decision-Id"}


async def by_forward(server: Running, row: Row) -> Shown:
    return await _shown(server, "/authz/forward", forward_headers(row))


async def by_nginx(server: Running, row: Row) -> Shown:
    return await _shown(server, "/authz/nginx", nginx_headers(row))


async def _shown(server: Running, path: str, headers: Mapping[str, str]) -> Shown:
    response, body = await server.ask("GET", path, headers=headers, allow_redirects=False)
    fields = tuple((k, v) for k, v in response.headers.items() if k not in _NEGLIGIBLE)
    return Shown(response.status, fields, body)


def computed(server: Running) -> int:
    """How many passwords were hashed so far."""
    threads = server.service.loaded.beside.equipment.passwords
    assert threads is not None
    return threads.computed


def nginx_status(status: int) -> int:
    """What nginx's endpoint can say of a verdict."""
    return status if status in (200, 401) else 403


DECISIONS = "decisions.jsonl"
NO_LIMITS = '\n[limits]\nfailed_passwords = "off"\nfailed_passwords_per_address = "off"\n'


@contextlib.asynccontextmanager
async def serving(
    directory: Path, *changes: tuple[str, str], more: str = ""
) -> AsyncIterator[Running]:
    """A PDP over this directory of policies, with `pdp.toml` changed, and DECISIONS beside it."""
    target = copy_policies(directory, POLICIES)
    settings = (target / "pdp.toml").read_text()
    for old, new in changes:
        assert old in settings
        settings = settings.replace(old, new)
    (target / "pdp.toml").write_text(settings + more)
    async with pdp(target, decision_log=str(directory / DECISIONS)) as live:
        yield live
