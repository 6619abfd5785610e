"""`pdp demo`: from nothing to 200, 401, 403 and 404, with lines to copy."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.curl import ADDRESS, REQUESTS, command, curl, native_curl
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
    for request in REQUESTS:
        who = request.user or "nobody"
        style = "bold green" if request.status < 400 else "bold yellow"  # noqa: PLR2004
        title = f"  {request.method} {request.path} as {who}: {request.why}"
        _show_line((str(request.status), style), title, curl(listen, request, tokens))
    title = "the whole verdict, as a service gets it"
    _show_line(("JSON", "bold"), f" {title}", native_curl(listen, tokens["alice"]))
    _show_line(("why", "bold"), "  the rules, roles and layers behind it", _explain(loaded))
    if all_tokens:
        say()
        for user, token in tokens.items():
            say((f"{user:<8}", "bold"), token)
    say()
    say("every decision is logged below, with its reason")


def _show_line(label: tuple[str, str], title: str, line: str) -> None:
    say()
    say(label, title)
    say(line)


def _explain(loaded: Loaded) -> str:
    asked = ("--subject", "alice", "--action", "DELETE", "--resource", "/invoices/7")
    return command("pdp", "explain", str(loaded.directory), *asked, "--ip", ADDRESS)
