"""What stands around the gateways: a loop of its own with the application and the relays."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

SAMPLES = Path(__file__).parents[3] / "deploy" / "gateways"
T = TypeVar("T")


def _echo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("echo", SAMPLES / "echo.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loop:
    """An event loop in a thread, for what has to run beside the (blocking) tests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def serve(self, handle: Any, port: int) -> asyncio.Server:
        """Listen on loopback until `close`."""
        server = await asyncio.start_server(handle, "127.0.0.1", port, limit=1 << 20)
        self._servers.append(server)
        return server

    async def _cancel(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Upstream:
    """The application behind every gateway, and what reached it."""

    def __init__(self, loop: Loop, port: int) -> None:
        self.port = port
        self.seen: list[dict[str, Any]] = []
        handle = _echo().handler(self.seen.append)
        loop.run(loop.serve(handle, port))

    def take(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        taken, self.seen[:] = list(self.seen), []
        return taken


class Canned:
    """Something that says the same to everybody, request by request."""

    def __init__(self, loop: Loop, port: int, data: bytes) -> None:
        self.port, self._data = port, data
        loop.run(loop.serve(self._serve, port))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(self._data)
                if b"Content-Length" not in self._data:
                    break
        with contextlib.suppress(ConnectionError):
            writer.close()


class Relay:
    """Stands between one gateway and the PDP: counts connections, refuses them, or is silent."""

    def __init__(self, loop: Loop, port: int, to: int) -> None:
        self.port, self.to, self.connections, self.silent = port, to, 0, False
        self._loop, self._writers = loop, set[asyncio.StreamWriter]()
        self._server: asyncio.Server | None = None
        self.up()

    def up(self) -> None:
        """Accept, and hand everything on."""
        self.silent = False
        if self._server is None:
            self._server = self._loop.run(self._loop.serve(self._serve, self.port))

    def down(self) -> None:
        """Refuse connections, and end those that there are."""
        self._loop.run(self._close())

    def change(self, to: int) -> None:
        """Hand on to somebody else, on new connections only."""
        self.down()
        self.to = to
        self.up()

    def hang(self) -> None:
        """Accept, read, and never answer."""
        self.up()
        self.silent = True

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            onward = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, onward[1]}
        try:
            await asyncio.gather(self._copy(reader, onward[1]), self._copy(onward[0], writer))
        finally:
            self._writers -= {writer, onward[1]}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()
