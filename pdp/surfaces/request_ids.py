"""Hands a caller's own `X-Request-ID` back, where the AuthZEN API promises to."""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from pdp.model import Answer
from pdp.surfaces.requests import Request

FIELD: Final = "X-Request-ID"
_ECHOING: Final = ("/access/v1/", "/.well-known/authzen-configuration")
_SOUND: Final = re.compile(r"[\x21-\x7e]{1,200}")


def echo_request_id(request: Request, answer: Answer) -> Answer:
    """The answer with the id of the request, if there is exactly one, visible ASCII and short."""
    if not request.target.startswith(_ECHOING):
        return answer
    given = request.headers.getall(FIELD, ())
    if len(given) != 1 or not _SOUND.fullmatch(given[0]):
        return answer
    return replace(answer, headers=(*answer.headers, (FIELD, given[0])))
