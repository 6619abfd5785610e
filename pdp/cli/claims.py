"""The claims of a development token, from what the command line says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any, Final

import typer

from pdp import strict_json
from pdp.cli.terminal import say
from pdp.cli.times import parse_duration
from pdp.identity.issuer import IssuerSettings
from pdp.identity.text import is_name

_PLAIN_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def make_claims(
    issuer: IssuerSettings, sub: str, ttl: str, roles: Sequence[str], further: Sequence[str]
) -> dict[str, Any]:
    """What `issuer` would say of `sub`; `further` claims, NAME=JSON, win. BadParameter if not."""
    claims = {**_standard(issuer, sub, ttl), **_roles(issuer, roles), **_claims(further)}
    try:
        json.dumps(claims, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("a claim is not UTF-8") from None
    return claims


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


def _roles(issuer: IssuerSettings, roles: Sequence[str]) -> dict[str, Any]:
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
    value: Any = list(roles)
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def _claims(given: Sequence[str]) -> dict[str, Any]:
    return dict(_claim(text) for text in given)


def _claim(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        if name:
            return name, strict_json.loads(value.encode("utf-8", "surrogateescape"))
    except ValueError:
        pass  # the same complaint as for a claim without a name
    raise typer.BadParameter("--claim: must be NAME=JSON, such as department='\"sales\"'")
