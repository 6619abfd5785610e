"""`pdp init`: a policy directory to start from, with a key of its own."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from pdp.cli.minting import fresh_key, pem_pair
from pdp.cli.options import Directory, policy_directory
from pdp.cli.starter import write_starter
from pdp.cli.terminal import give_up, say

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("init")
def init(directory: Directory = None) -> None:
    """Write the starter policy, and a fresh key beside it.

    Nothing is ever overwritten. For example:

    pdp init policies
    """
    place = policy_directory(directory)
    resolved = place.resolve()
    key = resolved.with_name(f"{resolved.name}.key") if resolved.name else resolved / "key"
    try:
        _refuse_to_overwrite(place, key)
        _write(place, key)
    except OSError as error:
        where = error.filename or place
        give_up(f"cannot write {where}: {(error.strerror or '').lower()}", 2)
    _show_next(place, _shown(key))


def _refuse_to_overwrite(directory: Path, key: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()):
        give_up(f"{directory} is not empty", 2, "name a directory that does not exist yet")
    if os.path.lexists(key):
        give_up(f"{key} exists already", 2, "move it away: no key is ever overwritten")


def _write(directory: Path, key: Path) -> None:
    """The private half goes beside the directory: what is in it is mounted into the sidecar."""
    private, public = pem_pair(fresh_key())
    directory.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(private)
    write_starter(directory, public)


def _shown(path: Path) -> Path:
    """The path from here, where it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _show_next(directory: Path, key: Path) -> None:
    place, secret = shlex.quote(str(directory)), shlex.quote(str(key))
    say("wrote the starter policy to ", (str(directory), "bold"))
    say("wrote its private key to ", (str(key), "bold"), ": keep it, and keep it to yourself")
    say("next:")
    steps = (
        (f"pdp check {place}", "finds mistakes"),
        (f"pdp test {place}", "runs cases.yaml"),
        (f"pdp token --policies {place} --key {secret} --sub alice", "makes a token"),
        (f"pdp serve {place}", "answers gateways"),
    )
    width = max(len(command) for command, _ in steps)
    for command, purpose in steps:
        say("  ", (f"{command:<{width}}", "cyan"), f"  # {purpose}")
