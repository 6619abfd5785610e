"""One question and its answer over HTTP: bounded in time and size, and nothing is followed."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from pdp.client.answers import parse
from pdp.client.errors import BadQuestion, NotUnderstood, PdpError, Refused, Unreachable
from pdp.client.request_ids import request_id_field

MOST_BYTES: Final = 1_048_576  # of an answer
_CHUNK: Final = 65_536
_LONGEST_MESSAGE: Final = 200
_JSON: Final = "application/json"
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"Accept": _JSON, "Accept-Encoding": "identity", "Content-Type": _JSON}
)
_ENDED: Final = (
    *(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError),
)
_OK: Final = 200
_FAULT: Final = 500
_ERRORS: Final[Mapping[int, type[PdpError]]] = MappingProxyType(
    {400: BadQuestion, 401: Refused, 403: Refused, 413: BadQuestion, 429: Unreachable}
)


class Exchange:
    """Puts questions to the PDP at `url` while it is open; `timeout` is in seconds for each one."""

    def __init__(
        self, url: str, *, timeout: float, key: str | None, lender: aiohttp.ClientSession | None
    ) -> None:
        self._base, self._socket = _place(url)
        if isinstance(timeout, bool) or not (math.isfinite(timeout) and timeout > 0):
            raise ValueError("timeout: must be a positive number of seconds")
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("key: must be visible ASCII characters")  # and never be quoted
        if lender is not None and self._socket is not None:
            raise ValueError("session: connects to no Unix socket")
        self._timeout = timeout
        self._lender = lender
        bearer = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._headers = {**_HEADERS, **bearer}
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Begin; of a session that was lent only its connections are used."""
        if self._session is not None:
            raise RuntimeError("the client is open already")
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            connector_owner=self._lender is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # ours bounds the whole
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """End; harmless if it is not open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _connector(self) -> aiohttp.BaseConnector:
        if self._socket is not None:
            return aiohttp.UnixConnector(self._socket)
        if self._lender is None:
            return aiohttp.TCPConnector()
        if self._lender.connector is None:
            raise RuntimeError("the session that was lent is closed")
        return self._lender.connector

    async def ask(self, path: str, question: Mapping[str, Any]) -> Any:
        """The JSON value that answers `question`, or a PdpError."""
        if self._session is None:
            raise RuntimeError("the client is not open: use `async with`")
        data, headers = _encoded(question), {**self._headers, **request_id_field()}
        url = URL(self._base + path, encoded=True)
        try:
            async with asyncio.timeout(self._timeout):
                return await _sent(self._session, url, data, headers)
        except TimeoutError:
            raise Unreachable(f"no answer within {self._timeout:g} seconds") from None
        except (aiohttp.ClientError, OSError) as error:
            why = type(error).__name__
        # Out here, so that it is no context either: some of them hold the request, and its key.
        raise Unreachable(f"no answer: {why}")


async def _sent(
    session: aiohttp.ClientSession, url: URL, data: bytes, headers: Mapping[str, str]
) -> Any:
    """The answer. A question changes nothing: where a kept connection ends, it is put again."""
    try:
        return await _once(session, url, data, headers)
    except aiohttp.ClientConnectorError:
        raise
    except _ENDED:
        return await _once(session, url, data, headers)


async def _once(
    session: aiohttp.ClientSession, url: URL, data: bytes, headers: Mapping[str, str]
) -> Any:
    async with session.post(url, data=data, headers=headers, allow_redirects=False) as response:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > MOST_BYTES:
                raise NotUnderstood(f"the answer has more than {MOST_BYTES} bytes")
    if response.status != _OK:
        raise _refusal(response.status, bytes(body))
    if response.content_type != _JSON:
        raise NotUnderstood("the answer is not JSON")
    return parse(bytes(body))


def _refusal(status: int, body: bytes) -> PdpError:
    kind = Unreachable if status >= _FAULT else _ERRORS.get(status, NotUnderstood)
    return kind((kind is BadQuestion and _message(body)) or f"the PDP answers {status}")


def _message(body: bytes) -> str | None:
    """What a PDP says of a bad question, if it is a line that can be shown."""
    try:
        value = parse(body)
    except NotUnderstood:
        return None
    text = value.get("message") if isinstance(value, dict) else value
    return text[:_LONGEST_MESSAGE] if isinstance(text, str) and text.isprintable() else None


def _encoded(question: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(question)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Not chained: the error can quote the text.
        raise BadQuestion("the question holds a value that cannot be written as JSON") from None


def _place(url: str) -> tuple[str, str | None]:
    """The URL before an endpoint's path, and the Unix socket's path, if it is one."""
    if url.startswith("unix:/"):
        return "http://localhost", url.removeprefix("unix:")
    try:
        parts = URL(url)
        fits = parts.scheme in ("http", "https") and bool(parts.host)
    except ValueError:
        fits = False
    if not fits or parts.user is not None or parts.password is not None or "?" in url or "#" in url:
        raise ValueError("url: must be http://…, https://… or unix:/…, without a user or a query")
    return str(parts).rstrip("/"), None
