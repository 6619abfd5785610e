"""Addresses and networks as numbers: those of `ipaddress`, with a short way for dotted quads."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

WIDTHS: Final[Mapping[int, int]] = MappingProxyType({4: 32, 6: 128})
_OCTETS: Final = {str(number): number for number in range(256)}
_LONGEST: Final = 64  # text that is kept; one with a scope id can be of any length
_LENGTHS: Final = {str(number): number for number in range(33)}


def address(value: Any) -> tuple[int, int]:
    """The version of an address and its number, no scope told; ValueError for what is none."""
    if not isinstance(value, str):  # a bare number is an address to `ipaddress`, not to us
        raise ValueError("is not an address")  # noqa: TRY004
    number = _quad(value)
    if number is not None:
        return 4, number
    return _address(value) if len(value) <= _LONGEST else _read(value)


@lru_cache(maxsize=1 << 12)
def _address(value: str) -> tuple[int, int]:
    return _read(value)


def _read(value: str) -> tuple[int, int]:
    found = ipaddress.ip_address(value)
    return found.version, int(found)


def network(pattern: str) -> tuple[int, int, int]:
    """Version, prefix length and first address of a network; an address is one of full length.

    Host bits are cut off. ValueError for what is neither.
    """
    version, length, number = interface(pattern)
    spare = WIDTHS[version] - length
    return version, length, number >> spare << spare


def interface(pattern: Any) -> tuple[int, int, int]:
    """The same with the host bits kept."""
    if isinstance(pattern, str):
        text, slash, tail = pattern.partition("/")
        number, length = _quad(text), _LENGTHS.get(tail) if slash else 32
        if number is not None and length is not None:
            return 4, length, number
    ipaddress.ip_network(pattern, strict=False)  # takes less than an interface
    found = ipaddress.ip_interface(pattern)
    return found.version, found.network.prefixlen, int(found)


def _quad(text: str) -> int | None:
    """The number of four decimal octets, none written with more digits than it has."""
    try:
        a, b, c, d = text.split(".")
        return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
    except (ValueError, KeyError):
        return None
