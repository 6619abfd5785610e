"""Writes small MaxMind DB files (format 2.0) for the tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

BUILT = 1_767_225_600  # 2026-01-01T00:00:00Z
MARKER = b"\xab\xcd\xefMaxMind.com"


def country(code: object, **more: Any) -> dict[str, Any]:
    """A record as databases of countries have it."""
    return {"country": {"geoname_id": 1, "iso_code": code, "names": {"en": "?"}}, **more}


class Raw(bytes):
    """Stands for itself in the data section: a record that is not sound."""


def mmdb(
    networks: Mapping[str, object],
    *,
    ip_version: int = 6,
    record_size: int = 24,
    built: object = BUILT,
) -> bytes:
    """A database with a record for each network; the more specific one counts."""
    root: list[Any] = [None, None]
    for network in sorted(map(ip_network, networks), key=_depth):
        _insert(root, _bits(network, ip_version), networks[str(network)])
    nodes: list[list[Any]] = []
    _number(root, nodes)
    data, places = b"", dict[bytes, int]()

    def pointer(child: Any) -> int:
        nonlocal data
        if child is None:
            return len(nodes)
        if isinstance(child, list):
            return next(index for index, node in enumerate(nodes) if node is child)
        record = encode(child[0])
        if record not in places:
            places[record] = len(data)
            data += record
        return len(nodes) + 16 + places[record]

    tree = b"".join(_node(pointer(left), pointer(right), record_size) for left, right in nodes)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": built,
        "database_type": "Test-Country",
        "description": {"en": "made by the tests"},
        "ip_version": ip_version,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": record_size,
    }
    return tree + bytes(16) + data + MARKER + encode(metadata)


def encode(value: object) -> bytes:
    """A value of the data section."""
    match value:
        case Raw():
            return bytes(value)
        case bool():
            return _head(14, int(value))
        case str():
            text = value.encode()
            return _head(2, len(text)) + text
        case int():
            number = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return _head(6 if len(number) <= 4 else 9, len(number)) + number
        case float():
            return _head(3, 8) + struct.pack("!d", value)
        case dict():
            items = (encode(key) + encode(each) for key, each in value.items())
            return _head(7, len(value)) + b"".join(items)
        case list():
            return _head(11, len(value)) + b"".join(map(encode, value))
    raise TypeError(type(value).__name__)


def _head(kind: int, size: int) -> bytes:
    more, short = b"", size
    if size >= 285:
        more, short = struct.pack("!H", size - 285), 30
    elif size >= 29:
        more, short = bytes([size - 29]), 29
    if kind > 7:
        return bytes([short, kind - 7]) + more
    return bytes([kind << 5 | short]) + more


def _node(left: int, right: int, record_size: int) -> bytes:
    if record_size == 28:
        middle = (left >> 24) << 4 | right >> 24
        low = 0xFFFFFF
        return (left & low).to_bytes(3, "big") + bytes([middle]) + (right & low).to_bytes(3, "big")
    return b"".join(each.to_bytes(record_size // 8, "big") for each in (left, right))


def _depth(network: IPv4Network | IPv6Network) -> int:
    return network.prefixlen + (96 if network.version == 4 else 0)


def _bits(network: IPv4Network | IPv6Network, ip_version: int) -> str:
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    return "0" * 96 + bits if ip_version == 6 and network.version == 4 else bits


def _insert(root: list[Any], bits: str, record: object) -> None:
    node = root
    for bit in map(int, bits[:-1]):
        if not isinstance(node[bit], list):
            node[bit] = [node[bit], node[bit]]  # what held for all of it holds for both halves
        node = node[bit]
    node[int(bits[-1])] = (record,)


def _number(node: list[Any], nodes: list[list[Any]]) -> None:
    nodes.append(node)
    for child in node:
        if isinstance(child, list):
            _number(child, nodes)
