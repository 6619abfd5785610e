"""The TLS of the listeners, kept live: its files are followed, and bad ones change nothing."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.errors import Problem
from pdp.runtime.following import Followed, Problems, Take
from pdp.runtime.settings import ServerSettings
from pdp.runtime.sources import read_file

_HELP: Final = "PEM: the certificate with its chain, and its key without a passphrase"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files are."""

    cert: Path
    key: Path
    client_ca: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(path for path in (self.cert, self.key, self.client_ca) if path is not None)

    def read(self) -> tuple[tuple[bytes, ...], Problems]:
        """What stands in them, and which of them cannot be read."""
        found = [read_file(path, path.name) for path in self.paths]
        wrong = tuple(problem for _, problems in found for problem in problems)
        return tuple(data or b"" for data, _ in found), wrong


@dataclass(frozen=True, slots=True)
class Contexts:
    """What listeners speak: to gateways, who may need a certificate, and to operators."""

    gateways: ssl.SSLContext
    operators: ssl.SSLContext


class Certificates:
    """The TLS of new connections, made of files of which any that changes has all read.

    `contexts` are those of now: ask for them anew for each connection.
    """

    def __init__(self, files: TlsFiles, read: tuple[bytes, ...], contexts: Contexts) -> None:
        self.contexts = contexts
        self.problems: Problems = ()  # why what stands in the files is not live
        self._files = files
        self._read = read

    @property
    def followed(self) -> tuple[Followed, ...]:
        """The files to be followed; each tells the problems of all."""
        return tuple(_File(self, path) for path in self._files.paths)

    def read(self) -> Take:
        """Read the files, which may block; what is returned makes them live (see `Followed`)."""
        read, problems = self._files.read()
        if problems or read == self._read:
            return lambda _settled: self._take(self._read, self.contexts, problems)
        contexts, found = load_contexts(self._files)
        # While they are written, they do not fit each other: that is no problem yet.
        return lambda settled: self._take(read, contexts, found) if settled else None

    def _take(
        self, read: tuple[bytes, ...], contexts: Contexts | None, problems: Problems
    ) -> str | None:
        self.problems = problems
        if contexts is None or read == self._read:
            return None
        self.contexts, self._read = contexts, read
        return "a certificate"


class _File:
    """One of the files, which reads all of them."""

    def __init__(self, whole: Certificates, path: Path) -> None:
        self.path = path
        self._whole = whole

    @property
    def problems(self) -> Problems:
        return self._whole.problems

    @problems.setter
    def problems(self, problems: Problems) -> None:
        self._whole.problems = problems

    def read(self) -> Take:
        return self._whole.read()


def load_tls(server: ServerSettings, directory: Path) -> tuple[Certificates | None, list[Problem]]:
    """The TLS that `[server]` names, relative to `directory`; None where it names none."""
    if server.tls_cert is None or server.tls_key is None:
        return None, []
    ca = None if server.tls_client_ca is None else directory / server.tls_client_ca
    files = TlsFiles(directory / server.tls_cert, directory / server.tls_key, ca)
    read, problems = files.read()
    contexts, found = (None, problems) if problems else load_contexts(files)
    return (None if contexts is None else Certificates(files, read, contexts)), [*found]


def load_contexts(files: TlsFiles) -> tuple[Contexts | None, Problems]:
    """What is spoken with these files, or what is wrong with them."""
    try:
        gateways, operators = _context(files), _context(files)
    except (ssl.SSLError, OSError, ValueError) as error:
        return None, (_bad(files.cert, error),)
    if files.client_ca is not None:
        try:
            _ask_clients(gateways, files.client_ca)
        except (ssl.SSLError, OSError, ValueError) as error:
            return None, (_bad(files.client_ca, error),)
    return Contexts(gateways, operators), ()


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # An empty passphrase, or OpenSSL would ask for one on the terminal.
    context.load_cert_chain(files.cert, files.key, password="")
    return context


def _ask_clients(context: ssl.SSLContext, ca: Path) -> None:
    """Demand a certificate, and look at it on every connection: nothing is resumed."""
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


def _bad(path: Path, error: Exception) -> Problem:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unreadable"
    words = str(reason).lower().replace("_", " ")
    return Problem(path.name, None, "bad-certificate", f"cannot be used: {words}", _HELP)
