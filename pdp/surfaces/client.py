"""Who is at the other end, by the gateway's word: client address and host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv6Address,
    ip_address,
)
from typing import Final

from pdp.errors import RequestError
from pdp.runtime.settings import Network

Address = IPv4Address | IPv6Address

_MOST_REMEMBERED: Final = 4096  # read lately, of each kind; of what is refused nothing is kept
_MOST_ENTRIES: Final = 32  # looked at; no chain of trusted proxies is that long
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")  # no zone id, nothing beyond ASCII

_LONGEST_NAME: Final = 255
_HIGHEST_PORT: Final = 65535
# A trailing dot, an empty port and leading zeros are further spellings of the same host: refused.
_HOST: Final = re.compile(
    r"(?:(?P<name>[0-9A-Za-z_-]++(?:\.[0-9A-Za-z_-]++)*+)|\[(?P<ip>[0-9A-Fa-f:.]{2,45})\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)


def parse_address(text: str, *, field: str) -> str:
    """An IP address in its canonical form; IPv4-mapped IPv6 becomes IPv4. Or RequestError."""
    return _read(text, field)[1]


@lru_cache(maxsize=_MOST_REMEMBERED)
def _read(text: str, field: str) -> tuple[Address, str]:
    address = _address(text, field)
    return address, str(address)


def _address(text: str, field: str) -> Address:
    if not _ADDRESS.fullmatch(text):
        raise RequestError(field, "is not an ip address")
    try:
        address = ip_address(text)
    except ValueError:
        # Not chained: the error quotes the text. The caller sees a 400.
        raise RequestError(field, "is not an ip address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_address(values: Sequence[str], trusted: Sequence[Network], *, field: str) -> str:
    """The right-most X-Forwarded-For entry that is not a trusted proxy, canonical.

    `values` are all field lines in order. Whatever stands left of that entry is the client's own
    word and is not looked at; what stands right of it must be addresses. The left-most entry
    where all are trusted; RequestError where there is none, or the chain is too long.
    """
    if len(values) == 1 and "," not in values[0]:
        return _read(values[0].strip(" \t"), field)[1]
    entries = ",".join(values).rsplit(",", _MOST_ENTRIES)
    for entry in reversed(entries[-_MOST_ENTRIES:]):
        address, text = _read(entry.strip(" \t"), field)
        if not _is_trusted(address, trusted):
            return text
    if len(entries) > _MOST_ENTRIES:
        raise RequestError(field, "holds too many entries")
    return text


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    for network in trusted:  # noqa: SIM110 - every gateway's question comes by: `any` is slower
        if address in network:
            return True
    return False


@lru_cache(maxsize=_MOST_REMEMBERED)
def parse_host(value: str, *, field: str) -> str:
    """The host of one `host` or `host:port` (RFC 9110 §7.2), in lower case.

    The port is the client's choice and no part of a rule: `admin.example:81` is the same host.
    IPv6 addresses keep their brackets and get their canonical form. Raises RequestError.
    """
    match = _HOST.fullmatch(value)
    if match is None or int(match["port"] or 1) > _HIGHEST_PORT:
        raise RequestError(field, "is not one host")
    if match["name"] is None:
        return f"[{_bracketed(match['ip'], field)}]"
    if len(match["name"]) > _LONGEST_NAME:
        raise RequestError(field, "is too long")
    return match["name"].lower()


def _bracketed(text: str, field: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        # Not chained: the error quotes the text. The caller sees a 400.
        raise RequestError(field, "is not one host") from None
