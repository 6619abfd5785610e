"""`pdp token`: a development token, signed with a key of one's own."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp import strict_json
from pdp.cli.directory import load_strictly
from pdp.cli.minting import SigningKey, counterpart, read_key_file, sign
from pdp.cli.options import Config, policy_directory
from pdp.cli.terminal import say
from pdp.cli.times import parse_duration
from pdp.identity.issuer import IssuerSettings
from pdp.identity.text import is_name
from pdp.runtime.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_PLAIN_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@app.command("token")
def token(  # noqa: PLR0913 - a token has many parts
    *,
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A private key (PEM), or a secret.")
    ],
    sub: Annotated[str, typer.Option("--sub", metavar="ID", help="Whose token it is.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="NAME", help="A role to assert; may be repeated."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option("--claim", metavar="NAME=JSON", help="A further claim; may be repeated."),
    ] = None,
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="90s, 15m, 1h or 7d.")] = "1h",
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies", metavar="DIR", show_default=False, help="Else PDP_POLICIES, ./policies."
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option("--issuer", metavar="NAME", show_default=False, help="Else the first one."),
    ] = None,
    kid: Annotated[
        str | None,
        typer.Option("--kid", metavar="ID", show_default=False, help="Else that of the key."),
    ] = None,
    config: Config = None,
) -> None:
    """Print a development token, and nothing else.

    The directory's pdp.toml says whose. For example:

    pdp token --key policies.key --sub alice --role member --ttl 15m
    """
    loaded = load_strictly(policy_directory(None, policies), config)
    settings = _issuer(loaded, issuer)
    claims = {
        **_standard(settings, sub, ttl),
        **_roles(settings, role or []),
        **_claims(claim or []),
    }
    _refuse_unreadable(claims, kid)
    try:
        signing = read_key_file(key)
        typer.echo(sign(signing, claims, settings, kid or _kid(signing, settings, loaded)))
    except OSError as error:
        why = (error.strerror or "").lower()
        raise typer.BadParameter(f"--key: cannot read `{key}`: {why}") from None
    except ValueError as error:
        raise typer.BadParameter(f"--key: `{key}` {error}") from None


def _refuse_unreadable(claims: dict[str, Any], kid: str | None) -> None:
    try:
        json.dumps([claims, kid], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("a claim is not UTF-8") from None


def _issuer(loaded: Loaded, name: str | None) -> IssuerSettings:
    issuers = loaded.authentication.issuers
    found = next((issuer for issuer in issuers if name in (None, issuer.issuer)), None)
    if found is None:
        known = ", ".join(f"`{issuer.issuer}`" for issuer in issuers) or "none"
        raise typer.BadParameter(f"--issuer: no such issuer is configured; known: {known}")
    return found


def _standard(issuer: IssuerSettings, sub: str, ttl: str) -> dict[str, Any]:
    now = int(time.time())
    try:
        expires = now + parse_duration(ttl)
    except ValueError as error:
        raise typer.BadParameter(f"--ttl: {error}") from None
    if not is_name(sub):
        raise typer.BadParameter("--sub: must be 1 to 255 characters, none of them a control")
    named = {"iss": issuer.issuer, "aud": issuer.audiences[0], "iat": now, "exp": expires}
    return {**named, issuer.subject_claim: sub}


def _roles(issuer: IssuerSettings, roles: list[str]) -> dict[str, Any]:
    """The roles where the issuer's `roles_claim` looks for them."""
    path = issuer.roles_claim
    if not roles:
        return {}
    if path is None or not _PLAIN_PATH.fullmatch(path):
        told = "reads no roles" if path is None else f"computes roles by `{path}`"
        raise typer.BadParameter(f"--role: `{issuer.issuer}` {told}; use --claim")
    dropped = [role for role in roles if issuer.roles is not None and role not in issuer.roles]
    for role in dropped:
        message = f"`{issuer.issuer}` may not assert the role `{role}`: it will be dropped"
        say(("warning: ", "bold yellow"), message, error=True)
    value: Any = roles
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def _claims(given: list[str]) -> dict[str, Any]:
    return dict(_claim(text) for text in given)


def _claim(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        if name:
            return name, strict_json.loads(value.encode("utf-8", "surrogateescape"))
    except ValueError:
        pass  # the same complaint as for a claim without a name
    raise typer.BadParameter("--claim: must be NAME=JSON, such as department='\"sales\"'")


def _kid(key: SigningKey, issuer: IssuerSettings, loaded: Loaded) -> str | None:
    """The `kid` of this key among the issuer's; ValueError if it is known to be none of them."""
    ring = loaded.sources[issuer.issuer].current()
    if ring is None:
        return None
    found = counterpart(key, ring)
    if found is None:
        raise ValueError(f"is not the key that `{issuer.issuer}` is verified with")
    return found.kid
