"""What can be wrong with those settings of `[server]` that gateways and browsers see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from pdp.errors import Problem
from pdp.identity.issuer import is_jmespath
from pdp.runtime.settings import ServerSettings

Mistakes = Iterator[tuple[str, str, str]]  # code, message and help

_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,4}")
_MOST_HEADERS: Final = 16
# What HTTP, gateways and this PDP mean something else by.
# fmt: off
_TAKEN: Final = frozenset({
    "accept", "authorization", "cache-control", "connection", "content-encoding",
    "content-length", "content-type", "cookie", "date", "expect", "forwarded", "host",
    "keep-alive", "location", "origin", "proxy-authorization", "proxy-authenticate", "range",
    "referer", "retry-after", "server", "set-cookie", "te", "trailer", "transfer-encoding",
    "upgrade", "user-agent", "vary", "via", "www-authenticate", "x-api-key", "x-authz-status",
    "x-decision-id", "x-real-ip",
})
# fmt: on
_TAKEN_BEGINNINGS: Final = ("x-original-", "x-envoy-", "access-control-", "sec-")
# The convention's own, and what the client's chain is read from.
_CONVENTIONS: Final = re.compile(r"x-forwarded-(?:for|host|proto|port|uri|method|prefix)")

_AUTHORITY: Final = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?"
# Printable ASCII that no browser reads otherwise; not `//host` and no fragment.
_REST: Final = r"""(?:/(?![/\\])[^\x00-\x20\x7f-\U0010ffff"<>\\^`{|}#]*)"""
_LOGIN: Final = re.compile(rf"(?:https?://{_AUTHORITY})?{_REST}|https?://{_AUTHORITY}")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]")


def check_gateways(server: ServerSettings, file: str) -> list[Problem]:
    """Every mistake in them that the types of the section cannot see."""
    found = [mistake for rule in _RULES for mistake in rule(server)]
    return [Problem(file, None, code, message, help_) for code, message, help_ in found]


def _names(server: ServerSettings) -> Mistakes:
    names = (server.subject_header, server.roles_header, *server.identity_headers)
    for name in names:
        if not _NAME.fullmatch(name) or _taken(name.lower()):
            yield (
                "bad-identity-header",
                f"`server`: `{name}` cannot be a header with an identity",
                "up to five words of letters and digits, joined by `-`, such as `X-Auth-Email`",
            )
    counted = Counter(name.lower() for name in names)
    for name in (name for name, times in counted.items() if times > 1):
        yield "duplicate-identity-header", f"`server`: the header `{name}` is named twice", ""
    if len(names) > _MOST_HEADERS:
        message = f"`server.identity_headers`: more than {_MOST_HEADERS} headers in all"
        yield "too-many-identity-headers", message, "gateways have 8 kB for all of an answer's"


def _taken(name: str) -> bool:
    return (
        name in _TAKEN
        or name.startswith(_TAKEN_BEGINNINGS)
        or _CONVENTIONS.fullmatch(name) is not None
    )


def _expressions(server: ServerSettings) -> Mistakes:
    for name, expression in server.identity_headers.items():
        if not is_jmespath(expression):
            yield (
                "bad-jmespath",
                f"`server.identity_headers`: the value of `{name}` is not a JMESPath expression",
                "for example `email`, or `address.country`",
            )


def _login(server: ServerSettings) -> Mistakes:
    if server.login_url is not None and not _LOGIN.fullmatch(server.login_url):
        yield (
            "bad-login-url",
            "`server.login_url` is neither a path nor an http(s) URL without a fragment",
            "write `/login`, or `https://login.example.com/start`",
        )
    if not _PARAMETER.fullmatch(server.login_return_parameter):
        yield (
            "bad-parameter",
            "`server.login_return_parameter` cannot be the name of a query parameter",
            "letters, digits, `.`, `_`, `~` and `-`",
        )
    for host in server.login_return_hosts:
        if not _HOST.fullmatch(host):
            yield (
                "bad-host",
                f"`server.login_return_hosts`: `{host}` is no host",
                "lower case and without a port: `app.example.com`, or `*.example.com`",
            )


_RULES: Final[tuple[Callable[[ServerSettings], Mistakes], ...]] = (_names, _expressions, _login)
