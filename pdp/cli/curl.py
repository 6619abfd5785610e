"""Lines for curl that ask the demo; each can be copied as it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Final, NamedTuple

from pdp.runtime.settings import parse_listen

ADDRESS: Final = "203.0.113.9"


class Request(NamedTuple):
    """What a client of the demo's gateway does, as whom, and what it gets."""

    method: str
    path: str
    user: str | None
    status: int
    why: str


REQUESTS: Final = (
    Request("GET", "/invoices/7", "alice", 200, "a member may read invoices"),
    Request("GET", "/invoices/7", None, 401, "logging in would help"),
    Request("DELETE", "/invoices/7", "alice", 403, "logging in would not help"),
    Request("GET", "/admin", "alice", 404, "she must not learn that it exists"),
)


def curl(listen: str, request: Request, tokens: Mapping[str, str]) -> str:
    """The question as a gateway puts it to `/authz/forward`; prints the status alone."""
    headers = {
        "X-Forwarded-Method": request.method,
        "X-Forwarded-Uri": request.path,
        "X-Forwarded-Host": "invoices.example.com",
        "X-Forwarded-For": ADDRESS,
        "X-Forwarded-Proto": "https",
    }
    if request.user:
        headers["Authorization"] = f"Bearer {tokens[request.user]}"
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    place = _address(listen, "/authz/forward")
    return command("curl", "-s", "-o", "/dev/null", "-w", r"%{http_code}\n", *given, *place)


def native_curl(listen: str, token: str) -> str:
    """The same question by the JSON API; prints the whole verdict."""
    question = {
        "token": token,
        "action": "DELETE",
        "resource": "/invoices/7",
        "context": {"ip": ADDRESS},
    }
    place = _address(listen, "/v1/decision")
    given = ("-H", "Content-Type: application/json", "-d", json.dumps(question))
    return command("curl", "-s", "-w", r"\n", *given, *place)


def _address(listen: str, path: str) -> tuple[str, ...]:
    place = parse_listen(listen)
    if isinstance(place, str):
        return "--unix-socket", place, f"http://localhost{path}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place[0], place[0])  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return (f"http://{host}:{place[1]}{path}",)


def command(*words: str) -> str:
    """The words as a shell takes them."""
    return " ".join(shlex.quote(word) for word in words)
