"""The gRPC listener: Envoy's authorization API and the standard health service.

Imported only where it is served: it needs the extra `grpc`.
"""

from __future__ import annotations

from typing import Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from pdp.surfaces.context import Context
from pdp.surfaces.envoy_grpc import Authorization
from pdp.surfaces.ext_authz_pb2 import CheckResponse
from pdp.surfaces.ops import is_ready

AUTHORIZATION: Final = "envoy.service.auth.v3.Authorization"
HEALTH: Final = "grpc.health.v1.Health"


class Health:
    """`grpc.health.v1.Health/Check`: SERVING where `/readyz` says ready."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def check(
        self,
        request: HealthCheckRequest,
        call: grpc.aio.ServicerContext[HealthCheckRequest, HealthCheckResponse],
    ) -> HealthCheckResponse:
        """Whether it can decide, as a whole or by the name of its one service."""
        if request.service not in {"", AUTHORIZATION}:
            await call.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        ready = is_ready(self._context.service)
        found = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=found)


class Listener:
    """A gRPC server that accepts at `listen`, once it is started; a port can be `shared`."""

    def __init__(self, context: Context, listen: str, *, shared: bool = False) -> None:
        server = context.service.loaded.server
        self._listen, self._drain = listen, server.drain_seconds
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", server.max_body_bytes),
                ("grpc.max_metadata_size", server.max_header_bytes),
                # Workers share a port, which is reserved; else two processes would, unawares.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.server_handshake_timeout_ms", round(server.header_seconds * 1_000)),
                ("grpc.max_allowed_incoming_connections", server.max_connections),
            ),
            maximum_concurrent_rpcs=server.grpc_max_calls,
        )
        self._server.add_generic_rpc_handlers(tuple(_handlers(context)))

    async def start(self) -> None:
        """Accept calls; OSError if it cannot listen."""
        try:
            bound = self._server.add_insecure_port(self._listen)
        except RuntimeError:  # whoever started us sees exit code 4
            bound = 0
        if not bound and not self._listen.startswith("unix:"):
            raise OSError(f"cannot listen for gRPC on {self._listen}")
        await self._server.start()

    async def stop(self) -> None:
        """Wait for calls under way, as long as draining may take."""
        await self._server.stop(self._drain)


def _handlers(context: Context) -> list[grpc.GenericRpcHandler]:
    # Without a deserializer of gRPC's: what cannot be read is to be a 400 of ours.
    check: grpc.RpcMethodHandler[bytes, CheckResponse] = grpc.unary_unary_rpc_method_handler(
        Authorization(context).check, None, CheckResponse.SerializeToString
    )
    health = grpc.unary_unary_rpc_method_handler(
        Health(context).check,
        HealthCheckRequest.FromString,
        HealthCheckResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(AUTHORIZATION, {"Check": check}),
        grpc.method_handlers_generic_handler(HEALTH, {"Check": health}),
    ]
