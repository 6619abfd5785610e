"""How workers ask each other: a line and its answer, on Unix sockets in what they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

_SECONDS: Final = 0.5  # for an answer
_LENGTH: Final = 4  # bytes in front of an answer, so that half a one is none


class Channel:
    """One worker's end: it is asked there, and asks others."""

    def __init__(
        self, directory: Path, index: int, reply: Callable[[bytes], Awaitable[bytes]]
    ) -> None:
        self._directory = directory
        self._index = index
        self._reply = reply
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Begin to answer."""
        place = self._place(self._index)
        place.unlink(missing_ok=True)  # of who was killed here
        self._server = await asyncio.start_unix_server(self._handle, place)

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()

    async def ask(self, index: int, line: bytes) -> bytes | None:
        """Another's answer; None if there is not all of it in time."""
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._ask(index, line)
        except (OSError, TimeoutError):
            return None
        length, answer = found[:_LENGTH], found[_LENGTH:]
        whole = len(length) == _LENGTH and int.from_bytes(length) == len(answer)
        return answer if whole else None

    async def _ask(self, index: int, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._place(index))
        try:
            writer.write(line)
            return await reader.read(-1)
        finally:
            writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                asked = await reader.readline()
            answer = await self._reply(asked)
            writer.write(len(answer).to_bytes(_LENGTH) + answer)
        writer.close()

    def _place(self, index: int) -> Path:
        return self._directory / f"{index}.sock"
