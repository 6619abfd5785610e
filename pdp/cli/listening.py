"""What serving commands have in common: the event loop, and what they say if nobody can listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import NoReturn

from pdp.cli.terminal import give_up
from pdp.runtime.settings import ServerSettings


def cannot_listen(server: ServerSettings, error: Exception) -> NoReturn:
    """Leave with 4, and say where it was to listen."""
    where = " and ".join(filter(None, (server.listen, server.admin_listen, server.grpc_listen)))
    help_ = "is another process there already? choose others with --listen and --admin-listen"
    give_up(f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}", 4, help_)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The quicker loop where there is one."""
    if find_spec("uvloop") is None:  # pragma: no cover - not on Windows
        return None
    import uvloop

    return uvloop.new_event_loop
