"""What can be wrong with those settings of `[server]` that gateways and other clients see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from typing import Final

from pdp.errors import Problem
from pdp.identity.issuer_checks import is_jmespath
from pdp.runtime.listener_settings import check_tls
from pdp.runtime.settings import ServerSettings, is_local

Mistakes = Iterator[tuple[str, str, str]]  # code, message and help

# What upstreams know identities by. Any other name may mean something to HTTP or to a gateway.
_NAME: Final = re.compile(r"(?=.{1,40}\Z)(?:X|Remote)(?:-[A-Za-z0-9]+){1,4}", re.IGNORECASE)
_MOST_HEADERS: Final = 16
# Beginnings, each ended by a `-` or the end: names by which gateways, servers and this PDP tell of
# the request, of the connection or of the answer, and never of who asks.
# fmt: off
_TAKEN: Final = (
    "remote-addr", "remote-host", "remote-ident", "remote-ip", "remote-port", "x-accel", "x-api",
    "x-appengine", "x-authz", "x-b3", "x-client-ip", "x-cluster", "x-content", "x-correlation",
    "x-csrf", "x-decision", "x-dns", "x-download", "x-envoy", "x-forwarded", "x-frame", "x-host",
    "x-http", "x-invoke", "x-ip", "x-lighttpd", "x-litespeed", "x-method", "x-middleware",
    "x-original", "x-originating", "x-permitted", "x-powered", "x-proxy", "x-proxyuser", "x-real",
    "x-remote-addr", "x-remote-ip", "x-request-id", "x-requested", "x-rewrite", "x-robots",
    "x-scheme", "x-sendfile", "x-server", "x-ssl", "x-true", "x-ua", "x-uri", "x-url", "x-wap",
    "x-xsrf", "x-xss",
)
# fmt: on

_AUTHORITY: Final = re.compile(
    r"(?P<name>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[(?P<ip>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_LONGEST_HOST: Final = 255
_HIGHEST_PORT: Final = 65_535
# Of paths, those that every server reads alike, this PDP's parser of targets among them: neither
# `;` nor percent-encodings, nor empty or dot segments. Then printable ASCII, and no fragment.
_LOGIN: Final = re.compile(
    r"(?:https?://(?P<authority>[^/?#]+))?"
    r"(?P<path>(?:/(?!\.\.?(?:/|\Z|\?))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?)"
    r"""(?:\?[^\x00-\x20\x7f-\U0010ffff"<>\\^`{|}#]*)?"""
)
_LONGEST_LOGIN: Final = 1_024
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
                "such as `X-Auth-Email` or `Remote-Email`, see docs/settings.md",
            )
    counted = Counter(name.lower() for name in names)
    for name in (name for name, times in counted.items() if times > 1):
        yield "duplicate-identity-header", f"`server`: the header `{name}` is named twice", ""
    if len(names) > _MOST_HEADERS:
        message = f"`server.identity_headers`: more than {_MOST_HEADERS} headers in all"
        yield "too-many-identity-headers", message, "gateways have 4 kB for all of an answer's"


def _taken(name: str) -> bool:
    return f"{name}-".startswith(tuple(f"{taken}-" for taken in _TAKEN))


def _expressions(server: ServerSettings) -> Mistakes:
    for name, expression in server.identity_headers.items():
        if not is_jmespath(expression):
            yield (
                "bad-jmespath",
                f"`server.identity_headers`: the value of `{name}` is not a JMESPath expression",
                "for example `email`, or `address.country`",
            )


def _login(server: ServerSettings) -> Mistakes:
    if server.login_url is not None and not _is_login(server.login_url):
        yield (
            "bad-login-url",
            "`server.login_url` is neither a plain path nor an http(s) URL with one",
            "write `/login`, or `https://login.example.com/start`, in at most 1,024 characters",
        )
    if not _PARAMETER.fullmatch(server.login_return_parameter):
        yield (
            "bad-parameter",
            "`server.login_return_parameter` cannot be the name of a query parameter",
            "letters, digits, `.`, `_`, `~` and `-`",
        )
    for host in server.login_return_hosts:
        if not _HOST.fullmatch(host) or not _is_authority(host.removeprefix("*.")):
            yield (
                "bad-host",
                f"`server.login_return_hosts`: `{host}` is no host",
                "lower case and without a port: `app.example.com`, or `*.example.com`",
            )


def _is_login(url: str) -> bool:
    parts = _LOGIN.fullmatch(url)
    if parts is None or len(url) > _LONGEST_LOGIN:
        return False
    if parts["authority"] is None:
        return bool(parts["path"])
    # Without a path, a query would follow the host.
    return _is_authority(parts["authority"]) and (bool(parts["path"]) or "?" not in url)


def _is_authority(text: str) -> bool:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or int(parts["port"] or 1) > _HIGHEST_PORT:
        return False
    if parts["ip"] is None:
        return len(parts["name"]) <= _LONGEST_HOST
    try:
        IPv6Address(parts["ip"])
    except ValueError:
        return False  # the operator sees `bad-login-url` or `bad-host`
    return True


def _public(server: ServerSettings) -> Mistakes:
    if server.public_url is not None and not _is_base(server.public_url):
        yield (
            "bad-public-url",
            "`server.public_url` is not the https URL of a host, and nothing more",
            "write `https://pdp.example.com`, in lower case, without a path or a slash at its end",
        )


def _is_base(url: str) -> bool:
    """Clients compare it letter by letter (RFC 8414 §3.3): there must be one way to write it."""
    scheme, mark, authority = url.partition("://")
    parts = _AUTHORITY.fullmatch(authority)
    if not mark or parts is None or url != url.lower() or not _is_authority(authority):
        return False
    if parts["port"] == _DEFAULT_PORTS.get(scheme):
        return False
    return scheme == "https" or (scheme == "http" and is_local(f"{parts['name']}:1"))


_COUNTRY: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
# Beginnings, each ended by a `-` or the end: headers that clients write, or that gateways fill
# with something else.
# fmt: off
_NO_COUNTRY_HEADER: Final = (
    "accept", "access-control", "authorization", "cache-control", "cf-connecting", "cf-ray",
    "connection", "content", "cookie", "date", "dnt", "dpop", "expect", "forwarded", "from", "host",
    "if", "keep-alive", "origin", "pragma", "priority", "proxy", "range", "referer", "remote",
    "sec", "signature", "te", "traceparent", "tracestate", "trailer", "transfer", "true-client",
    "upgrade", "user-agent", "via", "x-accel", "x-api", "x-auth", "x-authz", "x-client-ip",
    "x-correlation", "x-csrf", "x-decision", "x-envoy", "x-forwarded", "x-http", "x-method",
    "x-original", "x-real", "x-request", "x-requested", "x-rewrite", "x-scheme", "x-xsrf",
)
# fmt: on


def _country(server: ServerSettings) -> Mistakes:
    name = server.country_header
    if name is not None and (not _COUNTRY.fullmatch(name) or _has_another_use(name, server)):
        yield (
            "bad-country-header",
            f"`server.country_header`: `{name}` cannot be a header with a country",
            "the one that your CDN or gateway sets on every request, such as `CF-IPCountry`",
        )
    if name is not None and server.country_database is not None:
        yield (
            "two-country-sources",
            "`server` has both `country_header` and `country_database`",
            "keep the one that you trust: two sources would contradict each other",
        )


def _has_another_use(header: str, server: ServerSettings) -> bool:
    name = header.lower()
    identity = (server.subject_header, server.roles_header, *server.identity_headers)
    return name in {other.lower() for other in identity} or f"{name}-".startswith(
        tuple(f"{taken}-" for taken in _NO_COUNTRY_HEADER)
    )


_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}
_RULES: Final[tuple[Callable[[ServerSettings], Mistakes], ...]] = (
    *(_names, _expressions, _login, _public, _country, check_tls),
)
