"""A policy of ten thousand rows, tokens, and the scripts by which `wrk` asks, for service.py."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jwt
from tokens_made import ISSUER, KEYS, KID, published

ROWS = 10_000
ROLES = 100
USERS = 1_000
WARM, COLD, REMEMBERED = 500, 6_000, 1_000

_TOML = """
[authentication]
token_cache_size = {remembered}
[[authentication.issuers]]
issuer = "{issuer}"
audiences = ["api"]
algorithms = ["ES256"]
jwks_file = "jwks.json"

[[layers]]
name = "rbac"
kind = "grant"
model = "rbac.conf"
policy = "rbac.csv"
"""
_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)
"""


def write_policy(place: Path) -> None:
    """Ten thousand rows of a hundred roles, which a thousand users hold."""
    (place / "pdp.toml").write_text(_TOML.format(issuer=ISSUER, remembered=REMEMBERED))
    (place / "rbac.conf").write_text(_MODEL)
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


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked; `limit` names the server that it is compared with."""

    name: str
    limit: str
    method: str
    path: str
    asks: tuple[tuple[dict[str, str], bytes], ...]  # header fields and body, in turn


def scenarios() -> list[Scenario]:
    """Every question that is measured."""
    made = tokens(WARM)
    others = tokens(WARM + COLD)[WARM:]
    return [
        Scenario("evaluation", "evaluation", "POST", "/access/v1/evaluation", _evaluations()),
        Scenario("decision", "decision", "POST", "/v1/decision", _decisions(made)),
        Scenario("decision, new tokens", "decision", "POST", "/v1/decision", _decisions(others)),
        Scenario(
            "nginx",
            "bare",
            "GET",
            "/authz/nginx",
            _gateway(made, "X-Original-Method", "X-Original-URI"),
        ),
        Scenario(
            "forward",
            "bare",
            "GET",
            "/authz/forward",
            _gateway(made, "X-Forwarded-Method", "X-Forwarded-Uri"),
        ),
    ]


_JSON = {"Content-Type": "application/json"}


def _evaluations() -> tuple[tuple[dict[str, str], bytes], ...]:
    return tuple(
        (
            _JSON,
            json.dumps(
                {
                    "subject": {"type": "user", "id": f"user{user}"},
                    "action": {"name": "GET"},
                    "resource": {"type": "resource", "id": resource(user)},
                    "context": {"ip": "203.0.113.9"},
                }
            ).encode(),
        )
        for user in range(WARM)
    )


def _decisions(made: Iterable[str]) -> tuple[tuple[dict[str, str], bytes], ...]:
    return tuple(
        (
            _JSON,
            json.dumps(
                {
                    "token": token,
                    "action": "GET",
                    "resource": resource(n % USERS),
                    "context": {"ip": "203.0.113.9"},
                }
            ).encode(),
        )
        for n, token in enumerate(made)
    )


def _gateway(
    made: Iterable[str], method: str, target: str
) -> tuple[tuple[dict[str, str], bytes], ...]:
    return tuple(
        (
            {
                method: "GET",
                target: resource(n % USERS),
                "X-Forwarded-Host": "app.example.com",
                "X-Forwarded-For": "203.0.113.9",
                "X-Forwarded-Proto": "https",
                "Authorization": f"Bearer {token}",
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
                "Accept": "*/*",
            },
            b"",
        )
        for n, token in enumerate(made)
    )


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
    file = place / f"{scenario.name}.lua"
    file.write_text(_LUA % ",\n".join(_lua(text(scenario, *ask)) for ask in scenario.asks))
    return file


def text(scenario: Scenario, fields: dict[str, str], body: bytes) -> bytes:
    """The request as it goes over the wire."""
    length = {"Content-Length": str(len(body))} if body else {}
    lines = [f"{name}: {value}" for name, value in {**fields, **length}.items()]
    head = [f"{scenario.method} {scenario.path} HTTP/1.1", "Host: pdp.example.com", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def _lua(data: bytes) -> str:
    return json.dumps(data.decode())  # all of it is ascii: one syntax for both
