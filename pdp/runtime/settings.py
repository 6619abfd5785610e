"""The sections of the operator: `[server]` and `[[callers]]`, with their environment variables."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Literal

import msgspec

from pdp import strict_json
from pdp.errors import Problem
from pdp.policy.matcher.functions import compile_key_match2
from pdp.policy.matcher.regex import pattern_code

Network = IPv4Network | IPv6Network
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=60)]
PREFIX = "PDP_"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`: where to listen, whom to believe, and every bound on a request."""

    listen: str = "127.0.0.1:7373"  # HOST:PORT or unix:/path
    admin_listen: str = "127.0.0.1:7374"
    grpc_listen: str | None = None  # for Envoy's gRPC API; needs the extra `grpc`
    public_url: str | None = None  # under which callers of the AuthZEN API reach this PDP
    trust_network: bool = False  # off loopback, whoever reaches the port may ask
    trusted_proxies: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    resource: Literal["{path}", "{host}{path}"] = "{path}"  # what a gateway request's resource is
    exempt_targets: tuple[str, ...] = ()  # keyMatch2 patterns where %2F, ; and the like may stand
    subject_header: str = "X-Auth-Subject"  # what the upstream is told of whom it serves
    roles_header: str = "X-Auth-Roles"
    identity_headers: dict[str, str] = {}  # further headers: JMESPath over the token's claims
    preflight: tuple[str, ...] = ()  # keyMatch2 patterns whose CORS preflights are let through
    login_url: str | None = None  # where a browser is sent that would get a 401
    login_return_parameter: str = "return_to"
    login_return_hosts: tuple[str, ...] = ()  # to which another host's login page may return
    require_https: bool = False  # refuse credentials that came over plain http
    country_header: str | None = None  # in which the gateway tells the client's country
    country_database: str | None = None  # a MaxMind DB file that knows it; needs the extra `geo`
    activate: Literal["cases", "checked"] = "cases"  # what an edited policy must pass to go live
    max_body_bytes: Count = 1_048_576
    max_batch: Count = 1_000
    max_page: Count = 1_000  # results of a search in one answer
    max_searches: Count = 100  # under way or waiting at once
    max_header_bytes: Annotated[int, msgspec.Meta(ge=8_190, le=1_048_576)] = 65_536
    max_identity_bytes: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = 3_072  # all values
    grpc_max_calls: Count = 1_000  # under way at once
    body_seconds: Seconds = 10.0  # until a body must have arrived
    authentication_seconds: Seconds = 1.0  # for authentication that must ask elsewhere
    drain_seconds: Seconds = 10.0  # for requests under way when the server stops


class CallerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[[callers]]`: who may ask the JSON APIs, by the SHA-256 of a key."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    key_sha256_file: str  # hex digests of the keys that are good, one a line
    vouch: bool = False  # may speak for subjects without their credential
    see_reasons: bool = False  # is told reason, layer and rule


def from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The `[server]` keys that `PDP_*` variables set; others with that prefix mean nothing."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in msgspec.structs.fields(ServerSettings):
        variable = PREFIX + field.name.upper()
        if variable in environment:
            try:
                values[field.name] = _parse(environment[variable], _default(field))
            except ValueError as error:
                problems.append(Problem(variable, None, "wrong-type", f"`{variable}` {error}"))
    return values, problems


def _default(field: msgspec.structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def _parse(text: str, like: Any) -> Any:
    """`text` as a value of the type of `like`, a default."""
    if isinstance(like, bool):
        if text.lower() not in _TRUTHS:
            raise ValueError("must be `true` or `false`")
        return _TRUTHS[text.lower()]
    if isinstance(like, int | float):
        try:
            return type(like)(text)
        except ValueError:
            raise ValueError("must be a number") from None
    if isinstance(like, dict):
        try:
            return strict_json.loads(text.encode())
        except ValueError:
            raise ValueError("must be a JSON object") from None
    if isinstance(like, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def check_server(server: ServerSettings, file: str) -> list[Problem]:
    """What is wrong with `[server]` beyond its types."""
    problems = []
    places = {"listen": server.listen, "admin_listen": server.admin_listen}
    if server.grpc_listen is not None:
        places["grpc_listen"] = server.grpc_listen
    for key, place in places.items():
        try:
            parse_listen(place)
        except ValueError as error:
            problems.append(Problem(file, None, "bad-listen", f"`server.{key}` {error}"))
    for network in server.trusted_proxies:
        try:
            parse_networks([network])
        except ValueError:
            message = f"`server.trusted_proxies`: `{network}` is no network to match with"
            help_ = "write IPv4 or IPv6 networks without host bits, such as `10.0.0.0/8`"
            problems.append(Problem(file, None, "bad-network", message, help_))
            continue
        if parse_networks([network])[0].prefixlen == 0:
            message = f"`server.trusted_proxies`: `{network}` trusts everybody"
            help_ = "name your own proxies: whoever is on this list can claim any address"
            problems.append(Problem(file, None, "bad-network", message, help_))
    for key in ("exempt_targets", "preflight"):
        for pattern in getattr(server, key):
            try:
                compile_key_match2(pattern)
            except ValueError as error:
                message = f"`server.{key}`: `{pattern}` {error}"
                problems.append(Problem(file, None, pattern_code(error), message))
    return problems + _check_country(server, file)


_HEADER: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
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


def _check_country(server: ServerSettings, file: str) -> list[Problem]:
    problems = []
    name = server.country_header
    if name is not None and (not _HEADER.fullmatch(name) or _has_another_use(name, server)):
        message = f"`server.country_header`: `{name}` cannot be a header with a country"
        help_ = "the one that your CDN or gateway sets on every request, such as `CF-IPCountry`"
        problems.append(Problem(file, None, "bad-country-header", message, help_))
    if name is not None and server.country_database is not None:
        message = "`server` has both `country_header` and `country_database`"
        help_ = "keep the one that you trust: two sources would contradict each other"
        problems.append(Problem(file, None, "two-country-sources", message, help_))
    return problems


def _has_another_use(header: str, server: ServerSettings) -> bool:
    name = header.lower()
    identity = (server.subject_header, server.roles_header, *server.identity_headers)
    return name in {other.lower() for other in identity} or f"{name}-".startswith(
        tuple(f"{taken}-" for taken in _NO_COUNTRY_HEADER)
    )


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of a configuration; ValueError where one has host bits or can never match."""
    return tuple(map(_network, texts))


def _network(text: str) -> Network:
    if "%" in text:
        raise ValueError("a network has no zone id")
    network = ip_network(text, strict=True)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError("write the IPv4 network: mapped addresses are unmapped before matching")
    return network


def check_callers(callers: tuple[CallerSettings, ...], file: str) -> list[Problem]:
    """Callers whose names repeat, which no log could tell apart."""
    names = [caller.name for caller in callers]
    return [
        Problem(file, None, "duplicate-caller", f"two callers are named `{name}`")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def parse_listen(text: str) -> tuple[str, int] | str:
    """(host, port), or the path of a Unix socket; ValueError for anything else."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError("must name a whole path behind `unix:`")
        return path
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError("must be `HOST:PORT` or `unix:/path`")
    return host.removeprefix("[").removesuffix("]"), int(port)


_LAST_PORT = 65_535


def is_local(text: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    place = parse_listen(text)
    if isinstance(place, str) or place[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(place[0]).is_loopback
    except ValueError:
        return False
