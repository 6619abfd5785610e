"""Arguments that several commands share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


Directory = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR",
        show_default=False,
        help="The policy directory; else PDP_POLICIES, else ./policies.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="PDP_CONFIG",
        show_default=False,
        help="The operator's file, where it is not the directory's own pdp.toml.",
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        show_default=False,
        help="Where gateways ask; also unix:/path. Else PDP_LISTEN, else 127.0.0.1:7373.",
    ),
]
AdminListen = Annotated[
    str | None,
    typer.Option(
        "--admin-listen",
        metavar="HOST:PORT",
        show_default=False,
        help="Where operators ask. Else PDP_ADMIN_LISTEN, else 127.0.0.1:7374.",
    ),
]
GrpcListen = Annotated[
    str | None,
    typer.Option(
        "--grpc-listen",
        metavar="HOST:PORT",
        show_default=False,
        help="Where Envoy asks by gRPC; also unix:/path. Else PDP_GRPC_LISTEN, else nowhere.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=64,
        show_default=False,
        help="How many processes decide. Else PDP_WORKERS, else 1.",
    ),
]
PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--public-url",
        metavar="URL",
        show_default=False,
        help="Where AuthZEN clients reach this PDP, https://HOST. Else PDP_PUBLIC_URL.",
    ),
]
DecisionLog = Annotated[
    str | None,
    typer.Option(
        "--decision-log",
        metavar="PATH|-|off",
        show_default=False,
        help="Where decisions are recorded; - is stdout. Else PDP_DECISION_LOG, else stdout.",
    ),
]


TlsCert = Annotated[
    str | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        show_default=False,
        help="A certificate with its chain, PEM: speak TLS. Else PDP_TLS_CERT.",
    ),
]
TlsKey = Annotated[
    str | None,
    typer.Option(
        "--tls-key", metavar="FILE", show_default=False, help="Its key, PEM. Else PDP_TLS_KEY."
    ),
]
TlsClientCa = Annotated[
    str | None,
    typer.Option(
        "--tls-client-ca",
        metavar="FILE",
        show_default=False,
        help="Who issues clients' certificates: none may ask without. Else PDP_TLS_CLIENT_CA.",
    ),
]
TrustNetwork = Annotated[
    bool | None,
    typer.Option(
        "--trust-network",
        show_default=False,
        help="Off loopback, whoever reaches the port may ask. Else PDP_TRUST_NETWORK.",
    ),
]


def policy_directory(directory: Path | None, policies: Path | None = None) -> Path:
    """The directory meant by DIR, `--policies`, the environment, or nothing at all."""
    if directory is not None and policies is not None:
        raise typer.BadParameter("give either DIR or --policies, not both")
    return directory or policies or Path(os.environ.get("PDP_POLICIES") or "policies")
