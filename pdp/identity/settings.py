"""What `[authentication]` may say, and every mistake one can make in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from pdp.errors import Problem, Severity
from pdp.identity.api_keys import ApiKeySettings
from pdp.identity.basic import BasicSettings
from pdp.identity.issuer import IssuerSettings, Kind, Mistake, Mistakes
from pdp.identity.issuer_checks import bad_role, may_be_role, mistakes, several_introspections
from pdp.identity.session import SessionSettings
from pdp.identity.session import mistakes as session_mistakes
from pdp.identity.urls import is_safe_url

__all__ = ["AuthenticationSettings", "IssuerSettings", "RoleNames", "check", "role_names"]

CacheSize = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class AuthenticationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which credentials are accepted; none where nothing is said."""

    realm: str = "api"
    authenticated_role: str | None = None
    issuers: tuple[IssuerSettings, ...] = ()
    api_keys: ApiKeySettings | None = None
    basic: BasicSettings | None = None
    session: SessionSettings | None = None
    token_cache_size: CacheSize = 10_000
    resource_metadata: str | None = None  # RFC 9728: where clients read how to get a token
    challenge_on_403: bool = False  # whether who lacks a scope is told which one

    @property
    def configured(self) -> bool:
        """Whether any credential can be good."""
        return bool(self.issuers or self.api_keys or self.basic)

    @property
    def subject_prefixes(self) -> tuple[tuple[str, str], ...]:
        """Who names subjects, by the key of its section, with the prefix that they have."""
        issuers = enumerate(self.issuers)
        named = tuple((f"issuers[{i}]", issuer.subject_prefix) for i, issuer in issuers)
        return (*named, ("basic", self.basic.subject_prefix)) if self.basic else named

    def foreign_prefixes(self, own: str) -> tuple[str, ...]:
        """The longer prefixes than `own` that only another's subjects may have."""
        prefixes = {prefix for _, prefix in self.subject_prefixes}
        return tuple(p for p in prefixes if p != own and p.startswith(own))

    def accepts(self, kind: Kind) -> bool:
        """Whether some issuer's tokens may come this way."""
        return any(kind in issuer.accepts for issuer in self.issuers)


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The roles that authentication may give: by name, and by how their names begin.

    INVARIANT: no authenticated id is one of them; policy refuses it.
    """

    asserted: frozenset[str] = frozenset()
    role_prefixes: tuple[str, ...] = ()
    authenticated_role: str | None = None


def role_names(settings: AuthenticationSettings) -> RoleNames:
    """What issuers may assert, with their prefixes in front, and the role of everybody."""
    listed = (
        (issuer.role_prefix or "") + role
        for issuer in settings.issuers
        for role in issuer.roles or ()
    )
    keys = settings.api_keys.roles if settings.api_keys else ()
    open_ended = (i.role_prefix for i in settings.issuers if i.roles is None)
    return RoleNames(
        asserted=frozenset((*listed, *keys)),
        role_prefixes=tuple(sorted({prefix for prefix in open_ended if prefix})),
        authenticated_role=settings.authenticated_role,
    )


def check(settings: AuthenticationSettings, file: str) -> list[Problem]:
    """Every mistake that the types of the section cannot see, all at once."""
    found = [m for rule in _RULES for m in rule(settings)]
    for index, issuer in enumerate(settings.issuers):
        found += mistakes(issuer, f"authentication.issuers[{index}]")
    if settings.session is not None:
        found += session_mistakes(settings.session, "authentication.session")
    return [Problem(file, None, m.code, m.message, m.help, m.severity) for m in found]


def _realm(settings: AuthenticationSettings) -> Mistakes:
    realm = settings.realm
    if not (realm.isascii() and realm.isprintable()) or '"' in realm or "\\" in realm:
        yield Mistake(
            "bad-realm",
            "`authentication.realm` cannot stand in a header",
            "write printable ASCII without quotes and backslashes",
        )


def _metadata(settings: AuthenticationSettings) -> Mistakes:
    url = settings.resource_metadata
    if url is not None and not is_safe_url(url):
        yield Mistake(
            "bad-url",
            "`authentication.resource_metadata` must be an https URL",
            "plain http is for loopback hosts only",
        )


def _key_roles(settings: AuthenticationSettings) -> Mistakes:
    for role in settings.api_keys.roles if settings.api_keys else ():
        if not may_be_role(role):
            yield bad_role("authentication.api_keys.roles", role)


def _sessions_judged(settings: AuthenticationSettings) -> Mistakes:
    if settings.session is not None and not settings.accepts("cookie"):
        yield Mistake(
            "unjudged-session",
            "`authentication.session`: no issuer accepts cookies",
            'write `accepts = ["bearer", "cookie"]` at the issuer whose tokens the cookie holds',
        )


def _everybodys_role(settings: AuthenticationSettings) -> Mistakes:
    role = settings.authenticated_role
    if role is not None and role in role_names(settings).asserted:
        yield Mistake(
            "everybodys-role",
            f"`authentication.authenticated_role` is `{role}`, which credentials may assert, too",
            "everybody with any credential holds it: give it a name of its own",
            Severity.WARNING,
        )


def _introspections(settings: AuthenticationSettings) -> Mistakes:
    return several_introspections(settings.issuers)


def _authenticated_role(settings: AuthenticationSettings) -> Mistakes:
    role = settings.authenticated_role
    if role is not None and not may_be_role(role):
        yield bad_role("authentication.authenticated_role", role)


def _same_issuer(settings: AuthenticationSettings) -> Mistakes:
    counted = Counter(issuer.issuer for issuer in settings.issuers)
    for name in (name for name, times in counted.items() if times > 1):
        yield Mistake(
            "duplicate-issuer",
            f"`authentication.issuers`: issuer `{name}` occurs more than once",
            "join the entries; a token's `iss` must select one of them",
        )


def _same_prefix(settings: AuthenticationSettings) -> Mistakes:
    counted = Counter(issuer.subject_prefix for issuer in settings.issuers)
    if settings.basic is not None and settings.basic.subject_prefix in counted:
        yield Mistake(
            "duplicate-prefix",
            "`authentication.basic.subject_prefix` is that of an issuer",
            "give it its own, such as `local:`, lest a password's `alice` be an issuer's",
        )
    for prefix in (prefix for prefix, times in counted.items() if times > 1):
        yield Mistake(
            "duplicate-prefix",
            f"`authentication.issuers`: `subject_prefix` `{prefix}` occurs more than once",
            "give each issuer its own, lest one issuer's `alice` be another's",
        )


def _prefixes_apart(settings: AuthenticationSettings) -> Mistakes:
    for prefix in role_names(settings).role_prefixes:
        for key, subjects in settings.subject_prefixes:
            if subjects.startswith(prefix):
                yield Mistake(
                    "prefix-collision",
                    f"`authentication.{key}.subject_prefix` begins with the"
                    f" `role_prefix` `{prefix}`: every subject would look like a role",
                    "choose prefixes that cannot be mistaken for each other",
                )


_RULES: Final[tuple[Callable[[AuthenticationSettings], Mistakes], ...]] = (
    _realm,
    _metadata,
    _key_roles,
    _sessions_judged,
    _introspections,
    _everybodys_role,
    _authenticated_role,
    _same_issuer,
    _same_prefix,
    _prefixes_apart,
)
