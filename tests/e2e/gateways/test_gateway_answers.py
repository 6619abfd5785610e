"""Answers that no verdict of the table gives: over-use, and what is not from a PDP at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from gateway_cases import ALICE
from gateway_machinery import Canned
from gateway_processes import Live
from support import free_port
from test_gateway_identity import identity

from pdp.surfaces.ext_authz_pb2 import (
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from pdp.surfaces.grpc_server import AUTHORIZATION

OF_NGINX = ("nginx", "ingress")


def http(status: str, *fields: str, body: str = "") -> bytes:
    lines = (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", body)
    return "\r\n".join(lines).encode()


def canned(live: Live, loop: Any, data: bytes) -> contextlib.AbstractContextManager[None]:
    """The gateway's PDP says this and nothing else."""
    return live.asking(Canned(loop, free_port(), data).port)


RETRY = ("Cache-Control: no-store", "Retry-After: 7")
THROTTLED = {
    True: http("403 Forbidden", "X-Authz-Status: 429", *RETRY),
    False: http("429 Too Many Requests", *RETRY, "Content-Type: text/plain", body="Slowly."),
}


def test_over_use_is_a_429_that_says_when_to_come_back(live: Live, fleet: Any) -> None:
    if live.gateway.asks == "envoy_grpc":
        with canned_by_grpc(live, fleet.loop, denied(429, *RETRY)):
            response = live.ask("GET", "/docs/a")
    else:
        data = THROTTLED[live.gateway.asks in OF_NGINX]
        with canned(live, fleet.loop, data):
            response = live.ask("GET", "/docs/a")
    assert (response.status, response.all("Retry-After")) == (429, ["7"])
    assert response.all("Cache-Control") == ["no-store"]


def options(lines: tuple[str, ...]) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header=HeaderValue(key=name.lower(), value=value))
        for name, value in (line.split(": ") for line in lines)
    ]


def denied(status: int, *lines: str) -> CheckResponse:
    response = DeniedHttpResponse(
        status=HttpStatus(code=status), headers=options(lines), body="Slowly."
    )
    return CheckResponse(status=Status(code=8), denied_response=response)


def allowed(*lines: str) -> CheckResponse:
    return CheckResponse(ok_response=OkHttpResponse(headers=options(lines)))


@contextlib.contextmanager
def canned_by_grpc(live: Live, loop: Any, response: CheckResponse) -> Iterator[None]:
    async def check(request: bytes, call: Any) -> bytes:
        return response.SerializeToString()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(check)
        handlers = grpc.method_handlers_generic_handler(AUTHORIZATION, {"Check": handler})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run(start())
    try:
        with live.asking(port):
            yield
    finally:
        loop.run(server.stop(None))


# Something else listens where the PDP should: (what it says, what the client may see)
IMPOSTERS = {
    "an ssh server": (b"SSH-2.0-OpenSSH_9.2\r\n", 5),
    "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Le", 5),
    "a server error": (http("500 Internal Server Error", body="oops"), 5),
    "a bad gateway": (http("502 Bad Gateway", body="oops"), 5),
    "an application that knows no such page": (http("404 Not Found", body="oops"), 4),
    "a redirect to https": (http("301 Moved", "Location: https://app.test/"), 3),
    "a status that allows nothing": (http("403 Forbidden", "X-Authz-Status: 200"), 4),
}


@pytest.mark.parametrize("imposter", IMPOSTERS)
def test_what_is_no_pdp_allows_nothing(live: Live, fleet: Any, imposter: str) -> None:
    data, hundreds = IMPOSTERS[imposter]
    with canned(live, fleet.loop, data):
        response, _, seen = live.judge("GET", "/docs/a", timeout=40)
    assert seen == []
    assert response.status // 100 in (hundreds, 5)


def test_an_allow_that_names_nobody_does_not_let_the_client_name_itself(
    live: Live, fleet: Any
) -> None:
    lies = [("X-Auth-Subject", "root"), ("X-Auth-Roles", "administrator"), ALICE]
    with canned(live, fleet.loop, http("200 OK")):
        _, _, seen = live.judge("GET", "/docs/a", lies)
    for request in seen:
        told = {value for values in identity(request).values() for value in values}
        assert not told & {"root", "administrator"}


# More than the page of memory that some gateways give an answer's headers by themselves.
ROLES = ",".join(f"team-{number:04}" for number in range(900))
LOCATION = "/login?return_to=" + "%2Fa" * 2000


Answering = contextlib.AbstractContextManager[None]


def saying(live: Live, loop: Any, data: bytes, checked: CheckResponse) -> Answering:
    """The gateway's PDP says this, in the convention that the gateway asks by."""
    if live.gateway.asks == "envoy_grpc":
        return canned_by_grpc(live, loop, checked)
    return canned(live, loop, data)


def test_many_roles_reach_the_application(live: Live, fleet: Any) -> None:
    told = ("X-Auth-Subject: alice", f"X-Auth-Roles: {ROLES}")
    with saying(live, fleet.loop, http("200 OK", *told), allowed(*told)):
        response, _, [seen] = live.judge("GET", "/docs/a")
    assert response.status == 200
    assert identity(seen) == {"x-auth-subject": ["alice"], "x-auth-roles": [ROLES]}


def test_a_long_address_of_the_login_page_reaches_the_client(live: Live, fleet: Any) -> None:
    there = f"Location: {LOCATION}"
    of_nginx = http("403 Forbidden", "X-Authz-Status: 302", there)
    data = of_nginx if live.gateway.asks in OF_NGINX else http("302 Found", there)
    with saying(live, fleet.loop, data, denied(302, there)):
        response, _, seen = live.judge("GET", "/docs/a")
    assert (response.status, seen) == (302, [])
    assert response.all("Location") == [LOCATION]
