"""Cheap evidence that a policy directory was edited, and that nobody is in the midst of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from pdp.identity.revocation import FILE as REVOCATIONS

Signature = tuple[tuple[str, int, int, int, int], ...]

SETTLE_SECONDS = 0.1  # a directory that still changes is not read


async def settled(directory: Path) -> Signature:
    """The directory's signature once it has not changed for a moment, or for a bounded time."""
    seen = await asyncio.to_thread(signature, directory)
    for _ in range(10):
        await asyncio.sleep(SETTLE_SECONDS)
        now = await asyncio.to_thread(signature, directory)
        if now == seen:
            break
        seen = now
    return seen


def signature(directory: Path) -> Signature:
    """Cheap evidence of change: what each file really is, how long, and when it was written."""
    found = []
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        return (("", error.errno or 0, 0, 0, 0),)
    for path in paths:
        if path.name == REVOCATIONS:  # watched on its own path
            continue
        with suppress(OSError):
            stat = path.stat()
            found.append((path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)
