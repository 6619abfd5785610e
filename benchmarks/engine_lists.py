"""Policies without roles: single subjects, lists of networks, lists of those who may not."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

from engine_rows import Ask, Kind, Policy, anybody, join, other, row_at, user_name


def acl(rows: int, users: int) -> Policy:
    """Ten rows for each subject, one for each page."""
    subjects = max(2, rows // 10)
    text = join([f"p, {user_name(i % subjects)}, /page/{i}, GET" for i in range(rows)], [])

    def ask(kind: Kind, rng: Random) -> Ask:
        row = row_at(kind, rng, rows)
        page = f"/page/{row}"
        if kind != "miss":
            return Ask(kind, True, row + 1, user_name(row % subjects), page)
        if rng.random() < 0.5:
            return Ask(kind, False, None, user_name(other(rng, subjects, row % subjects)), page)
        return Ask(kind, False, None, anybody(rng, users), f"/page/{rows + rng.randrange(users)}")

    return Policy(text, 0, ask)


_NETWORKS = ((24, 30 << 24), (32, 10 << 24), (28, 20 << 24), (48, 0x2A00 << 112))


def _network(row: int, rows: int) -> tuple[int, int, int]:
    """A row's network, disjoint from all others: first address, prefix, length of an address."""
    place, shape = (rows, 0) if row == rows - 1 else (row // 4, row % 4)
    prefix, base = _NETWORKS[shape]
    bits = 128 if shape == 3 else 32
    return base + (place << (bits - prefix)), prefix, bits


def _network_text(row: int, rows: int) -> str:
    first, prefix, bits = _network(row, rows)
    return f"{_address(first, bits)}/{prefix}"


def _address(number: int, bits: int) -> str:
    if bits == 32:
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return str(ip_address(number))


def _networks(rows: int, users: int, *, deny: bool) -> Policy:
    tail = ", deny" if deny else ""
    text = join([f"p, {_network_text(i, rows)}{tail}" for i in range(rows)], [])

    def ask(kind: Kind, rng: Random) -> Ask:
        who = anybody(rng, users)
        if kind == "miss":
            v6, number = rng.random() < 0.25, rng.randrange(1 << 17)
            bits, base = (128, 0x2B00 << 112) if v6 else (32, (198 << 24) + (18 << 16))
            return Ask(kind, deny, None, who, ip=_address(base + number, bits))
        row = row_at(kind, rng, rows)
        first, prefix, bits = _network(row, rows)
        address = _address(first + rng.randrange(1 << (bits - prefix)), bits)
        return Ask(kind, not deny, row + 1, who, ip=address)

    return Policy(text, 0, ask)


def ip(rows: int, users: int) -> Policy:
    """Networks of four lengths, IPv4 and IPv6, that may ask."""
    return _networks(rows, users, deny=False)


def deny_networks(rows: int, users: int) -> Policy:
    """The same networks, none of which may."""
    return _networks(rows, users, deny=True)


def deny_subjects(rows: int, users: int) -> Policy:
    """Subjects that may not; everybody else passes."""
    text = join([f"p, {user_name(i)}, deny" for i in range(rows)], [])

    def ask(kind: Kind, rng: Random) -> Ask:
        if kind == "miss":
            return Ask(kind, True, None, anybody(rng, users))
        row = row_at(kind, rng, rows)
        return Ask(kind, False, row + 1, user_name(row))

    return Policy(text, 0, ask)
