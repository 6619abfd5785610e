"""`pdp demo`: from nothing to 200, 401, 403 and 404, with lines to copy."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from pdp.cli.minting import SigningKey, fresh_key, pem_pair, sign
from pdp.cli.options import AdminListen, Listen
from pdp.cli.start import run
from pdp.cli.starter import write_starter
from pdp.cli.terminal import say
from pdp.identity.issuer import IssuerSettings
from pdp.runtime.load import Loaded, load
from pdp.runtime.settings import parse_listen

app = typer.Typer(rich_markup_mode=None, add_completion=False)

USERS: Final[Mapping[str, tuple[str, ...]]] = {
    "alice": (),
    "bob": (),
    "carol": ("administrator",),
    "mallory": ("member",),
    "erin": (),
}
_DAY: Final = 86_400
_ADDRESS: Final = "203.0.113.9"


class _Request(NamedTuple):
    method: str
    path: str
    user: str | None
    status: int
    why: str


_REQUESTS: Final = (
    _Request("GET", "/invoices/7", "alice", 200, "a member may read invoices"),
    _Request("GET", "/invoices/7", None, 401, "logging in would help"),
    _Request("DELETE", "/invoices/7", "alice", 403, "logging in would not help"),
    _Request("GET", "/admin", "alice", 404, "she must not learn that it exists"),
)


@app.command("demo")
def demo(
    *,
    listen: Listen = None,
    admin_listen: AdminListen = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Print the tokens of all sample users, too.")
    ] = False,
) -> None:
    """Serve the starter policy, with curl lines to try it.

    The key is made at start-up, and nothing is kept. For example:

    pdp demo --tokens
    """
    given = {"listen": listen, "admin_listen": admin_listen}
    flags = {name: value for name, value in given.items() if value is not None}
    key = fresh_key()
    with tempfile.TemporaryDirectory(prefix="pdp-demo-") as scratch:
        write_starter(Path(scratch), pem_pair(key)[1])
        loaded = load(Path(scratch), None, os.environ, flags)
        _refuse_any_port(loaded.server.listen)
        signed = _tokens(key, loaded.authentication.issuers[0])
        run(loaded, lambda: _show(loaded, signed, all_tokens=tokens))


def _refuse_any_port(listen: str) -> None:
    place = parse_listen(listen)
    if not isinstance(place, str) and place[1] == 0:
        raise typer.BadParameter("--listen: the curl lines need a port that is not 0")


def _tokens(key: SigningKey, issuer: IssuerSettings) -> dict[str, str]:
    """A token for every sample user, good for a day."""
    now = int(time.time())
    common = {"iss": issuer.issuer, "aud": issuer.audiences[0], "iat": now, "exp": now + _DAY}
    return {
        user: sign(
            key, {**common, "sub": user, **({"roles": roles} if roles else {})}, issuer, None
        )
        for user, roles in USERS.items()
    }


def _show(loaded: Loaded, tokens: Mapping[str, str], *, all_tokens: bool) -> None:
    listen = loaded.server.listen
    say(("pdp demo", "bold"), f" serves the starter policy on {listen}; Ctrl-C ends it")
    say("each line is complete: copy it into another terminal")
    for request in _REQUESTS:
        who = request.user or "nobody"
        style = "bold green" if request.status < 400 else "bold yellow"  # noqa: PLR2004
        title = f"  {request.method} {request.path} as {who}: {request.why}"
        _show_line((str(request.status), style), title, _curl(listen, request, tokens))
    title = "the whole verdict, as a service gets it"
    _show_line(("JSON", "bold"), f" {title}", _native_curl(listen, tokens["alice"]))
    _show_line(("why", "bold"), "  the rules, roles and layers behind it", _explain(loaded))
    if all_tokens:
        say()
        for user, token in tokens.items():
            say((f"{user:<8}", "bold"), token)
    say()
    say("every decision is logged below, with its reason")


def _show_line(label: tuple[str, str], title: str, command: str) -> None:
    say()
    say(label, title)
    say(command)


def _curl(listen: str, request: _Request, tokens: Mapping[str, str]) -> str:
    """The question as a gateway puts it to `/authz/forward`; prints the status alone."""
    headers = {
        "X-Forwarded-Method": request.method,
        "X-Forwarded-Uri": request.path,
        "X-Forwarded-Host": "invoices.example.com",
        "X-Forwarded-For": _ADDRESS,
        "X-Forwarded-Proto": "https",
    }
    if request.user:
        headers["Authorization"] = f"Bearer {tokens[request.user]}"
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    place = _address(listen, "/authz/forward")
    return _command("curl", "-s", "-o", "/dev/null", "-w", r"%{http_code}\n", *given, *place)


def _native_curl(listen: str, token: str) -> str:
    question = {
        "token": token,
        "action": "DELETE",
        "resource": "/invoices/7",
        "context": {"ip": _ADDRESS},
    }
    place = _address(listen, "/v1/decision")
    given = ("-H", "Content-Type: application/json", "-d", json.dumps(question))
    return _command("curl", "-s", "-w", r"\n", *given, *place)


def _explain(loaded: Loaded) -> str:
    asked = ("--subject", "alice", "--action", "DELETE", "--resource", "/invoices/7")
    return _command("pdp", "explain", str(loaded.directory), *asked, "--ip", _ADDRESS)


def _address(listen: str, path: str) -> tuple[str, ...]:
    place = parse_listen(listen)
    if isinstance(place, str):
        return "--unix-socket", place, f"http://localhost{path}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place[0], place[0])  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return (f"http://{host}:{place[1]}{path}",)


def _command(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
