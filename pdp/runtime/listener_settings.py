"""What can be wrong with what `[server]` and `[[callers]]` say of TLS, and of workers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from pdp.errors import Problem, Severity
from pdp.runtime.limits import LimitSettings, parse_rates
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


def check_workers(
    server: ServerSettings, limits: LimitSettings, file: str, *, passwords: bool
) -> list[Problem]:
    """What does not go together with several workers, and what they count each for themselves."""
    if server.workers == 1:
        return []
    problems = []
    if sys.platform != "linux":
        message = "`server.workers` is more than 1, which is for Linux only"
        problems.append(Problem(file, None, "bad-workers", message, "start several PDPs"))
    if server.grpc_listen is not None and server.grpc_listen.startswith("unix:"):
        message = "`server.grpc_listen` is a Unix socket, which workers cannot share"
        help_ = "name a `HOST:PORT` on loopback, or set `server.workers` to 1"
        problems.append(Problem(file, None, "bad-workers", message, help_))
    guesses = ("failed_passwords", "failed_passwords_per_address") if passwords else ()
    for key in (*guesses, *_REQUESTS):
        if _bounds(getattr(limits, key)):
            message = f"`limits.{key}` is counted by each of {server.workers} workers for itself"
            help_ = (
                "as many times more are let through: set it lower, or let the gateway bound that"
            )
            found = Problem(file, None, "limits-by-worker", message, help_, Severity.WARNING)
            problems.append(found)
    return problems


_REQUESTS: Final = ("requests_per_address", "requests_per_subject", "requests_per_api_key")


def _bounds(rate: str | None) -> bool:
    try:
        return bool(parse_rates(rate))
    except ValueError:  # told elsewhere
        return False
