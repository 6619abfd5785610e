"""Addresses that several processes listen on: taken once, before there are any of them."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from pdp.runtime.settings import ServerSettings, parse_listen
from pdp.surfaces.sockets import OpenSocket, listen_on, open_unix

Address = tuple[object, ...]


class Reserved:
    """One place to listen at; to be made, and closed, by the process that outlives the others.

    TCP: the address is bound and nobody listens there until workers do, each with a socket of its
    own, among which the kernel spreads connections. Unix: one socket, which all of them accept on.
    """

    def __init__(self, listen: str, server: ServerSettings) -> None:
        """OSError if another process has the place, or it cannot be had."""
        place = parse_listen(listen)
        self._unix = open_unix(Path(place), server) if isinstance(place, str) else None
        with contextlib.ExitStack() as bound:
            self._bound = [
                bound.enter_context(_bind(family, address))
                for family, address in ([] if isinstance(place, str) else _addresses(*place))
            ]
            bound.pop_all()

        self._listen = listen

    @property
    def listen(self) -> str:
        """The place, with the port that it turned out to be where any would do."""
        host, colon, port = self._listen.rpartition(":")
        if self._unix is not None or int(port):
            return self._listen
        return f"{host}{colon}{self._bound[0].getsockname()[1]}"

    def open(self) -> list[OpenSocket]:
        """In a worker: sockets that listen there."""
        if self._unix is not None:
            return [OpenSocket(self._unix.socket.dup())]
        with contextlib.ExitStack() as opened:
            sockets = [
                opened.enter_context(contextlib.closing(_beside(found))) for found in self._bound
            ]
            opened.pop_all()
        return sockets

    def close(self) -> None:
        """Give the place up."""
        if self._unix is not None:
            self._unix.close()
        for found in self._bound:
            found.close()


def _addresses(host: str, port: int) -> list[tuple[int, Address]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [*dict.fromkeys((int(info[0]), info[4]) for info in found)]


def _bind(family: int, address: Address) -> socket.socket:
    """A bound socket, beside which nobody binds one unless it is to share the port."""
    # Without SO_REUSEPORT this fails where anybody listens: two instances never share a port.
    with contextlib.closing(_made(family)) as probe:
        probe.bind(address)
    made = _made(family, socket.SO_REUSEPORT)
    try:
        made.bind(address)
    except OSError:
        made.close()
        raise
    # Was of use for what an earlier process has left; from now on it would let others in.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return made


def _beside(bound: socket.socket) -> OpenSocket:
    made = _made(bound.family, socket.SO_REUSEPORT)
    try:
        made.bind(bound.getsockname())
        listen_on(made)
    except OSError:
        made.close()
        raise
    return OpenSocket(made)


def _made(family: int, *options: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    for option in (socket.SO_REUSEADDR, *options):
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
