"""`pdp explain`: one decision, and everything that it rests on."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pdp import strict_json
from pdp.cli.directory import load_leniently, load_strictly
from pdp.cli.explanation import show_explanation
from pdp.cli.options import Config, Directory, Format, policy_directory
from pdp.cli.question import understand
from pdp.cli.terminal import give_up
from pdp.cli.times import parse_time
from pdp.errors import KeysUnavailable, RequestError
from pdp.identity.jwt import LONGEST_TOKEN
from pdp.model import Credentials, Identity, Rejected
from pdp.runtime.explain import Explanation, explain
from pdp.runtime.fetch import JwksSource
from pdp.runtime.load import Loaded
from pdp.surfaces.questions import QuestionBody, parse_body, vouched_identity

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("explain")
def run(  # noqa: PLR0913 - a question has many parts
    directory: Directory = None,
    *,
    action: Annotated[str, typer.Option("--action", metavar="NAME", help="Such as GET.")],
    resource: Annotated[str, typer.Option("--resource", metavar="ID", help="Such as /docs/7.")],
    subject: Annotated[
        str | None,
        typer.Option("--subject", metavar="ID", help="Whom to vouch for; else nobody."),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE", help="A token to verify; - is stdin."),
    ] = None,
    ip: Annotated[
        str | None, typer.Option("--ip", metavar="ADDR", help="The client's address.")
    ] = None,
    context: Annotated[
        str, typer.Option("--context", metavar="JSON", help="Further facts, as an object.")
    ] = "{}",
    now: Annotated[
        str | None,
        typer.Option("--now", metavar="TIME", help="RFC 3339 or Unix seconds; else the clock."),
    ] = None,
    config: Config = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TEXT,
) -> None:
    """Say why a question is answered as it is.

    Exits with 0 whatever the verdict. For example:

    pdp explain --subject alice --action GET --resource /invoices/7
    """
    asked = {"action": action, "resource": resource, "context": _context(context, ip)}
    asked |= {} if subject is None else {"subject": subject}
    place, moment = policy_directory(directory), _time(now)
    token = None if token_file is None else _read_token(token_file)
    loaded = load_leniently(place, config) if token is None else load_strictly(place, config)
    explanation = _explain(asked, token, loaded, moment)
    if format_ is Format.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(explanation)))
    else:
        show_explanation(explanation)


def _explain(asked: dict[str, Any], token: str | None, loaded: Loaded, now: float) -> Explanation:
    try:
        body = parse_body(json.dumps(asked).encode(), QuestionBody)
        query = understand(body, loaded, presented=token is not None)
    except RequestError as error:
        raise typer.BadParameter(f"{error} (the PDP would answer 400)") from None
    identity = vouched_identity(query) if token is None else _authenticate(token, loaded, now)
    return explain(query, identity, loaded.snapshot, now)


def _authenticate(token: str, loaded: Loaded, now: float) -> Identity | Rejected:
    if not loaded.authenticator.configured:
        raise typer.BadParameter("no issuer is configured to verify a token; give a --subject")
    try:
        return asyncio.run(_verify(token, loaded, now))
    except KeysUnavailable as error:
        return give_up(str(error), 3, "the PDP would answer 503: is jwks_url reachable?")


async def _verify(token: str, loaded: Loaded, now: float) -> Identity | Rejected:
    """The identity, after one bounded attempt to fetch the keys that are published elsewhere."""
    fetched = [source for source in loaded.sources.values() if isinstance(source, JwksSource)]
    try:
        for source in fetched:
            await source.start()
        await asyncio.gather(*(source.after_unknown_kid() for source in fetched))
        return await loaded.authenticator.authenticate(Credentials(token=token), now)
    finally:
        await asyncio.gather(*(source.stop() for source in fetched))


def _read_token(file: str) -> str:
    """A token never stands on the command line, where every process could read it."""
    try:
        if file == "-":
            return sys.stdin.read(LONGEST_TOKEN + 2).strip()
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(LONGEST_TOKEN + 2).strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise typer.BadParameter(f"--token-file: cannot read `{file}`: {why.lower()}") from None


def _context(text: str, ip: str | None) -> dict[str, Any]:
    try:
        given = strict_json.loads(text.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise typer.BadParameter(f"--context: {error}") from None
    if not isinstance(given, dict):
        raise typer.BadParameter('--context: must be an object, such as {"country": "CH"}')
    return given if ip is None else {**given, "ip": ip}


def _time(text: str | None) -> float:
    try:
        return time.time() if text is None else parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(f"--now: {error}") from None
