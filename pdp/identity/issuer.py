"""What one `[[authentication.issuers]]` may say, and every mistake one can make in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

import jmespath
import jmespath.exceptions
import msgspec

from pdp.config import suggest
from pdp.errors import Severity
from pdp.identity.algorithms import ALGORITHMS, ASYMMETRIC, HMAC
from pdp.identity.text import is_name
from pdp.model import ANONYMOUS_ID

Leeway = Annotated[float, msgspec.Meta(ge=0, le=300)]
Refresh = Annotated[float, msgspec.Meta(ge=1, le=86_400)]

SECRET_SOURCES: Final = ("secret_file", "secret_env")
PUBLIC_SOURCES: Final = ("jwks_url", "jwks_file", "public_key_file")
KEY_SOURCES: Final = PUBLIC_SOURCES + SECRET_SOURCES


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer of tokens: what it is called, where its keys are, what it may say."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    jwks_url: str | None = None
    jwks_file: str | None = None
    public_key_file: str | None = None
    secret_file: str | None = None
    secret_env: str | None = None
    subject_claim: str = "sub"
    subject_prefix: str = ""
    roles_claim: str | None = None
    roles: tuple[str, ...] | None = None
    role_prefix: str | None = None
    domain_claim: str | None = None
    leeway_seconds: Leeway = 30.0
    jwks_refresh_seconds: Refresh = 300.0

    @property
    def key_sources(self) -> tuple[str, ...]:
        """The settings given that say where the keys are; exactly one where `check` is content."""
        return tuple(name for name in KEY_SOURCES if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A problem that does not know its file yet."""

    code: str
    message: str
    help: str
    severity: Severity = Severity.ERROR


Mistakes = Iterator[Mistake]


def mistakes(issuer: IssuerSettings, key: str) -> Mistakes:
    """Every mistake within `issuer`, which stands at `key`."""
    for rule in _RULES:
        yield from rule(issuer, key)


def _named(issuer: IssuerSettings, key: str) -> Mistakes:
    if not issuer.issuer:
        yield Mistake("empty-value", f"`{key}.issuer` is empty", "write the `iss` of its tokens")


def _key_source(issuer: IssuerSettings, key: str) -> Mistakes:
    given = issuer.key_sources
    if not given:
        known = ", ".join(f"`{name}`" for name in KEY_SOURCES)
        yield Mistake("no-key-source", f"`{key}` names no keys", f"set one of {known}")
    if len(given) > 1:
        listed = ", ".join(f"`{name}`" for name in given)
        yield Mistake(
            "several-key-sources", f"`{key}` names several sources of keys: {listed}", "keep one"
        )


def _audiences(issuer: IssuerSettings, key: str) -> Mistakes:
    if not issuer.audiences or not all(issuer.audiences):
        yield Mistake(
            "no-audience",
            f"`{key}.audiences` is empty or holds an empty name",
            "name the `aud` values that mean this service",
        )


def _algorithms(issuer: IssuerSettings, key: str) -> Mistakes:
    place = f"{key}.algorithms"
    if not issuer.algorithms:
        yield Mistake("no-algorithm", f"`{place}` is empty", 'for example `["RS256"]`')
    for name in issuer.algorithms:
        if name not in ALGORITHMS:
            yield Mistake(
                "unknown-algorithm",
                f"`{place}`: `{name}` is not an algorithm that can be accepted",
                suggest(name.upper(), ALGORITHMS),
            )


def _families(issuer: IssuerSettings, key: str) -> Mistakes:
    place = f"{key}.algorithms"
    symmetric, asymmetric = HMAC & {*issuer.algorithms}, ASYMMETRIC & {*issuer.algorithms}
    if symmetric and asymmetric:
        yield Mistake(
            "mixed-algorithms",
            f"`{place}` mixes shared-secret and public-key algorithms",
            "keep one kind: a public key must never serve as a secret",
        )
        return
    for name in issuer.key_sources:
        if (symmetric and name in PUBLIC_SOURCES) or (asymmetric and name in SECRET_SOURCES):
            wanted = SECRET_SOURCES if symmetric else PUBLIC_SOURCES
            yield Mistake(
                "wrong-key-source",
                f"`{key}.{name}` does not fit `algorithms`",
                f"these algorithms need {' or '.join(f'`{w}`' for w in wanted)}",
            )


def _jwks_url(issuer: IssuerSettings, key: str) -> Mistakes:
    if issuer.jwks_url is not None and not _is_safe_url(issuer.jwks_url):
        yield Mistake(
            "bad-jwks-url",
            f"`{key}.jwks_url` must be an https URL without user name and password",
            "plain http is for loopback hosts only",
        )


def _is_safe_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    if not usable or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _roles_claim(issuer: IssuerSettings, key: str) -> Mistakes:
    bounded = issuer.roles is not None or bool(issuer.role_prefix)
    if issuer.roles_claim is None:
        if bounded:
            yield Mistake(
                "roles-unused",
                f"`{key}` bounds roles, but reads none",
                "set `roles_claim`, or remove `roles` and `role_prefix`",
                Severity.WARNING,
            )
        return
    if not bounded:
        yield Mistake(
            "unbounded-roles",
            f"`{key}.roles_claim` needs `roles` or `role_prefix`",
            "list the roles that this issuer may assert, or set them apart by a prefix",
        )
    if not is_jmespath(issuer.roles_claim):
        yield Mistake(
            "bad-jmespath",
            f"`{key}.roles_claim` is not a JMESPath expression",
            "for example `realm_access.roles`; quote names with other characters: "
            '`"https://example.com/roles"`',
        )


def is_jmespath(text: str) -> bool:
    """Whether `text` is an expression that can be compiled."""
    try:
        jmespath.compile(text).search({})
    except jmespath.exceptions.JMESPathTypeError:
        return True  # a function that finds nothing to work on in an empty document
    except jmespath.exceptions.JMESPathError:
        return False
    return True


def _roles(issuer: IssuerSettings, key: str) -> Mistakes:
    for role in issuer.roles or ():
        if not may_be_role((issuer.role_prefix or "") + role) or not role:
            yield bad_role(f"{key}.roles", role)


def may_be_role(name: str) -> bool:
    """Whether a role may have this name."""
    return is_name(name) and name != ANONYMOUS_ID


def bad_role(key: str, role: str) -> Mistake:
    """The mistake that `role`, at `key`, has a name that roles may not have."""
    return Mistake(
        "bad-role",
        f"`{key}`: `{role}` cannot be a role",
        f"a role's name is not empty, not `{ANONYMOUS_ID}`, and has no control characters",
    )


_RULES: Final[tuple[Callable[[IssuerSettings, str], Mistakes], ...]] = (
    _named,
    _key_source,
    _audiences,
    _algorithms,
    _families,
    _jwks_url,
    _roles_claim,
    _roles,
)
