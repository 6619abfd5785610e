"""The sections of the operator: `[server]` and `[[callers]]`, with their environment variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal

import msgspec

from pdp import strict_json
from pdp.errors import Problem
from pdp.policy.matcher.functions import compile_key_match2
from pdp.policy.matcher.regex import pattern_code

Network = IPv4Network | IPv6Network
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=60)]
IdleSeconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
Delay = Annotated[float, msgspec.Meta(ge=0, le=60)]
_LINE = r"^[^\x00-\x1f\x7f]+\Z"
Message = Annotated[str, msgspec.Meta(max_length=1_024, pattern=_LINE)]
SocketMode = Annotated[str, msgspec.Meta(pattern=r"^0?[0-7]{3}$")]
PREFIX = "PDP_"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`: where to listen, whom to believe, and every bound on a request."""

    listen: str = "127.0.0.1:7373"  # HOST:PORT or unix:/path
    admin_listen: str = "127.0.0.1:7374"
    admin_key_sha256_file: str | None = None  # hex digests of keys: who may ask /v1/* there
    grpc_listen: str | None = None  # for Envoy's gRPC API; needs the extra `grpc`
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1  # processes; needs the extra for more
    public_url: str | None = None  # under which callers of the AuthZEN API reach this PDP
    decision_log: str = "-"  # where decisions are recorded: a file, `-` for stdout, or `off`
    trust_network: bool = False  # off loopback, whoever reaches the port may ask
    tls_cert: str | None = None  # PEM, with the chain; followed, as the two below are
    tls_key: str | None = None
    tls_client_ca: str | None = None  # of certificates, without one of which nobody may ask
    client_certificates: tuple[str, ...] = ()  # who of them: SPIFFE ids, DNS names, `CN=name`
    socket_mode: SocketMode = "0660"  # of Unix sockets to listen on
    socket_group: str | None = None
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
    html_pages: str | None = None  # a directory with pages of your own: `403.html` and the like
    forbidden_message: Message | None = None  # what a 403 says to the client
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
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5_000  # of each listener
    idle_seconds: IdleSeconds = 3_630.0  # longer than gateways keep theirs, or they would race
    header_seconds: Seconds = 5.0  # until the head of a request must have arrived
    body_seconds: Seconds = 10.0  # until a body must have arrived
    authentication_seconds: Seconds = 1.0  # for authentication that must ask elsewhere
    shutdown_delay_seconds: Delay = 0.0  # after SIGTERM, for gateways to see it is not ready
    drain_seconds: Seconds = 10.0  # for requests under way when the server stops


class CallerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[[callers]]`: who may ask the JSON APIs, by the SHA-256 of a key or by a certificate."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    key_sha256_file: str | None = None  # hex digests of the keys that are good, one a line
    certificate: str | None = None  # or the name in its client certificate, as above
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
    return problems


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
