"""What every surface is given: the service and what `[server]` says of requests, compiled."""

from __future__ import annotations

from dataclasses import dataclass

from pdp.answer.profiles import Profile, render
from pdp.model import Answer, Verdict
from pdp.runtime.callers import Caller
from pdp.runtime.reload import Reloader
from pdp.runtime.service import Service
from pdp.runtime.settings import Network, parse_networks
from pdp.surfaces.target import Exempt, exempting


@dataclass(frozen=True, slots=True)
class Context:
    """Read-only; made once when the surfaces are put together."""

    service: Service
    trusted: tuple[Network, ...]
    exempt: Exempt | None
    reloader: Reloader

    def render(
        self, verdict: Verdict, profile: Profile, accept: str | None, message: str | None = None
    ) -> Answer:
        """The verdict as an answer, with the realm and the schemes that a 401 offers."""
        authenticator = self.service.authenticator
        return render(
            verdict,
            profile=profile,
            accept=accept,
            realm=authenticator.realm,
            schemes=authenticator.schemes,
            message=message,
        )

    def local_caller(self) -> Caller:
        """Who asks where no callers are configured: whoever reaches a loopback port."""
        return Caller("", vouch=not self.service.authenticator.configured, see_reasons=True)


def make_context(service: Service, reloader: Reloader) -> Context:
    """The context of a service's surfaces."""
    server = service.loaded.server
    networks, exempt = parse_networks(server.trusted_proxies), exempting(server.exempt_targets)
    return Context(service, networks, exempt, reloader)


def plain(status: int, body: bytes, content_type: str = "application/json") -> Answer:
    """An answer that is no verdict."""
    fields = (("Content-Type", content_type), ("Cache-Control", "no-store"), ("Vary", "Accept"))
    return Answer(status, fields, body)
