"""Finds where an issuer publishes its keys: OpenID Connect Discovery 1.0, or else RFC 8414."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from pdp import strict_json
from pdp.identity.urls import is_safe_url
from pdp.runtime.http_client import Failed, get

log = logging.getLogger("pdp.jwks")

AGAIN_AFTER: Final = 86_400.0  # seconds
_NOT_FOUND: Final = 404
_LONGEST_URL: Final = 2_048


class Discovery:
    """Remembers where an issuer's keys are; asks again when that is old, or in doubt.

    What was found last goes on to hold while it cannot be found anew.
    """

    def __init__(self, issuer: str, most: int, clock: Callable[[], float]) -> None:
        self.problem: Failed | None = None  # why the last attempt found nothing
        self._issuer = issuer
        self._most = most
        self._clock = clock
        self._found = ""
        self._found_at = 0.0

    async def jwks_url(self, session: aiohttp.ClientSession, *, doubted: bool) -> str:
        """Where the keys are; Failed if that was never found out."""
        if not (self._found and self._clock() - self._found_at < AGAIN_AFTER and not doubted):
            try:
                self._found = await discover(session, self._issuer, self._most)
                self._found_at, self.problem = self._clock(), None
            except Failed as failure:
                self.problem = failure
                if not self._found:
                    raise
                facts = {"issuer": self._issuer, "problem": failure.kind, "detail": failure.detail}
                log.warning("discovery_failed", extra={"facts": facts})
        return self._found


async def discover(session: aiohttp.ClientSession, issuer: str, most: int) -> str:
    """The `jwks_uri` of the issuer's metadata; Failed if there is none that may be trusted."""
    first, second = well_known(issuer)
    try:
        try:
            received = await get(session, first, most)
        except Failed as failure:
            if failure.status != _NOT_FOUND:
                raise
            received = await get(session, second, most)
        return await asyncio.to_thread(_jwks_uri, received.body, issuer)
    except Failed as failure:
        raise Failed(f"discovery_{failure.kind}", failure.detail, failure.status) from None


def well_known(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata are: Discovery §4 appends to its path, RFC 8414 §3.1 prepends."""
    parts = urlsplit(issuer)
    path = parts.path.removesuffix("/")
    host = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{host}{path}/.well-known/openid-configuration",
        f"{host}/.well-known/oauth-authorization-server{path}",
    )


def _jwks_uri(body: bytes, issuer: str) -> str:
    try:
        document = strict_json.loads(body)
    except ValueError as error:
        raise Failed("garbage", str(error)) from None
    if not isinstance(document, dict):
        raise Failed("garbage", "not an object")
    # INVARIANT: compared exactly, so that nobody's metadata speak for another issuer (§4.3).
    if document.get("issuer") != issuer:
        raise Failed("foreign_issuer", "its `issuer` is not the configured one")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not _may_hold_keys(url, issuer):
        raise Failed("jwks_uri", "its `jwks_uri` is no https URL without user name and password")
    return url


def _may_hold_keys(url: str, issuer: str) -> bool:
    """Plain http only where the issuer itself is asked so, which is on loopback."""
    return is_safe_url(url) and (urlsplit(url).scheme == "https" or issuer.startswith("http:"))
