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
from pdp.cli.explanation import Recorded, show_explanation, show_recorded
from pdp.cli.options import Config, Directory, Format, policy_directory
from pdp.cli.question import understand
from pdp.cli.recorded import Record, find_record
from pdp.cli.terminal import give_up
from pdp.cli.times import parse_time
from pdp.errors import RequestError, Unavailable
from pdp.identity.jwt import LONGEST_TOKEN
from pdp.model import Credentials, Identity, Query, Rejected, vouched_identity
from pdp.runtime.explain import Explanation, explain
from pdp.runtime.load import Loaded
from pdp.runtime.means import start, stop
from pdp.surfaces.questions import QuestionBody, parse_body, read_question
from pdp.surfaces.target import exempting

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Action = Annotated[str | None, typer.Option("--action", metavar="NAME", help="Such as GET.")]
Resource = Annotated[str | None, typer.Option("--resource", metavar="ID", help="Such as /docs/7.")]
Subject = Annotated[
    str | None, typer.Option("--subject", metavar="ID", help="Whom to vouch for; else nobody.")
]
TokenFile = Annotated[
    str | None, typer.Option("--token-file", metavar="FILE", help="A token to verify; - is stdin.")
]
Ip = Annotated[str | None, typer.Option("--ip", metavar="ADDR", help="The client's address.")]
Facts = Annotated[
    str, typer.Option("--context", metavar="JSON", help="Further facts, as an object.")
]
Now = Annotated[
    str | None,
    typer.Option("--now", metavar="TIME", help="RFC 3339 or Unix seconds; else the clock."),
]
DecisionId = Annotated[
    str | None,
    typer.Option("--decision", metavar="ID", help="A decision that was logged, instead of these."),
]
Log = Annotated[
    str | None,
    typer.Option("--log", metavar="FILE", help="Where that decision is logged; - is stdin."),
]


@app.command("explain")
def run(  # noqa: PLR0913 - a question has many parts
    directory: Directory = None,
    *,
    action: Action = None,
    resource: Resource = None,
    subject: Subject = None,
    token_file: TokenFile = None,
    ip: Ip = None,
    context: Facts = "{}",
    now: Now = None,
    decision: DecisionId = None,
    log: Log = None,
    config: Config = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TEXT,
) -> None:
    """Say why a question is answered as it is, or why it was.

    Exits with 0 whatever the verdict, and with 1 if the decision is not in the log. For example:

    pdp explain --subject alice --action GET --resource /invoices/7 --ip 192.0.2.1
    """
    place, facts = policy_directory(directory), _context(context, ip)
    if decision is not None or log is not None:
        given = (action, resource, subject, token_file, ip)
        record = find_record(decision, log, alone=all(value is None for value in given))
        moment = _time(now if now is not None else record.timestamp)
        _show(*_explain_again(record, facts, load_leniently(place, config), moment), format_)
        return
    if action is None or resource is None:
        raise typer.BadParameter("give --action and --resource, or --decision and --log")
    asked = {"action": action, "resource": resource, "context": facts}
    asked |= {} if subject is None else {"subject": subject}
    moment = _time(now)
    token = None if token_file is None else _read_token(token_file)
    loaded = load_leniently(place, config) if token is None else load_strictly(place, config)
    if "ip" not in facts and format_ is not Format.JSON:
        typer.echo("no address is given (--ip): every rule that asks for one is unknown", err=True)
    _show(_explain(asked, token, loaded, moment), None, format_)


def _show(explanation: Explanation, recorded: Recorded | None, format_: Format) -> None:
    if format_ is Format.JSON:
        told = msgspec.to_builtins(explanation)
        told |= {} if recorded is None else {"recorded": msgspec.to_builtins(recorded)}
        typer.echo(msgspec.json.format(msgspec.json.encode(told)))
        return
    if recorded is not None:
        show_recorded(recorded)
    show_explanation(explanation)


def _explain(asked: dict[str, Any], token: str | None, loaded: Loaded, now: float) -> Explanation:
    query = _understand(asked, loaded, presented=token is not None)
    identity = vouched_identity(query) if token is None else _authenticate(token, loaded, now)
    return explain(query, identity, loaded.snapshot, now)


def _understand(asked: dict[str, Any], loaded: Loaded, *, presented: bool) -> Query:
    try:
        body = parse_body(json.dumps(asked).encode(), QuestionBody)
        return understand(body, loaded, presented=presented)
    except RequestError as error:
        raise _bad_request(error) from None


def _bad_request(error: RequestError) -> typer.BadParameter:
    return typer.BadParameter(f"{error} (the PDP would answer 400)")


def _explain_again(
    record: Record, facts: dict[str, Any], loaded: Loaded, now: float
) -> tuple[Explanation, Recorded]:
    """The recorded question, put to the policy as it is now."""
    asked = json.dumps(record.question(facts)).encode()
    try:
        exempt = exempting(loaded.server.exempt_targets)
        query = read_question(parse_body(asked, QuestionBody), vouched=True, exempt=exempt)
    except RequestError as error:
        raise _bad_request(error) from None
    told = explain(query, record.identity(), loaded.snapshot, now)
    same = (told.status, told.reason) == (record.status, record.reason)
    moved = told.policy_revision != record.policy_revision
    return told, Recorded(
        record.decision_id,
        record.timestamp,
        record.status,
        record.reason,
        record.policy_revision,
        policy_changed=moved,
        verdict_changed=not same,
        subject_known=record.subject_known,
        note=record.note(),
    )


def _authenticate(token: str, loaded: Loaded, now: float) -> Identity | Rejected:
    if not loaded.authenticator.configured:
        raise typer.BadParameter("no issuer is configured to verify a token; give a --subject")
    try:
        return asyncio.run(_verify(token, loaded, now))
    except Unavailable as error:
        return give_up(str(error), 3, "the PDP would answer 503: is the issuer reachable?")


async def _verify(token: str, loaded: Loaded, now: float) -> Identity | Rejected:
    """The identity, after one bounded attempt to fetch the keys that are published elsewhere."""
    equipment = loaded.beside.equipment
    try:
        await start(equipment)
        await asyncio.gather(*(source.after_unknown_kid() for source in equipment.fetched))
        return await loaded.authenticator.authenticate(Credentials(token=token), now)
    finally:
        await stop(equipment)


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
