"""`pdp healthcheck`: is the PDP on this machine ready? For container platforms."""

from __future__ import annotations

import http.client
import os
import socket
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from pdp.runtime.settings import parse_listen

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SECONDS: Final = 2.0
_OK: Final = 200
_DEFAULT: Final = "127.0.0.1:7373"
_READY: Final = "/readyz"
_SAID: Final[dict[type, str]] = {TimeoutError: "no answer in time"}
_MOST_SAID: Final = 4_096  # bytes of the answer that are shown
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens there is asked here


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


@app.command("healthcheck")
def healthcheck(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            show_default=False,
            help="Such as http://127.0.0.1:7373/readyz or unix:/path; else what PDP_LISTEN says.",
        ),
    ] = None,
) -> None:
    """Exit with 0 if the PDP is ready, with 1 if it is not.

    For example:

    pdp healthcheck --url http://127.0.0.1:7374/readyz
    """
    connection, path = _target(url)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        status, said = response.status, response.read(_MOST_SAID)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or _SAID.get(type(error), "no answer of HTTP")
        where = url or os.environ.get("PDP_LISTEN") or _DEFAULT
        typer.echo(f"not ready: {where}: {why.lower()}", err=True)
        raise typer.Exit(1) from None
    finally:
        connection.close()
    if status != _OK:
        told = f"not ready: status {status} {said.decode('utf-8', 'replace')}"
        typer.echo(told.strip(), err=True)
        raise typer.Exit(1)
    typer.echo("ready")


def _target(url: str | None) -> tuple[http.client.HTTPConnection, str]:
    try:
        if url is None or url.startswith("unix:"):
            return _listener(url or os.environ.get("PDP_LISTEN") or _DEFAULT), _READY
        return _http(url)
    except ValueError as error:
        raise typer.BadParameter(f"{'--url' if url else 'PDP_LISTEN'}: {error}") from None


def _http(url: str) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme != "http" or not parts.hostname or not plain:
        raise ValueError("must be an http URL, or unix:/path")
    return _tcp(parts.hostname, parts.port or 80), parts.path or _READY


def _listener(listen: str) -> http.client.HTTPConnection:
    place = parse_listen(listen)
    return _UnixConnection(place) if isinstance(place, str) else _tcp(*place)


def _tcp(host: str, port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(_HERE.get(host, host), port, timeout=_SECONDS)
