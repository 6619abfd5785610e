"""How a verdict looks to one kind of gateway: status, header fields and body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pdp.answer.bodies import CONTENT_TYPE, OURS, Bodies, choose, told
from pdp.answer.challenges import Challenges, challenge, forbidden_challenge
from pdp.answer.identity_fields import Fields, IdentityFields, respelled
from pdp.model import STATUS, Answer, Outcome, Verdict


class Profile(StrEnum):
    """PLAIN is the verdict as it is; NGINX is what `auth_request` can make use of.

    ENVOY is PLAIN, and has Envoy drop further spellings of the identity's header fields.
    """

    PLAIN = "plain"
    NGINX = "nginx"
    ENVOY = "envoy"


@dataclass(frozen=True, slots=True)
class Presentation:
    """What answers say of this PDP: what a 401 asks for, the names in an allow, the bodies."""

    challenges: Challenges
    identity: IdentityFields
    bodies: Bodies = OURS


_PROFILES: Final = (Profile.PLAIN, Profile.NGINX, Profile.ENVOY)
# nginx turns every status but 2xx, 401 and 403 into a 500 and hands no body on.
_ROWS: Final[Mapping[Outcome, tuple[int, int, int]]] = MappingProxyType(
    {  #                      PLAIN NGINX ENVOY
        Outcome.ALLOW: (200, 200, 200),
        Outcome.BAD_REQUEST: (400, 403, 400),
        Outcome.UNAUTHENTICATED: (401, 401, 401),
        Outcome.FORBIDDEN: (403, 403, 403),
        Outcome.NOT_FOUND: (404, 403, 404),
        Outcome.THROTTLED: (429, 403, 429),
        Outcome.FAULT: (503, 503, 503),
    }
)
# A browser that is sent to log in, where others get the 401.
_FOUND: Final = 302
LOGIN_STATUS: Final[Mapping[Profile, int]] = MappingProxyType(
    dict(zip(_PROFILES, (_FOUND, 403, _FOUND), strict=True))
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
_REMOVE: Final = "X-Envoy-Auth-Headers-To-Remove"


def render(
    verdict: Verdict,
    *,
    profile: Profile,
    accept: str | None,
    presentation: Presentation,
    message: str | None = None,
    login: str | None = None,
) -> Answer:
    """The answer a gateway of this profile hands on without thinking.

    `accept` is the client's Accept value, its field lines joined with a comma. `message` is a
    RequestError's text and shows in a bad request only. `login` is where a browser logs in that
    would get a 401. Content-Length is left to the server.
    """
    outcome = verdict.outcome
    status = STATUS_OF[outcome, profile]
    if outcome is Outcome.ALLOW:
        return Answer(status, _allow_fields(verdict, profile, presentation.identity))
    if login is not None and outcome is Outcome.UNAUTHENTICATED:
        fields = (*_REFUSAL, ("Location", login), *_real_status(_FOUND, LOGIN_STATUS[profile]))
        return Answer(LOGIN_STATUS[profile], fields)
    fields = _REFUSAL + _refusal_fields(verdict, profile, presentation)
    if profile is Profile.NGINX:
        return Answer(status, fields)
    media = choose(accept)
    content_type = ("Content-Type", CONTENT_TYPE[media])
    body = presentation.bodies.of(told(verdict), media, message)
    return Answer(status, (content_type, *fields), body)


def _allow_fields(verdict: Verdict, profile: Profile, identity: IdentityFields) -> Fields:
    fields = identity.of(verdict)
    if profile is not Profile.ENVOY:
        return fields
    return (*fields, (_REMOVE, ",".join(respelled(identity.names))))


def _refusal_fields(verdict: Verdict, profile: Profile, presentation: Presentation) -> Fields:
    outcome = verdict.outcome
    fields: list[tuple[str, str]] = []
    if outcome is Outcome.UNAUTHENTICATED:
        fields.append(("WWW-Authenticate", challenge(verdict, presentation.challenges)))
    if outcome is Outcome.FORBIDDEN:
        asked = forbidden_challenge(verdict, presentation.challenges)
        fields += [("WWW-Authenticate", asked)] if asked else []
    if profile is Profile.NGINX:
        fields += _real_status(STATUS[outcome], STATUS_OF[outcome, profile])
    if verdict.retry_after is not None and outcome in _MAY_RETRY:
        fields.append(("Retry-After", str(verdict.retry_after)))
    return tuple(fields)


def _real_status(real: int, shown: int) -> Fields:
    """Beside a 403, which may stand for something else."""
    return (("X-Authz-Status", str(real)),) if shown == STATUS[Outcome.FORBIDDEN] else ()
