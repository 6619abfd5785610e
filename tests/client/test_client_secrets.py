"""An error of the client leads to no key, also for loggers that print what it was raised from."""

from __future__ import annotations

import asyncio

import pytest
from imposters import talking

from pdp.client import Action, Pdp, Resource, Subject, Unreachable


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\xff\r\n\r\n")
    await writer.drain()


async def test_no_error_leads_to_the_key() -> None:
    async with talking(no_http) as url, Pdp(url, timeout=5, key="the-key") as asking:
        with pytest.raises(Unreachable, match="ClientResponseError") as raised:
            await asking.evaluate(Subject("user", "a"), Action("GET"), Resource("resource", "/a"))
    found: BaseException | None = raised.value
    while found is not None:
        assert "the-key" not in repr(found)
        found = found.__cause__ or found.__context__
