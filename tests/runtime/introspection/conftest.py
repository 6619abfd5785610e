from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from introspection_server import Endpoint, secrets_in, serving


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not secrets_in(caplog.get_records("call"))
