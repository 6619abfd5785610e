"""How a verdict looks to one kind of gateway: status, header fields and body."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from pdp.answer.bodies import CONTENT_TYPE, body, choose
from pdp.answer.challenges import challenge
from pdp.model import ANONYMOUS_ID, STATUS, Answer, Identity, Method, Outcome, Verdict

Fields = tuple[tuple[str, str], ...]


class Profile(StrEnum):
    """PLAIN is the verdict as it is; NGINX is what `auth_request` can make use of."""

    PLAIN = "plain"
    NGINX = "nginx"


_PROFILES: Final = (Profile.PLAIN, Profile.NGINX)
# nginx turns every status but 2xx, 401 and 403 into a 500 and hands no body on.
_ROWS: Final[Mapping[Outcome, tuple[int, int]]] = MappingProxyType(
    {  #                      PLAIN NGINX
        Outcome.ALLOW: (200, 200),
        Outcome.BAD_REQUEST: (400, 403),
        Outcome.UNAUTHENTICATED: (401, 401),
        Outcome.FORBIDDEN: (403, 403),
        Outcome.NOT_FOUND: (404, 403),
        Outcome.THROTTLED: (429, 403),
        Outcome.FAULT: (503, 503),
    }
)
STATUS_OF: Final[Mapping[tuple[Outcome, Profile], int]] = MappingProxyType(
    {
        (outcome, profile): status
        for outcome, row in _ROWS.items()
        for profile, status in zip(_PROFILES, row, strict=True)
    }
)

_REFUSAL: Final[Fields] = (("Cache-Control", "no-store"), ("Vary", "Accept"))
# RFC 9110 §10.2.3 and RFC 6585 §4. A 404 must not carry it: it could tell hidden from absent.
_MAY_RETRY: Final = frozenset({Outcome.THROTTLED, Outcome.FAULT})


def render(
    verdict: Verdict,
    *,
    profile: Profile,
    accept: str | None,
    realm: str,
    schemes: Sequence[str],
    retry_after: int | None = None,
    message: str | None = None,
) -> Answer:
    """The answer a gateway of this profile hands on without thinking.

    `accept` is the client's Accept value, its field lines joined with a comma. `retry_after` is
    in seconds. `message` is a RequestError's text and shows in a bad request only.
    Content-Length is left to the server.
    """
    outcome = verdict.outcome
    status = STATUS_OF[outcome, profile]
    if outcome is Outcome.ALLOW:
        return Answer(status, _identity_fields(verdict))
    fields = _REFUSAL + _refusal_fields(verdict, profile, realm, schemes, retry_after)
    if profile is Profile.NGINX:
        return Answer(status, fields)
    media = choose(accept)
    content_type = ("Content-Type", CONTENT_TYPE[media])
    return Answer(status, (content_type, *fields), body(outcome, media, message))


def _refusal_fields(
    verdict: Verdict,
    profile: Profile,
    realm: str,
    schemes: Sequence[str],
    retry_after: int | None,
) -> Fields:
    outcome = verdict.outcome
    fields: list[tuple[str, str]] = []
    if outcome is Outcome.UNAUTHENTICATED:
        fields.append(("WWW-Authenticate", challenge(verdict.reason, realm, schemes)))
    if profile is Profile.NGINX and STATUS_OF[outcome, profile] == STATUS[Outcome.FORBIDDEN]:
        fields.append(("X-Authz-Status", str(STATUS[outcome])))
    if retry_after is not None and outcome in _MAY_RETRY:
        fields.append(("Retry-After", str(retry_after)))
    return tuple(fields)


def _identity_fields(verdict: Verdict) -> Fields:
    """Every identity header, even when empty: the gateway overwrites what the client sent."""
    identity = verdict.identity
    if identity is None or _anonymous(identity):
        return (("X-Auth-Subject", ""), ("X-Auth-Roles", ""))
    roles = ",".join(map(field_text, verdict.roles))
    return (("X-Auth-Subject", field_text(identity.id)), ("X-Auth-Roles", roles))


def _anonymous(identity: Identity) -> bool:
    return identity.method is Method.NONE or identity.id == ANONYMOUS_ID


_PLAIN_TEXT: Final = re.compile(r"[!-$&-+\--~]*")  # visible ASCII but `%` and `,`
_KEPT: Final = "".join(c for c in map(chr, range(0x20, 0x7F)) if c not in "%,")


def field_text(text: str) -> str:
    """A value that is safe in a comma-joined header field, and decodes to `text` again.

    Comma, `%`, controls and non-ASCII are percent-encoded as UTF-8. Spaces stay unless one stands
    at an end, where HTTP would trim it and make `admin` of ` admin`.
    """
    if _PLAIN_TEXT.fullmatch(text):
        return text
    kept = _KEPT if text == text.strip(" ") else _KEPT[1:]
    return quote(text, safe=kept, errors="surrogatepass")
