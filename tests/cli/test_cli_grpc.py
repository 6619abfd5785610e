"""`pdp serve --grpc-listen`, as a process with real ports."""

from __future__ import annotations

import signal
import socket

import grpc
from cli_runs import STARTER, free_port, places, process, started
from grpc_health.v1 import health_pb2, health_pb2_grpc


def serving(listen: str) -> bool:
    with grpc.insecure_channel(listen) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        found = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return bool(found.status == health_pb2.HealthCheckResponse.SERVING)


def test_serve_answers_grpc_and_ends_on_sigterm() -> None:
    listen = f"127.0.0.1:{free_port()}"
    args = [STARTER, *places(), "--grpc-listen", listen]
    with started("serve", *args, until='"serving"', stream="err") as server:
        assert serving(listen)
        assert f'"grpc_listen":"{listen}"' in server.lines["err"][-1].replace(" ", "")
        assert server.end(signal.SIGTERM) == 0


def test_the_environment_says_it_too() -> None:
    listen = f"127.0.0.1:{free_port()}"
    args = ["serve", STARTER, *places()]
    with started(*args, until='"serving"', stream="err", PDP_GRPC_LISTEN=listen):
        assert serving(listen)


def test_a_grpc_port_in_use_is_4_with_a_hint() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = process("serve", STARTER, *places(), "--grpc-listen", listen, cwd=STARTER)
    assert found.code == 4
    assert listen in found.err
    assert "help: is another process there already?" in found.err
    assert "Traceback" not in found.err


def test_grpc_off_loopback_is_refused_unless_the_network_is_trusted() -> None:
    found = process("serve", STARTER, *places(), "--grpc-listen", "0.0.0.0:1", cwd=STARTER)
    assert found.code == 3
    assert "open-gateway-endpoints" in found.err
    assert "gRPC is spoken without TLS" in found.err
    assert "server.grpc_listen" in found.err


def test_a_place_that_is_none_is_refused() -> None:
    found = process("serve", STARTER, *places(), "--grpc-listen", "nowhere", cwd=STARTER)
    assert found.code == 3
    assert "`server.grpc_listen` must be `HOST:PORT` or `unix:/path`" in found.err
