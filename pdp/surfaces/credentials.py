"""Header fields to Credentials: at most one credential, and cookies, which nobody chose to send."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pdp.errors import RequestError
from pdp.model import Credentials

# An unclosed quote reaches to the end, so that each byte is read once.
_QUOTED: Final = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
# A comma, a scheme, a space and the start of a credential. Digest's parameters have a `=` there.
_SECOND: Final = re.compile(r",[ \t]*+[!#$%&'*+.^_`|~0-9A-Za-z-]++[ \t]++[^ \t=,]")


def from_headers(
    authorization: Sequence[str], api_key: Sequence[str], cookie: Sequence[str]
) -> Credentials:
    """The credentials in all field lines of Authorization, X-API-Key and Cookie.

    RequestError where two were presented (RFC 6750 §2); whether one is any good is judged later.
    """
    if len(authorization) > 1 or any(map(holds_two, authorization)):
        raise RequestError("Authorization", "holds more than one credential")
    if len(api_key) > 1:
        raise RequestError("X-API-Key", "is repeated")
    if authorization and api_key:
        raise RequestError("Authorization", "stands beside an X-API-Key")
    return Credentials(
        authorization=authorization[0] if authorization else None,
        api_key=api_key[0] if api_key else None,
        cookie="; ".join(cookie) if cookie else None,  # HTTP/2 may split it: RFC 9113 §8.2.3
    )


def holds_two(value: str) -> bool:
    """Whether a gateway has joined two credentials in one field, as Envoy does."""
    return "," in value and _SECOND.search(_QUOTED.sub('""', value)) is not None
