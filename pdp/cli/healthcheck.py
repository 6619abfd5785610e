"""`pdp healthcheck`: is the PDP on this machine ready? For container platforms."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from pdp.runtime.settings import is_local, parse_listen

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SECONDS: Final = 2.0
_OK: Final = 200
_DEFAULT: Final = "127.0.0.1:7373"
_DEFAULT_ADMIN: Final = "127.0.0.1:7374"
_PORTS: Final = {"http": 80, "https": 443}
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
            help="Such as http://127.0.0.1:7373/readyz, https://… or unix:/path; else what "
            "PDP_LISTEN says, or PDP_ADMIN_LISTEN where clients need a certificate.",
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
        where = url or _place()[0]
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
            where, tls, _ = (url, False, "") if url else _place()
            return _listener(where, tls=tls), _READY
        return _http(url)
    except ValueError as error:
        raise typer.BadParameter(f"{'--url' if url else _place()[2]}: {error}") from None


def _place() -> tuple[str, bool, str]:
    """Where to ask by the environment, whether TLS is spoken there, and which variable says so.

    Not where clients need a certificate: a probe has none.
    """
    tls = bool(os.environ.get("PDP_TLS_CERT"))
    if os.environ.get("PDP_TLS_CLIENT_CA"):
        admin = os.environ.get("PDP_ADMIN_LISTEN") or _DEFAULT_ADMIN
        return admin, tls and not is_local(admin), "PDP_ADMIN_LISTEN"
    return os.environ.get("PDP_LISTEN") or _DEFAULT, tls, "PDP_LISTEN"


def _http(url: str) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in _PORTS or not parts.hostname or not plain:
        raise ValueError("must be an http or https URL, or unix:/path")
    port = parts.port or _PORTS[parts.scheme]
    return _tcp(parts.hostname, port, tls=parts.scheme == "https"), parts.path or _READY


def _listener(listen: str, *, tls: bool) -> http.client.HTTPConnection:
    place = parse_listen(listen)
    return _UnixConnection(place) if isinstance(place, str) else _tcp(*place, tls=tls)


def _tcp(host: str, port: int, *, tls: bool) -> http.client.HTTPConnection:
    here = _HERE.get(host, host)
    if not tls:
        return http.client.HTTPConnection(here, port, timeout=_SECONDS)
    # Nothing secret is sent, and what is asked is this machine: whose name the certificate has,
    # and whether it is still good, is for its clients to judge.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(here, port, timeout=_SECONDS, context=context)
