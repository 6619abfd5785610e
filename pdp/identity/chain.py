"""Finds who asks: from a token, an API key, a password or a session cookie, or from nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from msgspec.structs import replace

from pdp.errors import Unavailable
from pdp.identity.api_keys import ApiKeys
from pdp.identity.attempts import Asked, Refuses, refuses_nobody
from pdp.identity.basic import Basic
from pdp.identity.introspection import TokenInspector
from pdp.identity.keys import KeySource
from pdp.identity.revocation import NONE, Revocations
from pdp.identity.session import session_of
from pdp.identity.settings import AuthenticationSettings
from pdp.identity.tokens import Finding, Tokens, digest
from pdp.model import (
    ANONYMOUS,
    Credentials,
    Identity,
    Method,
    Reason,
    Rejected,
    nobody,
    rejected,
)

Judge = Callable[[str, Asked], Awaitable[Finding]]  # what follows the scheme, and how it came

_AUTHORIZATION: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: ++([\x20-\x7e]*+))?+")
_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_MALFORMED: Final = Rejected(Reason.CREDENTIALS_MALFORMED)
_UNSUPPORTED: Final = Rejected(Reason.SCHEME_UNSUPPORTED)
_NO_SESSION: Final = Rejected(Reason.SESSION_INVALID)
_AMBIGUOUS: Final = Rejected(
    Reason.REQUEST_INVALID, detail="a header and a cookie name different subjects"
)


class ApiKeySource(Protocol):
    """Where API keys come from, as far as authentication needs to know."""

    def current(self) -> ApiKeys:
        """The keys that are good now, without waiting."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What judges credentials: keys and inspectors by their issuers' names, and the rest if any."""

    keys: Mapping[str, KeySource] = field(default_factory=dict)
    inspectors: Mapping[str, TokenInspector] = field(default_factory=dict)
    api_keys: ApiKeySource | None = None
    basic: Basic | None = None


class Authenticator:
    """Every credential that is accepted, and how each is judged.

    `revocations` are replaced as a whole, never changed; the next credential is judged by the
    new ones.
    """

    def __init__(
        self, settings: AuthenticationSettings, means: Means, revocations: Revocations = NONE
    ) -> None:
        self.configured = settings.configured
        self.revocations = revocations
        self.tokens = Tokens(settings, means.keys, means.inspectors)
        self._cookie = settings.session.cookie if settings.session else None
        self._api_keys = means.api_keys
        self._key_roles = frozenset(settings.api_keys.roles if settings.api_keys else ())
        self._bearer = self.tokens.accepts("bearer")
        judges: dict[str, Judge] = {}
        if means.api_keys is not None:
            judges["apikey"] = self._api_key
        if means.basic is not None:
            judges["basic"] = partial(means.basic.authenticate, unrevoked=self._unrevoked)
        self._judges: Mapping[str, Judge] = MappingProxyType(judges)

    async def authenticate(
        self,
        credentials: Credentials,
        now: float,
        address: str | None = None,
        refuses: Refuses = refuses_nobody,
    ) -> Finding:
        """Who presented these credentials, or why they are refused; `now` in Unix seconds.

        ANONYMOUS if nothing was presented or nothing is configured to judge it. `address` is the
        client's, against whom guesses count. `refuses` is why the policy has nobody go by an
        identity: whoever asks must look at that again. Unavailable if it cannot be found out now.
        """
        cookie = self._session_of(credentials) if self.configured else None
        session = None if cookie is None else await self._session(cookie, now)
        if session is not None and not credentials.presented:
            return session
        key = self._remembered_at(credentials)
        found = self._known(credentials, key, now)
        if found is None:
            asked = Asked(address, now, refuses)
            found = self._unrevoked(await self._presented(credentials, key or b"", asked))
        if session is None or isinstance(found, Rejected) or not _disagree(found, session):
            return found
        # INVARIANT: a right guess that opens nothing is no good credential, or this would tell.
        return found if refuses(session) or refuses(found) else _AMBIGUOUS

    def known(self, credentials: Credentials, now: float) -> Finding | None:
        """What `authenticate` would find, where that is at hand; None where it may have to wait."""
        if self._session_of(credentials) is not None:
            return None
        return self._known(credentials, self._remembered_at(credentials), now)

    def _known(self, credentials: Credentials, key: bytes | None, now: float) -> Finding | None:
        if not self.configured or not credentials.presented:
            return ANONYMOUS
        return None if key is None else self.tokens.recall(key, now, self.revocations)

    def finds(self, credentials: Credentials) -> bool:
        """Whether there is anything to judge: a session's cookie, but no other, is."""
        return credentials.presented or self._session_of(credentials) is not None

    def _session_of(self, credentials: Credentials) -> str | None:
        """The value of a session's cookie; None if there is none."""
        if self._cookie is None or credentials.cookie is None:
            return None
        return session_of(credentials.cookie, self._cookie)

    def _remembered_at(self, credentials: Credentials) -> bytes | None:
        """Where the tokens cache has it, if it is one, and good, and was presented before."""
        if credentials.authorization is not None and self.configured:
            return digest("authorization", credentials.authorization)
        token = credentials.token
        return digest("bearer", token) if token and self._bearer else None

    async def _presented(self, credentials: Credentials, key: bytes, asked: Asked) -> Finding:
        """Whose a credential is that is not remembered; `key` is where it would be."""
        if credentials.authorization is not None:
            return await self._authorization(credentials.authorization, key, asked)
        if credentials.token is None:
            return await self._api_key(credentials.api_key or "", asked)
        if not self._bearer:
            return _UNSUPPORTED
        token = credentials.token
        return await self.tokens.find(token, "bearer", asked.now, key) if token else _MALFORMED

    async def _authorization(self, value: str, key: bytes, asked: Asked) -> Finding:
        """`auth-scheme [ 1*SP ( token68 / parameters ) ]`, RFC 9110 §11.4.

        `key` is where a good token is remembered.
        """
        parsed = _AUTHORIZATION.fullmatch(value)
        if parsed is None:
            return _MALFORMED
        scheme, value = parsed[1].lower(), parsed[2] or ""
        if scheme == "bearer" and self._bearer:
            well_formed = _B64TOKEN.fullmatch(value)
            find = self.tokens.find
            return await find(value, "bearer", asked.now, key) if well_formed else _MALFORMED
        judge = self._judges.get(scheme)
        return _UNSUPPORTED if judge is None else await judge(value, asked)

    async def _api_key(self, key: str, asked: Asked) -> Finding:
        if self._api_keys is None:
            return _UNSUPPORTED
        found = self._api_keys.current().find(key, asked.now)
        if isinstance(found, Rejected):
            return found
        return replace(found, roles=tuple(r for r in found.roles if r in self._key_roles))

    async def _session(self, value: str, now: float) -> Identity:
        """Whose session it is; nobody's if it is no good.

        If it cannot be found out, that is a fault only where being nobody is not enough.
        """
        try:
            found = await self._cookie_token(value, now) if value else _NO_SESSION
        except Unavailable as error:
            return nobody(Rejected(error.reason))
        if isinstance(found, Identity):
            found = self._unrevoked(replace(found, method=Method.SESSION))
        if isinstance(found, Rejected):
            return nobody(Rejected(Reason.SESSION_INVALID, detail=found.detail or found.reason))
        return found

    async def _cookie_token(self, token: str, now: float) -> Finding:
        key = digest("cookie", token)
        known = self.tokens.recall(key, now, self.revocations)
        return known or await self.tokens.find(token, "cookie", now, key)

    def _unrevoked(self, found: Finding) -> Finding:
        # INVARIANT: asked of all that is not remembered; of the rest see `Verified.unless_in`.
        if isinstance(found, Identity):
            reason = self.revocations.refusal(found)
            return found if reason is None else rejected(found, reason)
        return found


def _disagree(found: Identity, session: Identity) -> bool:
    """Whether two good credentials speak for different subjects (RFC 6750 §2)."""
    return session.authenticated and (found.type, found.id) != (session.type, session.id)
