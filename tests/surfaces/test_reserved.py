"""Addresses that several processes listen on."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

import pytest
from support import free_port

from pdp.runtime.settings import ServerSettings
from pdp.surfaces.reserved import Reserved

SERVER = ServerSettings()


def test_any_port_is_settled_before_there_are_workers() -> None:
    with contextlib.closing(Reserved("127.0.0.1:0", SERVER)) as place:
        found = [*place.open(), *place.open()]
        (port,) = {each.socket.getsockname()[1] for each in found}
        assert place.listen == f"127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        for each in found:
            each.close()


def test_a_place_that_nobody_listens_at_yet_is_taken_nevertheless() -> None:
    listen = f"127.0.0.1:{free_port()}"
    with contextlib.closing(Reserved(listen, SERVER)) as place:
        assert place.listen == listen
        with pytest.raises(OSError, match="in use"):
            Reserved(listen, SERVER)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", int(listen.rpartition(":")[2])))
    Reserved(listen, SERVER).close()


def test_where_somebody_listens_there_is_no_place() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        with pytest.raises(OSError, match="in use") as refused:
            Reserved(f"127.0.0.1:{taken.getsockname()[1]}", SERVER)
        assert refused.value.errno == errno.EADDRINUSE


def test_what_an_earlier_process_left_is_no_hindrance() -> None:
    with socket.create_server(("127.0.0.1", 0)) as before:
        address = before.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = before.accept()
            accepted.close()  # which leaves the port in TIME_WAIT
            assert client.recv(1) == b""
    Reserved(f"127.0.0.1:{address[1]}", SERVER).close()


def test_a_unix_socket_is_the_makers_to_remove(tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = Reserved(f"unix:{path}", SERVER)
    (found,) = place.open()
    assert found.is_unix
    found.close()
    assert path.exists()
    place.close()
    assert not path.exists()


def test_a_name_that_is_none_is_an_os_error() -> None:
    with pytest.raises((OSError, ValueError)):
        Reserved("a..b:1", SERVER)
