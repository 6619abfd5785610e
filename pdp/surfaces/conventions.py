"""One row per gateway convention: where the question stands, and how the answer must look.

An endpoint reads its own convention's headers and no others: gateways hand the others on as the
client wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.surfaces.asked import Addresses, Asked, Headers, Reading, Told, single, understand


class Line(Struct, frozen=True):
    """The request line of what the gateway sent, without the prefix of the endpoint."""

    method: str
    target: str


@dataclass(frozen=True, slots=True)
class Convention:
    """An endpoint's path, the headers that hold the question, and the profile of its answers.

    Without headers for method and target, the gateway asks with the client's own request line,
    put behind `path`. Where target and host are one header, it holds a whole URL.
    `scheme_if_needed` is read only where a setting rests on the scheme.
    """

    name: str
    path: str
    method: str | None
    target: str | None
    host: str
    address: str
    scheme: str | None
    profile: Profile
    scheme_if_needed: str | None = None

    @property
    def is_prefix(self) -> bool:
        """Whether the client's own target follows the path."""
        return self.target is None

    @property
    def route(self) -> str:
        """The path as the server's table has it."""
        return self.path + "/" * self.is_prefix


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
    scheme_if_needed="X-Forwarded-Proto",
    profile=Profile.NGINX,
)
INGRESS: Final = Convention(
    name="ingress",
    path="/authz/ingress",
    method="X-Original-Method",
    target="X-Original-URL",
    host="X-Original-URL",
    address="X-Forwarded-For",
    scheme="X-Original-URL",
    profile=Profile.NGINX,
)
ENVOY: Final = Convention(
    name="envoy",
    path="/authz/envoy",
    method=None,
    target=None,
    host="Host",
    address="X-Forwarded-For",
    scheme=None,
    scheme_if_needed="X-Forwarded-Proto",
    profile=Profile.ENVOY,
)
CONVENTIONS: Final = (FORWARD, NGINX, INGRESS, ENVOY)


def read_asked(convention: Convention, line: Line, headers: Headers, reading: Reading) -> Asked:
    """The question a gateway asks, canonical.

    RequestError names the header that is missing, repeated or cannot be understood.
    """
    method = _told(convention.method, headers, Told("method", line.method))
    target = _told(convention.target, headers, Told("target", line.target))
    if convention.host == convention.target:
        scheme, host, target = _split(target)
    else:
        host = single(headers, convention.host)
        needed = convention.scheme_if_needed if reading.needs_scheme else None
        name = convention.scheme or needed
        scheme = None if name is None else single(headers, name)
    addresses = Addresses(convention.address, headers.getall(convention.address, ()))
    if not addresses.values:
        raise RequestError(convention.address, "is missing")
    return understand(method, target, host, addresses, scheme, headers, reading)


def _told(name: str | None, headers: Headers, otherwise: Told) -> Told:
    return otherwise if name is None else single(headers, name)


def _split(url: Told) -> tuple[Told | None, Told, Told]:
    """Scheme, host and target of a whole URL; each is still to be parsed.

    The client writes what stands behind the scheme: the host ends at the first slash, as it does
    for everybody, and may hold neither `?` nor `@`.
    """
    scheme, mark, rest = url.value.partition("://")
    host, slash, target = rest.partition("/")
    if not mark or not slash:
        raise RequestError(url.field, "is not a whole url")
    return Told(url.field, scheme), Told(url.field, host), Told(url.field, slash + target)
