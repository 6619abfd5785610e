"""What can be wrong with what `[server]` and `[[callers]]` say of TLS and certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pdp.errors import Problem
from pdp.runtime.settings import CallerSettings, ServerSettings

# As they stand in a certificate: a SPIFFE id, a DNS name, or the subject's common name.
CERTIFICATE: Final = re.compile(
    r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)+"
    r"|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
    r"|CN=[^\x00-\x1f\x7f]{1,64}"
)
_NAMES: Final = (
    "write `spiffe://domain/path`, `gateway.internal` or `CN=gateway`, as the certificate has it"
)


def check_tls(server: ServerSettings) -> Iterator[tuple[str, str, str]]:
    """Code, message and help of every mistake in them."""
    if (server.tls_cert is None) != (server.tls_key is None):
        yield "half-tls", "`server` has one of `tls_cert` and `tls_key` only", "name both files"
    if server.tls_client_ca is not None and server.tls_cert is None:
        message = "`server.tls_client_ca` asks for certificates where there is no TLS"
        yield "half-tls", message, "name `tls_cert` and `tls_key`, too"
    if server.tls_cert is not None and server.listen.startswith("unix:"):
        message = "`server.tls_cert` has no use on the Unix socket `server.listen`"
        yield "tls-on-unix", message, "who may connect there is said by its mode and group"
    if server.client_certificates and server.tls_client_ca is None:
        message = "`server.client_certificates` has names that nothing verifies"
        yield "half-tls", message, "name the `tls_client_ca` that issues these certificates"
    for name in server.client_certificates:
        if not CERTIFICATE.fullmatch(name):
            yield (
                "bad-certificate-name",
                f"`server.client_certificates`: `{name}` is no name",
                _NAMES,
            )


def check_caller_certificates(
    callers: Sequence[CallerSettings], server: ServerSettings, file: str
) -> list[Problem]:
    """Callers without exactly one means to be known by, and certificates that nobody verifies."""
    return [
        Problem(file, None, code, message, help_)
        for caller in callers
        for code, message, help_ in _caller(caller, server)
    ]


def _caller(caller: CallerSettings, server: ServerSettings) -> Iterator[tuple[str, str, str]]:
    who = f"the caller `{caller.name}`"
    if (caller.key_sha256_file is None) == (caller.certificate is None):
        message = f"{who} must have exactly one of `key_sha256_file` and `certificate`"
        yield "missing-key", message, "by which of them is it known?"
    if caller.certificate is None:
        return
    if not CERTIFICATE.fullmatch(caller.certificate):
        yield "bad-certificate-name", f"{who} has a `certificate` that is no name", _NAMES
    if server.tls_client_ca is None:
        message = f"{who} has a `certificate` that nothing verifies"
        yield "half-tls", message, "name the `tls_client_ca` that issues it in `[server]`"
