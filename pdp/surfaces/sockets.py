"""Sockets to listen on: TCP for every address of a name, or Unix with mode and group."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import logging
import os
import resource
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.runtime.settings import ServerSettings, parse_listen

log = logging.getLogger("pdp.http")

BACKLOG: Final = 1_024
_OTHER_FILES: Final = 256  # policies, logs, keys, and those who ask elsewhere
_PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A socket that listens; `path` and `file` are a Unix socket's."""

    socket: socket.socket
    path: Path | None = None
    file: tuple[int, int] = (0, 0)  # device and inode

    @property
    def is_unix(self) -> bool:
        """Whether it has a path instead of an address."""
        return self.socket.family == socket.AF_UNIX

    def close(self) -> None:
        """Close it, and remove its file unless another one stands there by now."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if self.path is not None and _file(self.path) == self.file:
                self.path.unlink()


async def open_sockets(listen: str, server: ServerSettings) -> list[OpenSocket]:
    """Sockets that listen there: one, or one for each address of a host's name; or OSError."""
    place = parse_listen(listen)
    if isinstance(place, str):
        return [open_unix(Path(place), server)]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*place, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:
        sockets = [
            opened.enter_context(contextlib.closing(_tcp(family, address)))
            for family, address in dict.fromkeys((info[0], info[4]) for info in found)
        ]
        opened.pop_all()
    return sockets


def room_for(connections: int, listeners: int) -> int:
    """How many connections each of so many listeners can have: as many as wanted, or as fit.

    The process may then open as many files as that takes, or as it is allowed to.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * listeners + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fits = connections if soft == resource.RLIM_INFINITY else (soft - _OTHER_FILES) // listeners
    if fits < connections:
        facts = {"wanted": connections, "connections": max(1, fits)}
        log.warning("the limit on open files allows fewer connections", extra={"facts": facts})
    return max(1, min(connections, fits))


def _tcp(family: int, address: tuple[object, ...]) -> OpenSocket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        listen_on(made)
    except OSError:
        made.close()
        raise
    return OpenSocket(made)


def open_unix(path: Path, server: ServerSettings) -> OpenSocket:
    """A socket with its mode and group: nobody can connect before it has them; or OSError."""
    remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        opened = OpenSocket(made, path, _file(path))
    except OSError:
        made.close()
        raise
    try:
        if server.socket_group is not None:
            os.chown(path, -1, _group(server.socket_group))
        path.chmod(int(server.socket_mode, 8))
        listen_on(made)
    except OSError:
        opened.close()
        raise
    return opened


def listen_on(made: socket.socket) -> None:
    """Accept connections on a socket that is bound."""
    made.listen(BACKLOG)
    made.setblocking(False)


def _file(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _group(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(errno.EINVAL, f"there is no group `{name}`") from None


def remove_stale(path: Path) -> None:
    """Remove a socket that nobody answers on; OSError if there is anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
