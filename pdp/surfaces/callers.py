"""Authenticates the calling PEP, which is not the subject that it asks about."""

from __future__ import annotations

from typing import Final

from pdp.errors import PdpError
from pdp.identity.chain import Authenticator
from pdp.model import Answer
from pdp.runtime.callers import Caller
from pdp.runtime.journal_asking import note_caller
from pdp.surfaces.certificates import Certified
from pdp.surfaces.context import Context
from pdp.surfaces.requests import Request

CHALLENGE: Final = 'Bearer realm="pdp"'
_BEARER: Final = "bearer "


class CallerUnknown(PdpError):
    """The caller showed no key, or none that is known: 401, for the caller."""


def identify_caller(request: Request, context: Context) -> Caller:
    """Who calls, where callers are configured: by `Authorization: Bearer KEY`, or a certificate.

    A key that is not good is never made up for by a certificate. Where none are configured, it is
    whoever reaches the listener, but no page in a browser.
    """
    callers = context.service.loaded.callers
    if not callers.known:
        context.names.refuse_browsers(request)
        return context.whoever
    if request.headers.getall("Authorization", ()):
        key = bearer_key(request)
        caller = callers.identify(key) if key else None
    else:
        caller = callers.certified(client_of(request).names)
    if caller is None:
        raise CallerUnknown
    note_caller(caller.name)
    return caller


def bearer_key(request: Request) -> str:
    """The key in the one `Authorization: Bearer KEY`; empty if there is none, or several."""
    fields = request.headers.getall("Authorization", ())
    value = fields[0] if len(fields) == 1 else ""
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else ""


def client_of(request: Request) -> Certified:
    """What the certificate of the client says, which TLS has verified."""
    return request.peer.client


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
