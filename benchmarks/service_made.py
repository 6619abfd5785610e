"""A policy of ten thousand rows, tokens, and the scripts by which `wrk` asks, for service.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt
from policies_made import ISSUER, RBAC, issuer, layer, write_files
from tokens_made import KEYS, KID, published

ROWS = 10_000
ROLES = 100
USERS = 1_000
NEW = "decision, new tokens"
WARM, COLD, REMEMBERED = 500, 6_000, 1_000

_ISSUER = issuer("ES256", 'jwks_file = "jwks.json"')
_TOML = f"[authentication]\ntoken_cache_size = {REMEMBERED}\n{_ISSUER}{layer('rbac')}"


def write_policy(place: Path) -> None:
    """Ten thousand rows of a hundred roles, which a thousand users hold."""
    write_files(place, {"pdp.toml": _TOML, "rbac.conf": RBAC})
    (place / "jwks.json").write_bytes(published("ES256"))
    rows = [f"p, role{n % ROLES}, /service{n}/items/:id, ^(GET|HEAD)$" for n in range(ROWS)]
    rows += [f"g, user{n}, role{n % ROLES}" for n in range(USERS)]
    (place / "rbac.csv").write_text("\n".join(rows) + "\n")


def resource(user: int) -> str:
    """A page that the user may read; over all users, most rows have their turn."""
    row = (user * 7 % (ROWS // ROLES)) * ROLES + user % ROLES
    return f"/service{row}/items/{user}"


def tokens(count: int) -> list[str]:
    """Tokens of as many users, each one different."""
    now = int(time.time())
    always = {"iss": ISSUER, "aud": "api", "iat": now, "exp": now + 3600}
    return [
        jwt.encode(
            {**always, "sub": f"user{n % USERS}", "jti": str(n)},
            KEYS["ES256"],
            "ES256",
            {"kid": KID},
        )
        for n in range(count)
    ]


Ask = tuple[dict[str, str], bytes]  # header fields and body
Make = Callable[[str, str], Ask]  # of who asks, or their token, and the page


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked; `limit` names the server that it is compared with."""

    name: str
    limit: str
    method: str
    path: str
    asks: tuple[Ask, ...]  # all of them allowed, in turn
    forbidden: Ask  # one that must not be


def question(name: str, limit: str, target: str, make: Make, who: Sequence[str]) -> Scenario:
    """One question, asked by all of these; `target` is its method and its path."""
    method, path = target.split()
    asks = tuple(make(one, resource(n % USERS)) for n, one in enumerate(who))
    return Scenario(name, limit, method, path, asks, make(who[0], resource(1)))


def scenarios() -> list[Scenario]:
    """Every question that is measured."""
    made = tokens(WARM + COLD)
    warm, cold = made[:WARM], made[WARM:]
    return [
        question("evaluation", "evaluation", "POST /access/v1/evaluation", _evaluation, asked()),
        question("decision", "decision", "POST /v1/decision", _decision, warm),
        question(NEW, "decision", "POST /v1/decision", _decision, cold),
        question("nginx", "bare", "GET /authz/nginx", _nginx, warm),
        question("forward", "bare", "GET /authz/forward", _forward, warm),
    ]


def asked() -> list[str]:
    """Who asks, where no token is needed."""
    return [f"user{n}" for n in range(WARM)]


JSON = {"Content-Type": "application/json"}


def _evaluation(user: str, page: str) -> Ask:
    return JSON, json.dumps(
        {
            "subject": {"type": "user", "id": user},
            "action": {"name": "GET"},
            "resource": {"type": "resource", "id": page},
            "context": {"ip": "203.0.113.9"},
        }
    ).encode()


def _decision(token: str, page: str) -> Ask:
    asks = {"token": token, "action": "GET", "resource": page, "context": {"ip": "203.0.113.9"}}
    return JSON, json.dumps(asks).encode()


def _nginx(token: str, page: str) -> Ask:
    return _gateway(token, {"X-Original-Method": "GET", "X-Original-URI": page})


def _forward(token: str, page: str) -> Ask:
    return _gateway(token, {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": page})


def _gateway(token: str, target: dict[str, str]) -> Ask:
    fields = {
        **target,
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "Authorization": f"Bearer {token}",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
        "Accept": "*/*",
    }
    return fields, b""


_LUA = """
local asks = {
%s
}
local n = 0
request = function() n = n %% #asks + 1; return asks[n] end
done = function(summary, latency)
  local e = summary.errors
  local wrong = e.connect + e.read + e.write + e.status + e.timeout
  local form = 'RESULT {"requests": %%d, "seconds": %%f, "wrong": %%d, "p50": %%d, "p99": %%d}\\n'
  io.write(string.format(form, summary.requests, summary.duration / 1e6, wrong,
    latency:percentile(50), latency:percentile(99)))
end
"""


def write_script(place: Path, scenario: Scenario) -> Path:
    """The script by which wrk asks all its questions in turn, over and over."""
    name = "-".join((scenario.name, scenario.path.strip("/").replace("/", "-")))
    file = place / f"{name}.lua"
    file.write_text(_LUA % ",\n".join(_lua(_text(scenario, *ask)) for ask in scenario.asks))
    return file


def _text(scenario: Scenario, fields: dict[str, str], body: bytes) -> bytes:
    """The request as it goes over the wire."""
    length = {"Content-Length": str(len(body))} if body else {}
    lines = [f"{name}: {value}" for name, value in {**fields, **length}.items()]
    head = [f"{scenario.method} {scenario.path} HTTP/1.1", "Host: localhost", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def _lua(data: bytes) -> str:
    return json.dumps(data.decode())  # all of it is ascii: one syntax for both
