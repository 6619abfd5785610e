"""How serving ends: what is under way is answered, unless somebody is in a hurry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol


class Listener(Protocol):
    """What accepts questions until it is stopped."""

    async def start(self) -> None:
        """Accept; OSError if that is not possible."""
        ...

    async def stop(self) -> None:
        """Answer what is under way, and end."""
        ...


class Ending:
    """How serving ends: asked once, in order; asked again, at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._haste = asyncio.Event()

    def ask(self) -> None:
        """End, as a signal asks for."""
        (self._haste if self.asked.is_set() else self.asked).set()

    def ask_once(self) -> None:
        """End, however often this is asked: of workers, several ask it at the same time."""
        self.asked.set()

    def hurry(self) -> None:
        """End at once."""
        self.asked.set()
        self._haste.set()

    async def wait(self, seconds: float) -> None:
        """Let so much time pass, unless in haste."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._haste.wait()

    async def stop(self, listeners: Iterable[Listener]) -> None:
        """Stop all of them; in haste, without waiting for what is under way."""
        stopping = asyncio.gather(*(listener.stop() for listener in listeners))
        haste = asyncio.ensure_future(self._haste.wait())
        await asyncio.wait((stopping, haste), return_when=asyncio.FIRST_COMPLETED)
        for one in (stopping, haste):
            one.cancel()
        (stopped, _) = await asyncio.gather(stopping, haste, return_exceptions=True)
        if isinstance(stopped, Exception):
            raise stopped
