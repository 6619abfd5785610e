"""What one `[[authentication.issuers]]` may say; `issuer_checks` finds the mistakes in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from pdp.errors import Severity

Leeway = Annotated[float, msgspec.Meta(ge=0, le=300)]
Refresh = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
StaleMost = Annotated[float, msgspec.Meta(ge=60, le=30 * 86_400)]
CacheTime = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Kind = Literal["bearer", "cookie"]

SECRET_SOURCES: Final = ("secret_file", "secret_env")
PUBLIC_SOURCES: Final = ("jwks_url", "jwks_file", "public_key_file")
KEY_SOURCES: Final = PUBLIC_SOURCES + SECRET_SOURCES
CLIENT_SECRETS: Final = ("client_secret_file", "client_secret_env")


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer of tokens: what it is called, where its keys are, what it may say.

    Instead of keys it may have an endpoint that judges its tokens (RFC 7662). With neither, the
    keys are found by discovery, from `issuer`.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    jwks_url: str | None = None
    jwks_file: str | None = None
    public_key_file: str | None = None
    secret_file: str | None = None
    secret_env: str | None = None
    introspection_url: str | None = None
    client_id: str | None = None
    client_secret_file: str | None = None
    client_secret_env: str | None = None
    accepts: tuple[Kind, ...] = ("bearer", "cookie")
    subject_claim: str = "sub"
    subject_prefix: str = ""
    roles_claim: str | None = None
    roles: tuple[str, ...] | None = None
    role_prefix: str | None = None
    domain_claim: str | None = None
    leeway_seconds: Leeway = 30.0
    jwks_refresh_seconds: Refresh | None = None
    jwks_stale_max_seconds: StaleMost = 86_400.0
    introspection_cache_seconds: CacheTime = 30.0

    @property
    def key_sources(self) -> tuple[str, ...]:
        """The settings given that say where the keys are; one at most where checks are content."""
        return tuple(name for name in KEY_SOURCES if getattr(self, name) is not None)

    @property
    def introspected(self) -> bool:
        """Whether an endpoint judges its tokens, so that it needs no keys."""
        return self.introspection_url is not None

    @property
    def discovered(self) -> bool:
        """Whether nothing but its name says where its keys are."""
        return not self.key_sources and not self.introspected


@dataclass(frozen=True, slots=True)
class Mistake:
    """A problem that does not know its file yet."""

    code: str
    message: str
    help: str
    severity: Severity = Severity.ERROR


Mistakes = Iterator[Mistake]
