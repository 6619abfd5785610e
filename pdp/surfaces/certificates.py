"""What a client's certificate says of it, where TLS asked for one and has verified it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SPIFFE: Final = "spiffe://"
_DNS: Final = re.compile(
    r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
)  # nothing that reads as another kind


@dataclass(frozen=True, slots=True)
class Certified:
    """The names in a verified certificate, as `client_certificates` writes them."""

    names: frozenset[str] = frozenset()


NOBODY: Final = Certified()


def certified(transport: asyncio.BaseTransport) -> Certified:
    """Who is at the other end; NOBODY without a certificate that TLS has verified."""
    ssl_object = transport.get_extra_info("ssl_object")
    found = None if ssl_object is None else ssl_object.getpeercert()
    return Certified(frozenset(_names(found))) if found else NOBODY


def _names(certificate: Mapping[str, Any]) -> Iterable[str]:
    """Each name once: `spiffe://…`, a DNS name in lower case, `CN=…` of the subject."""
    alternatives = certificate.get("subjectAltName", ())
    uris = [value for kind, value in alternatives if kind == "URI"]
    # An SVID has exactly one URI; with several, it would be up to us whose word counts.
    if len(uris) == 1 and uris[0].startswith(_SPIFFE):
        yield uris[0]
    names = (value for kind, value in alternatives if kind == "DNS")
    yield from (name.lower() for name in names if _DNS.fullmatch(name))
    for pairs in certificate.get("subject", ()):
        yield from (f"CN={value}" for key, value in pairs if key == "commonName")
