"""What Envoy sends by gRPC, and what it reads."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from pdp.surfaces.ext_authz_pb2 import CheckRequest, CheckResponse

CHECK = "/envoy.service.auth.v3.Authorization/Check"
PEER = "203.0.113.9"


def check_request(
    path: str = "/docs/a",
    method: str = "GET",
    *,
    peer: str = PEER,
    host: str = "app.test",
    scheme: str = "https",
    headers: Mapping[str, str] | None = None,
) -> CheckRequest:
    """A CheckRequest as Envoy fills it; whatever is empty is left out."""
    http = {
        "method": method,
        "path": path,
        "host": host,
        "scheme": scheme,
        "headers": {":path": path, ":authority": host, **(headers or {})},
    }
    source = {"address": {"socket_address": {"address": peer}}}
    return CheckRequest(attributes={"source": source, "request": {"http": http}})


@contextlib.asynccontextmanager
async def channel(listen: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(listen) as opened:
        yield opened


async def check(opened: grpc.aio.Channel, request: CheckRequest, **options: Any) -> CheckResponse:
    call = opened.unary_unary(
        CHECK,
        request_serializer=CheckRequest.SerializeToString,
        response_deserializer=CheckResponse.FromString,
    )
    answered: CheckResponse = await call(request, **options)
    return answered


def fields(options: Any) -> dict[str, str]:
    """The header fields of an answer, none of which may stand there twice."""
    found = {option.header.key: option.header.value for option in options}
    assert len(found) == len(options)
    return found
