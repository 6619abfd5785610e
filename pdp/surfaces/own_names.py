"""Keeps pages in browsers away from what only this machine may ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from pdp.errors import RequestError
from pdp.runtime.settings import is_local
from pdp.surfaces.client import parse_host
from pdp.surfaces.requests import Request

_BROWSERS: Final = ("Origin", "Sec-Fetch-Site")  # which no page can leave out
_LOCALHOST: Final = "localhost"


class OwnNames:
    """Refuses who calls a loopback listener by a name that is not the machine's own.

    Else a page in a browser could reach it under a name of the page's own (DNS rebinding,
    CWE-350). A Unix socket is out of its reach, and what is off loopback has other guards.
    """

    def __init__(self, listen: str, others: Iterable[str] = ()) -> None:
        self._looks = is_local(listen) and not listen.startswith("unix:")
        self._others = frozenset(others)

    def refuse_browsers(self, request: Request) -> None:
        """RequestError for a page of a browser's, and for a foreign name."""
        headers = request.headers
        for name in _BROWSERS:
            if name in headers:
                raise RequestError("Origin", "is not served: this is no API for browsers")
        if not self._looks:
            return
        host = headers.get("Host", "")
        if not _is_own(host) and _name(host) not in self._others:
            raise RequestError("Host", "is no name of this machine's own")


def own_names(listen: str, public_url: str | None = None) -> OwnNames:
    """Those of a listener; a proxy of the operator's may ask by the name in `public_url`."""
    return OwnNames(listen, () if public_url is None else (_name(urlsplit(public_url).netloc),))


def _name(value: str) -> str:
    return parse_host(value, field="Host")


@lru_cache(maxsize=64)
def _is_own(host: str) -> bool:
    """`localhost`, or an address of loopback: for these nobody is asked, who could lie."""
    name = _name(host)
    if name == _LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
