"""Authenticates the calling PEP, which is not the subject that it asks about."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pdp.errors import PdpError
from pdp.identity.chain import Authenticator
from pdp.model import Answer
from pdp.runtime.callers import Caller
from pdp.surfaces.context import Context

CHALLENGE: Final = 'Bearer realm="pdp"'
_BEARER: Final = "bearer "


class CallerUnknown(PdpError):
    """The caller showed no key, or none that is known: 401, for the caller."""


def identify_caller(request: web.BaseRequest, context: Context) -> Caller:
    """Who calls: by `Authorization: Bearer KEY` where callers are configured."""
    callers = context.service.loaded.callers
    if not callers.known:
        return context.local_caller()
    fields = request.headers.getall("Authorization", ())
    value = fields[0] if len(fields) == 1 else ""
    key = value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else ""
    caller = callers.identify(key) if key else None
    if caller is None:
        raise CallerUnknown
    return caller


def vouches(caller: Caller, authenticator: Authenticator) -> bool:
    """Whether what the caller says of a subject is believed, beyond its name."""
    return caller.vouch or not authenticator.configured


def caller_unknown() -> Answer:
    """What a caller without a good key is told."""
    fields = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("WWW-Authenticate", CHALLENGE),
    )
    body = b'{"error":"caller_unauthenticated","message":"This API needs the key of a caller."}'
    return Answer(401, fields, body)
