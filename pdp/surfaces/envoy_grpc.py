"""Envoy's gRPC API `envoy.service.auth.v3.Authorization/Check`: a convention of its own.

Imported only where it is served: it needs the extra `grpc`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import ServicerContext

from pdp.answer.identity_fields import respelled
from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import Answer
from pdp.runtime.journal_asking import note_request
from pdp.surfaces.app import failure
from pdp.surfaces.asked import Addresses, Asked, Reading, Told, single, understand
from pdp.surfaces.context import Context
from pdp.surfaces.ext_authz_pb2 import (
    OVERWRITE_IF_EXISTS_OR_ADD,
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpRequest,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from pdp.surfaces.gateway import answer

SURFACE: Final = "envoy_grpc"
_OK: Final = 200
_PEER: Final = "source.address"
_CHAIN: Final = "x-forwarded-for"
_SCHEME: Final = "x-forwarded-proto"
# What a gateway that looks at nothing else should make of it; Envoy takes the HTTP status.
_CODES: Final[Mapping[int, StatusCode]] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
}
_SHARE_OF_DEADLINE: Final = 0.8  # the rest is for the way back


class Fields:
    """The client's header fields as Envoy tells them: one value each, repeats joined."""

    def __init__(self, http: HttpRequest) -> None:
        found: dict[str, list[str]] = {}
        for name, value in http.headers.items():
            found.setdefault(name.lower(), []).append(value)
        for field in http.header_map.headers:
            value = field.value or field.raw_value.decode("utf-8", "surrogateescape")
            found.setdefault(field.key.lower(), []).append(value)
        self._found = found

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Every value of a field, in order."""
        return self._found.get(key.lower(), default)


def read_check(request: CheckRequest, fields: Fields, reading: Reading) -> Asked:
    """The question in a CheckRequest; RequestError names the attribute that is wrong.

    The client is Envoy's peer, unless that is a trusted proxy: then it is whom the proxies name.
    The scheme is that of `x-forwarded-proto`, which Envoy sets; `http.scheme` is the client's own
    `:scheme` and is not read.
    """
    http = request.attributes.request.http
    peer = request.attributes.source.address.socket_address.address
    told = {"method": http.method, "path": http.path, "host": http.host}
    for name, value in (*told.items(), (_PEER, peer)):
        if not value:
            raise RequestError(name if name == _PEER else f"http.{name}", "is missing")
    method, path, host = (Told(f"http.{name}", value) for name, value in told.items())
    needed = reading.needs_scheme or fields.getall(_SCHEME, ())
    scheme = single(fields, _SCHEME) if needed else None
    chain = Addresses(_PEER, (*fields.getall(_CHAIN, ()), peer))
    return understand(method, path, host, chain, scheme, fields, reading)


def _parse(data: bytes) -> CheckRequest:
    """The message; an empty one, which asks nothing, for bytes that are none: Envoy sees a 400."""
    try:
        return CheckRequest.FromString(data)
    except DecodeError:
        return CheckRequest()


class Authorization:
    """`Check`: every answer is a CheckResponse, faults too, so that Envoy shows the 503."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._remove = respelled(context.presentation.identity.names)

    async def check(
        self, data: bytes, call: ServicerContext[bytes, CheckResponse]
    ) -> CheckResponse:
        """The verdict on one CheckRequest, before the caller's deadline."""
        left = call.time_remaining()
        try:
            answered = await self._answer(_parse(data), left)
        except Exception as error:  # noqa: BLE001 - a bug is a 503: `failure`
            answered = failure(error)
        return self._response(answered)

    async def _answer(self, request: CheckRequest, left: float | None) -> Answer:
        context, fields = self._context, Fields(request.attributes.request.http)
        note_request(fields)
        seconds = None if left is None else max(0.0, left * _SHARE_OF_DEADLINE)

        def read() -> Asked:
            return read_check(request, fields, context.reading)

        return await answer(context, SURFACE, Profile.PLAIN, fields, read, seconds)

    def _response(self, answered: Answer) -> CheckResponse:
        headers = [_overwriting(name, value) for name, value in answered.headers]
        if answered.status == _OK:
            allowed = OkHttpResponse(headers=headers, headers_to_remove=self._remove)
            return CheckResponse(status=Status(code=_code(StatusCode.OK)), ok_response=allowed)
        denied = DeniedHttpResponse(
            status=HttpStatus(code=answered.status), headers=headers, body=answered.body.decode()
        )
        code = _code(_CODES.get(answered.status, StatusCode.PERMISSION_DENIED))
        return CheckResponse(status=Status(code=code), denied_response=denied)


def _code(code: StatusCode) -> int:
    number: int = code.value[0]
    return number


def _overwriting(name: str, value: str) -> HeaderValueOption:
    """A header that takes the place of the client's own copies, even when it is empty."""
    return HeaderValueOption(
        header=HeaderValue(key=name.lower(), value=value),
        append_action=OVERWRITE_IF_EXISTS_OR_ADD,
        keep_empty_value=True,
    )
