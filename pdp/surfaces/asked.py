"""A gateway's question, canonical, whatever convention it came by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from pdp.errors import RequestError
from pdp.model import RESOURCE_TYPE, Action, Entity, Query
from pdp.runtime.settings import Network
from pdp.surfaces.client import client_address, parse_host
from pdp.surfaces.target import Exempt, parse_method, parse_target

_PATH: Final = "{path}"
RESOURCE_TEMPLATES: Final = (_PATH, "{host}{path}")

_SCHEMES: Final = frozenset({"http", "https"})
_FACTS: Final = (("origin", "Origin"), ("referer", "Referer"), ("user_agent", "User-Agent"))
_LONGEST_FACT: Final = 2048


class Headers(Protocol):
    """Case-insensitive header fields, as multidict's CIMultiDictProxy has them."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Every value of a field, in order."""
        ...


# The country of an address, or of what header fields tell; None if it is not known.
CountryOf = Callable[[str, Headers], str | None]


class Told(Struct, frozen=True):
    """One thing that a gateway tells, beside the name of the field where it stands."""

    field: str
    value: str


class Addresses(Struct, frozen=True):
    """The chain of addresses, the nearest one last, beside the name of its field."""

    field: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What `[server]` says of how gateways' questions are read.

    `trusted` are the proxies whose X-Forwarded-For entries are skipped, `resource` is one of
    RESOURCE_TEMPLATES, `exempt` is as in `parse_target`. `needs_scheme`: some setting rests on
    the scheme, so that also those conventions must tell it that do without. Without `country`,
    rules that ask for it fail closed.
    """

    trusted: Sequence[Network] = ()
    resource: str = _PATH
    exempt: Exempt | None = None
    needs_scheme: bool = False
    country: CountryOf | None = None


class Asked(Struct, frozen=True):
    """The canonical question, and the URL that it is about.

    `path` is canonical, `search` is the query string as it came, `?` included; `authority` is
    the host, with its port if it has one.
    """

    query: Query
    path: str
    search: str
    authority: str


def understand(
    method: Told,
    target: Told,
    host: Told,
    addresses: Addresses,
    scheme: Told | None,
    headers: Headers,
    reading: Reading,
) -> Asked:
    """The question a gateway asks; RequestError names the field that cannot be understood.

    `headers` are the client's own; of them only facts are taken that rules may ask for.
    """
    action = Action(parse_method(method.value, field=method.field))
    path = parse_target(target.value, field=target.field, exempt=reading.exempt)
    name = parse_host(host.value, field=host.field)
    address = client_address(addresses.values, reading.trusted, field=addresses.field)
    context = {"ip": address, "host": name}
    _add_facts(context, headers)
    if scheme is not None:
        context["scheme"] = _scheme(scheme)
    country = reading.country(address, headers) if reading.country else None
    if country is not None:
        context["country"] = country
    query = Query(action, Entity(RESOURCE_TYPE, _resource(reading, name, path)), context)
    _, mark, search = target.value.partition("?")
    return Asked(query, path, mark + search, host.value.lower())


def _resource(reading: Reading, host: str, path: str) -> str:
    if reading.resource == _PATH:
        return path
    # The host first: it holds no brace, so nothing of a path is filled in twice.
    return reading.resource.replace("{host}", host).replace(_PATH, path)


def single(headers: Headers, name: str) -> Told:
    """A field that must stand there once; RequestError if it does not."""
    values = headers.getall(name, ())
    if len(values) != 1:
        raise RequestError(name, "is repeated" if values else "is missing")
    return Told(name, values[0])


def only(headers: Headers, name: str) -> str:
    """The value of a field that the client may send once; empty if it does otherwise."""
    values = headers.getall(name, ())
    return values[0] if len(values) == 1 else ""


def _scheme(told: Told) -> str:
    if told.value not in _SCHEMES:
        raise RequestError(told.field, "is neither http nor https")
    return told.value


def _add_facts(context: dict[str, str], headers: Headers) -> None:
    """What the client says of itself. An odd one is as good as absent: rules on it fail closed."""
    for fact, name in _FACTS:
        values = headers.getall(name, ())
        if len(values) == 1 and _sound(values[0]):
            context[fact] = values[0]


def _sound(value: str) -> bool:
    """Not empty, bounded, and free of controls and of bytes that were not UTF-8."""
    return 0 < len(value) <= _LONGEST_FACT and value.isprintable()
