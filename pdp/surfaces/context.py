"""What every surface is given: the service and what `[server]` says of requests, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from pdp.answer.challenges import Challenges, schemes
from pdp.answer.identity_fields import IdentityFields
from pdp.answer.profiles import Presentation, Profile, render
from pdp.identity.settings import AuthenticationSettings
from pdp.model import Answer, Verdict
from pdp.runtime.callers import Caller
from pdp.runtime.geo import Countries
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import ServerSettings, parse_networks
from pdp.surfaces.asked import Reading
from pdp.surfaces.browser import Login, make_login
from pdp.surfaces.country import country_source
from pdp.surfaces.own_names import OwnNames, own_names
from pdp.surfaces.target import Exempt, exempting


@dataclass(frozen=True, slots=True)
class Context:
    """Read-only; made once when the surfaces are put together.

    `preflight` says of which resources CORS preflights are let through. Where no callers are
    configured, `whoever` asks, who must call a loopback listener by one of its own `names`.
    """

    service: Service
    reloader: Reloader
    reading: Reading
    presentation: Presentation
    preflight: Exempt | None
    login: Login | None
    names: OwnNames
    whoever: Caller

    def render(
        self,
        verdict: Verdict,
        profile: Profile,
        accept: str | None,
        message: str | None = None,
        login: str | None = None,
    ) -> Answer:
        """The verdict as an answer, with the realm and the schemes that a 401 offers."""
        return render(
            verdict,
            profile=profile,
            accept=accept,
            presentation=self.presentation,
            message=message,
            login=login,
        )


def make_context(service: Service, reloader: Reloader) -> Context:
    """The context of a service's surfaces."""
    server = service.loaded.server
    identity = IdentityFields(
        subject=server.subject_header,
        roles=server.roles_header,
        claims=tuple(server.identity_headers.items()),
        most=server.max_identity_bytes,
    )
    return Context(
        service=service,
        reloader=reloader,
        reading=_reading(server, service.loaded.beside.countries),
        presentation=Presentation(
            _challenges(service.loaded.authentication), identity, service.loaded.beside.bodies
        ),
        preflight=exempting(server.preflight),
        login=make_login(server),
        names=own_names(server.listen, server.public_url),
        whoever=Caller("", vouch=not service.authenticator.configured, see_reasons=True),
    )


def _challenges(settings: AuthenticationSettings) -> Challenges:
    return Challenges(
        realm=settings.realm,
        schemes=schemes(
            bearer=settings.accepts("bearer"),
            api_key=settings.api_keys is not None,
            basic=settings.basic is not None,
            cookie=settings.session.cookie if settings.session else None,
        ),
        resource_metadata=settings.resource_metadata,
        on_403=settings.challenge_on_403,
    )


def _reading(server: ServerSettings, countries: Countries | None) -> Reading:
    # A login page elsewhere is told a whole URL to return to.
    elsewhere = server.login_url is not None and not server.login_url.startswith("/")
    return Reading(
        trusted=parse_networks(server.trusted_proxies),
        resource=server.resource,
        exempt=exempting(server.exempt_targets),
        needs_scheme=server.require_https or elsewhere,
        country=country_source(server, countries),
    )


def failed(status: int, code: str, message: str) -> Answer:
    """An answer that says what went wrong, to programs and to people."""
    return plain(status, msgspec.json.encode({"error": code, "message": message}))


def plain(status: int, body: bytes, content_type: str = "application/json") -> Answer:
    """An answer that is no verdict."""
    return Answer(status, _fields(content_type), body)


@lru_cache(maxsize=8)
def _fields(content_type: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", content_type), ("Cache-Control", "no-store"), ("Vary", "Accept"))
