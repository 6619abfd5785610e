"""`pdp token`: a development token, signed with a key of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdp.cli.claims import make_claims
from pdp.cli.directory import load_strictly
from pdp.cli.minting import SigningKey, counterpart, read_key_file, sign
from pdp.cli.options import Config, policy_directory
from pdp.identity.issuer import IssuerSettings
from pdp.runtime.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_Key = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="A private key (PEM), or a secret.")
]
_Sub = Annotated[str, typer.Option("--sub", metavar="ID", help="Whose token it is.")]
_Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="NAME", help="A role to assert; may be repeated."),
]
_Claims = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="NAME=JSON", help="A further claim; may be repeated."),
]
_Ttl = Annotated[str, typer.Option("--ttl", metavar="TIME", help="90s, 15m, 1h or 7d.")]
_Policies = Annotated[
    Path | None,
    typer.Option("--policies", metavar="DIR", help="Else PDP_POLICIES, else ./policies."),
]
_Issuer = Annotated[
    str | None, typer.Option("--issuer", metavar="NAME", help="Else the first one configured.")
]
_Kid = Annotated[
    str | None, typer.Option("--kid", metavar="ID", help="Else the one its public half has.")
]


@app.command("token")
def token(  # noqa: PLR0913 - a token has many parts
    *,
    key: _Key,
    sub: _Sub,
    role: _Roles = None,
    claim: _Claims = None,
    ttl: _Ttl = "1h",
    policies: _Policies = None,
    issuer: _Issuer = None,
    kid: _Kid = None,
    config: Config = None,
) -> None:
    """Print a development token, and nothing else.

    The directory's pdp.toml says whose. For example:

    pdp token --key policies.key --sub alice --role member --ttl 15m
    """
    loaded = load_strictly(policy_directory(None, policies), config)
    settings = _issuer(loaded, issuer)
    try:
        signing = read_key_file(key)
        known = _kid(signing, settings, loaded)
        claims = make_claims(settings, sub, ttl, role or (), claim or ())
        typer.echo(sign(signing, claims, settings, kid or known))
    except OSError as error:
        why = (error.strerror or "").lower()
        raise typer.BadParameter(f"--key: cannot read `{key}`: {why}") from None
    except ValueError as error:
        raise typer.BadParameter(f"--key: `{key}` {error}") from None


def _issuer(loaded: Loaded, name: str | None) -> IssuerSettings:
    issuers = loaded.authentication.issuers
    found = next((issuer for issuer in issuers if name in (None, issuer.issuer)), None)
    if found is None:
        known = ", ".join(f"`{issuer.issuer}`" for issuer in issuers) or "none"
        raise typer.BadParameter(f"--issuer: no such issuer is configured; known: {known}")
    return found


def _kid(key: SigningKey, issuer: IssuerSettings, loaded: Loaded) -> str | None:
    """The `kid` of this key among the issuer's; ValueError if it is known to be none of them."""
    if issuer.introspected:
        raise ValueError(f"cannot sign for `{issuer.issuer}`, whose endpoint judges its tokens")
    ring = loaded.sources[issuer.issuer].current()
    if ring is None:
        return None
    found = counterpart(key, ring)
    if found is None:
        raise ValueError(f"is not the key that `{issuer.issuer}` is verified with")
    return found.kid
