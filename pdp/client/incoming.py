"""What a service asks about a request that it is to serve: path, credentials and facts."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from pdp.client.errors import BadQuestion
from pdp.client.values import Action, Resource

RESOURCE_TYPE: Final = "resource"
_FACTS: Final = (("origin", "Origin"), ("referer", "Referer"), ("user_agent", "User-Agent"))
_LONGEST_FACT: Final = 2_048
# aiohttp's routes take `%3A` and `:` for the same, a PDP does not: it is asked about one spelling.
_LITERAL: Final = re.compile(r"%(?:2[1467-9A-Ca-c]|3[ABDabd]|40)")  # ! $ & ' ( ) * + , : ; = @
_ENCODED: Final = re.compile(r'["<>\[\]^`{|}]')


def method(request: web.Request) -> Action:
    """The method, exactly as it came: `HEAD` is not `GET`."""
    return Action(request.method)


def path(request: web.Request) -> Resource:
    """The path that aiohttp serves, still encoded; BadQuestion if another one was asked for."""
    raw = request.raw_path.partition("?")[0]
    # A whole URL, a fragment, an asterisk: the path that is served stands somewhere else.
    if not raw.startswith("/") or raw != request.rel_url.raw_path:
        raise BadQuestion("the target is no path")
    return Resource(RESOURCE_TYPE, one_spelling(raw))


def one_spelling(raw: str) -> str:
    """The same path, with each character literal or encoded, as RFC 3986 §3.3 wants it to be.

    INVARIANT: of two paths that aiohttp's routes take for the same, the PDP judges one.
    """
    literal = _LITERAL.sub(lambda match: chr(int(match[0][1:], 16)), raw)
    return _ENCODED.sub(lambda match: f"%{ord(match[0]):02X}", literal)


def credentials(request: web.Request) -> dict[str, str]:
    """The credential of the request, by the name that `Pdp.decide` has for it.

    BadQuestion where two were presented. A cookie is sent unasked: it counts where nothing else
    was presented.
    """
    names = ("authorization", "Authorization"), ("api_key", "X-API-Key")
    found = [(name, value) for name, field in names for value in request.headers.getall(field, ())]
    if len(found) > 1:
        raise BadQuestion("the request holds more than one credential")
    cookie = request.headers.getall("Cookie", ())
    return dict(found) or ({"cookie": "; ".join(cookie)} if cookie else {})


def facts(request: web.Request) -> dict[str, Any]:
    """What the client says of itself; an odd one is as good as absent."""
    found = ((fact, request.headers.getall(name, ())) for fact, name in _FACTS)
    return {fact: values[0] for fact, values in found if len(values) == 1 and _sound(values[0])}


def address(request: web.Request) -> str | None:
    """Whoever is at the other end of the connection; None for a Unix socket."""
    return (request.remote or "").partition("%")[0] or None


def accept(request: web.Request) -> str | None:
    """The forms in which the client wants its answer."""
    return ", ".join(request.headers.getall("Accept", ())) or None


def _sound(value: str) -> bool:
    return 0 < len(value) <= _LONGEST_FACT and value.isprintable()
