"""What browsers do by themselves: they ask before they ask, and they can be sent to log in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from pdp.answer.bodies import MediaType, choose
from pdp.model import Credentials
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.asked import Asked, Headers, only
from pdp.surfaces.client import parse_host

_NAVIGATED: Final = frozenset({"GET", "HEAD"})
_LONGEST_LOCATION: Final = 3072  # gateways have 4 kB, nginx at the least, for all of an answer's


def is_preflight(asked: Asked, headers: Headers, credentials: Credentials) -> bool:
    """Whether this is a CORS preflight (Fetch §4.8), which never has a credential."""
    return (
        asked.query.action.name == "OPTIONS"
        and not credentials.presented
        and bool(only(headers, "Origin"))
        and bool(only(headers, "Access-Control-Request-Method"))
    )


def is_navigation(asked: Asked, headers: Headers, credentials: Credentials) -> bool:
    """Whether somebody looks at a page: never a program, never a page's own requests."""
    return (
        asked.query.action.name in _NAVIGATED
        and not credentials.presented
        and only(headers, "Sec-Fetch-Mode") == "navigate"
        and choose(", ".join(headers.getall("Accept", ())) or None) is MediaType.HTML
    )


@dataclass(frozen=True, slots=True)
class Login:
    """Where people log in, and which hosts they may be sent back to from there.

    With a `url` that is a path, the page is on every host by itself, and the way back is a path,
    too. Else it is a whole URL, on the page's own host or on one of `hosts`.
    """

    url: str
    parameter: str
    hosts: tuple[str, ...] = ()

    def location(self, asked: Asked) -> str | None:
        """The login page with the way back as a parameter; None for the login page itself.

        INVARIANT: whatever of the request stands in it is percent-encoded, and leads to hosts that
        the operator has named, or nowhere.
        """
        login, host = urlsplit(self.url), asked.query.context["host"]
        own = not login.netloc or parse_host(login.netloc, field="login_url") == host
        if own and (login.path or "/") == asked.path:
            return None
        back = asked.path + asked.search
        if login.netloc:
            scheme = asked.query.context["scheme"]
            back = f"{scheme}://{asked.authority}{back}" if own or self._listed(host) else ""
        return self._with(back)

    def _with(self, back: str) -> str:
        mark = "&" if "?" in self.url else "?"
        way = f"{mark}{self.parameter}={quote(back, safe='', errors='surrogateescape')}"
        fits = back and len(self.url) + len(way) <= _LONGEST_LOCATION
        return self.url + way if fits else self.url

    def _listed(self, host: str) -> bool:
        return any(
            host.endswith(listed[1:]) if listed.startswith("*.") else host == listed
            for listed in self.hosts
        )


def make_login(server: ServerSettings) -> Login | None:
    """What the settings say of logging in; None if they say nothing."""
    if server.login_url is None:
        return None
    return Login(server.login_url, server.login_return_parameter, server.login_return_hosts)
