"""One row per gateway convention: where the question stands, and how the answer must look.

An endpoint reads its own convention's headers and no others: gateways hand the others on as the
client wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import RESOURCE_TYPE, Action, Entity, Query
from pdp.runtime.settings import Network
from pdp.surfaces.client import client_address, parse_host
from pdp.surfaces.target import parse_method, parse_target


class Headers(Protocol):
    """Case-insensitive header fields, as multidict's CIMultiDictProxy has them."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Every value of a field, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Convention:
    """An endpoint's path, the headers that hold the question, and the profile of its answers."""

    name: str
    path: str
    method: str
    target: str
    host: str
    address: str
    scheme: str | None
    profile: Profile


FORWARD: Final = Convention(
    name="forward",
    path="/authz/forward",
    method="X-Forwarded-Method",
    target="X-Forwarded-Uri",
    host="X-Forwarded-Host",
    address="X-Forwarded-For",
    scheme="X-Forwarded-Proto",
    profile=Profile.PLAIN,
)
NGINX: Final = Convention(
    name="nginx",
    path="/authz/nginx",
    method="X-Original-Method",
    target="X-Original-URI",
    host="X-Forwarded-Host",
    address="X-Forwarded-For",
    scheme=None,
    profile=Profile.NGINX,
)
CONVENTIONS: Final = (FORWARD, NGINX)

RESOURCE_TEMPLATES: Final = ("{path}", "{host}{path}")

_SCHEMES: Final = frozenset({"http", "https"})
_FACTS: Final = (("origin", "Origin"), ("referer", "Referer"), ("user_agent", "User-Agent"))
_LONGEST_FACT: Final = 2048


def read_query(
    convention: Convention,
    headers: Headers,
    trusted: Sequence[Network],
    resource_template: str,
    exempt: Callable[[str], bool] | None = None,
) -> Query:
    """The question a gateway asks, canonical.

    `trusted` are the proxies whose X-Forwarded-For entries are skipped, `resource_template` is
    one of RESOURCE_TEMPLATES, `exempt` is as in `parse_target`. RequestError names the header
    that is missing, repeated or cannot be understood.
    """
    method = parse_method(_single(headers, convention.method), field=convention.method)
    target = _single(headers, convention.target)
    path = parse_target(target, field=convention.target, exempt=exempt)
    host = parse_host(_single(headers, convention.host), field=convention.host)
    addresses = headers.getall(convention.address, ())
    if not addresses:
        raise RequestError(convention.address, "is missing")
    context = {"ip": client_address(addresses, trusted, field=convention.address), "host": host}
    if convention.scheme is not None:
        context["scheme"] = _scheme(_single(headers, convention.scheme), convention.scheme)
    context.update(_facts(headers))
    # The host first: it holds no brace, so nothing of a path is filled in twice.
    resource = resource_template.replace("{host}", host).replace("{path}", path)
    return Query(Action(method), Entity(RESOURCE_TYPE, resource), context)


def _single(headers: Headers, name: str) -> str:
    values = headers.getall(name, ())
    if len(values) != 1:
        raise RequestError(name, "is repeated" if values else "is missing")
    return values[0]


def _scheme(value: str, field: str) -> str:
    if value not in _SCHEMES:
        raise RequestError(field, "is neither http nor https")
    return value


def _facts(headers: Headers) -> dict[str, str]:
    """What the client says of itself. An odd one is as good as absent: rules on it fail closed."""
    found = ((fact, headers.getall(name, ())) for fact, name in _FACTS)
    return {fact: values[0] for fact, values in found if len(values) == 1 and _sound(values[0])}


def _sound(value: str) -> bool:
    """Not empty, bounded, and free of controls and of bytes that were not UTF-8."""
    return 0 < len(value) <= _LONGEST_FACT and value.isprintable()
