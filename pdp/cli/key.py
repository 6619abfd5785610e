"""`pdp key`: API keys, and the rows by which the PDP knows them."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.terminal import say
from pdp.cli.times import parse_duration, parse_time
from pdp.errors import ConfigurationError
from pdp.identity.api_keys import COLUMNS, FILE, PREFIX, read_api_keys
from pdp.identity.lines import is_empty
from pdp.model import Identity, Method
from pdp.runtime.sources import read_file

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_PLAIN: Final = re.compile(r"[A-Za-z0-9._:;/@+-]*")
_UNWRITABLE: Final = (
    "--id, --subject, --role: no value begins or ends with a blank, and no role holds `;`"
)

_Id = Annotated[str, typer.Option("--id", metavar="ID", help="What logs call the key.")]
_Subject = Annotated[
    str, typer.Option("--subject", metavar="ID", help="Whose it is; policies name this id.")
]
_Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="NAME", help="A role it asserts; may be repeated."),
]
_Ttl = Annotated[
    str | None,
    typer.Option("--ttl", metavar="TIME", show_default=False, help="Until when: 12h or 90d."),
]
_NotAfter = Annotated[
    str | None,
    typer.Option(
        "--not-after",
        metavar="TIME",
        show_default=False,
        help="Until when: RFC 3339, or Unix seconds. Without either the key never expires.",
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        show_default=False,
        help="Append the row to this file, which is made if there is none.",
    ),
]


@app.callback()
def key() -> None:
    """Make API keys.

    The PDP stores their digests only. For example:

    pdp key new --id ci --subject deployer --ttl 90d --file api-keys.csv
    """


@app.command("new", no_args_is_help=True)
def new(
    *,
    id_: _Id,
    subject: _Subject,
    role: _Roles = None,
    ttl: _Ttl = None,
    not_after: _NotAfter = None,
    file: _File = None,
) -> None:
    """Make a key, show it once, and print the row for api-keys.csv or append it.

    For example:

    pdp key new --id ci --subject deployer --role member --ttl 90d
    """
    made = PREFIX + secrets.token_urlsafe(32)
    expires = _expires(ttl, not_after)
    wanted = Identity(
        subject,
        method=Method.API_KEY,
        roles=tuple(dict.fromkeys(role or ())),
        expires=expires,
        key_id=id_,
    )
    row = _row(made, wanted)
    keys, problems = read_api_keys(row)
    if problems:
        raise typer.BadParameter(f"the row {problems[0].message}: {problems[0].help}")
    if keys.find(made, time.time()) != wanted:
        raise typer.BadParameter(_UNWRITABLE)
    if file is None:
        typer.echo(f"key: {made}\nrow: {row.decode()}", nl=False)
        say(f"the key is not shown again; append the row to {FILE}", error=True)
        return
    _append(file, row)
    typer.echo(f"key: {made}")
    say(f"the key is not shown again; its row is in {file}", error=True)


def _expires(ttl: str | None, not_after: str | None) -> float | None:
    """When the key ends, in whole Unix seconds."""
    if ttl is not None and not_after is not None:
        raise typer.BadParameter("give either --ttl or --not-after, not both")
    now = time.time()
    name, text = ("--ttl", ttl) if not_after is None else ("--not-after", not_after)
    if text is None:
        return None
    try:
        # Both ways by `parse_time`, which knows where time ends.
        seconds = parse_time(text if ttl is None else now + parse_duration(text))
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}") from None
    if int(seconds) <= now:
        raise typer.BadParameter(f"{name}: is over already")
    return float(int(seconds))


def _row(made: str, whose: Identity) -> bytes:
    end = "" if whose.expires is None else _rfc_3339(whose.expires)
    digest = hashlib.sha256(made.encode()).hexdigest()
    values = (whose.key_id or "", digest, whose.id, ";".join(whose.roles), end)
    text = ",".join(map(_field, values)).rstrip(",")
    return text.encode("utf-8", "surrogateescape") + b"\n"


def _rfc_3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _field(value: str) -> str:
    doubled = value.replace('"', '""')
    return value if _PLAIN.fullmatch(value) else f'"{doubled}"'


def _append(file: Path, row: bytes) -> None:
    """Replace the file by one with a further row, or leave it as it is."""
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".{target.name}.new")
    mode = 0o600 if target.exists() else 0o666
    # INVARIANT: whoever made this one, and nobody else, edits the file: no row is lost.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(_longer(target, row))
            opened.flush()
            os.fsync(descriptor)
        _as_before(target, temporary)
        temporary.replace(target)
    except BaseException:  # the file is as it was; who asked sees why
        temporary.unlink()
        raise


def _longer(file: Path, row: bytes) -> bytes:
    """What the file says, and the row; ConfigurationError if it is not good as it is."""
    data, problems = read_file(file, file.name) if os.path.lexists(file) else (b"", [])
    if data is not None and is_empty(data):
        return ",".join(COLUMNS).encode() + b"\n" + row
    problems += read_api_keys(data, file.name)[1] if data is not None else []
    if data is None or problems:
        raise ConfigurationError(problems)
    longer = data + (b"" if data.endswith((b"\n", b"\r")) else b"\n") + row
    _, problems = read_api_keys(longer, file.name)
    if problems:
        raise typer.BadParameter(f"--file: {file.name}: the row {problems[0].message}")
    return longer


def _as_before(file: Path, temporary: Path) -> None:
    """Give the new file the mode and the owner of the old one: the PDP has to read it."""
    if not file.exists():
        return
    old, new_ = file.stat(), temporary.stat()
    if (old.st_uid, old.st_gid) != (new_.st_uid, new_.st_gid):
        os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(old.st_mode & 0o7777)
