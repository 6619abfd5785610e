"""Finds who asks: from nothing, from an Authorization value, or from a bare token."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from pdp.identity.jwt import Issuer, verify
from pdp.identity.keys import KeySource
from pdp.identity.revocation import NONE, Revocations
from pdp.identity.settings import AuthenticationSettings
from pdp.model import ANONYMOUS, Credentials, Identity, Reason, Rejected

Finding = Identity | Rejected
CacheKey = tuple[bytes, str, tuple[str, ...]]

_AUTHORIZATION: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: ++([\x20-\x7e]*+))?+")
_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_MALFORMED: Final = Rejected(Reason.CREDENTIALS_MALFORMED)
_UNSUPPORTED: Final = Rejected(Reason.SCHEME_UNSUPPORTED)


class TokenCache:
    """A bounded LRU of verified tokens, by digest; it never sees a token."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: OrderedDict[CacheKey, Identity] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: CacheKey) -> Identity | None:
        """The identity stored under `key`, which then is the most recently used."""
        identity = self._found.get(key)
        if identity is not None:
            self._found.move_to_end(key)
        return identity

    def put(self, key: CacheKey, identity: Identity) -> None:
        """Store `identity`, at the expense of the least recently used."""
        self._found[key] = identity
        self._found.move_to_end(key)
        while len(self._found) > self._size:
            self._found.popitem(last=False)

    def drop(self, key: CacheKey) -> None:
        """Forget what is stored under `key`, if anything is."""
        self._found.pop(key, None)


class Authenticator:
    """The accepted schemes and issuers, and the tokens verified lately.

    `sources` holds the keys of every issuer in `settings`, by the issuer's name. `revocations`
    are replaced as a whole, never changed; the next credential is judged by the new ones.
    """

    schemes: Final = ("Bearer",)

    def __init__(
        self,
        settings: AuthenticationSettings,
        sources: Mapping[str, KeySource],
        revocations: Revocations = NONE,
    ) -> None:
        self.realm = settings.realm
        self.configured = bool(settings.issuers)
        self.revocations = revocations
        self.cache = TokenCache(settings.token_cache_size)
        self._version = hashlib.sha256(msgspec.json.encode(settings)).hexdigest()
        self._issuers = MappingProxyType(
            {i.issuer: Issuer(i, sources[i.issuer]) for i in settings.issuers}
        )
        self._foreign = _foreign_prefixes(settings)
        self._schemes: Mapping[str, Callable[[str, float], Awaitable[Finding]]] = MappingProxyType(
            {"bearer": self._bearer}
        )

    async def authenticate(self, credentials: Credentials, now: float) -> Finding:
        """Who presented these credentials, or why they are refused; `now` in Unix seconds.

        ANONYMOUS if nothing was presented, a cookie (sent unasked) counting as nothing, or if no
        issuer is configured. KeysUnavailable if the token's issuer's keys were never loaded.
        """
        if not self.configured:
            return ANONYMOUS
        if credentials.token is not None:
            return await self._token(credentials.token, now) if credentials.token else _MALFORMED
        if credentials.authorization is not None:
            return await self._authorization(credentials.authorization, now)
        return ANONYMOUS if credentials.api_key is None else _UNSUPPORTED

    async def _authorization(self, value: str, now: float) -> Finding:
        """`auth-scheme [ 1*SP ( token68 / parameters ) ]`, RFC 9110 §11.4."""
        parsed = _AUTHORIZATION.fullmatch(value)
        if parsed is None:
            return _MALFORMED
        judge = self._schemes.get(parsed[1].lower())
        return _UNSUPPORTED if judge is None else await judge(parsed[2] or "", now)

    async def _bearer(self, value: str, now: float) -> Finding:
        return await self._token(value, now) if _B64TOKEN.fullmatch(value) else _MALFORMED

    async def _token(self, token: str, now: float) -> Finding:
        key = self._cache_key(token)
        known = self.cache.get(key)
        if known is not None:
            if not _is_current(known, now):
                return Rejected(Reason.TOKEN_EXPIRED)
            return self._unrevoked(known, key)
        found = await verify(token, self._issuers, now)
        if not isinstance(found, Identity):
            return found
        if found.id.startswith(self._foreign[found.issuer or ""]):
            return Rejected(Reason.TOKEN_INVALID)
        key = self._cache_key(token)
        self.cache.put(key, found)
        return self._unrevoked(found, key)

    def _unrevoked(self, identity: Identity, key: CacheKey) -> Finding:
        # INVARIANT: asked on every authentication, so that no cache outlives a revocation.
        if self.revocations.revoked(identity):
            self.cache.drop(key)
            return Rejected(Reason.TOKEN_REVOKED)
        return identity

    def _cache_key(self, token: str) -> CacheKey:
        """What was verified, against which configuration and which keys."""
        rings = (issuer.source.current() for issuer in self._issuers.values())
        versions = tuple("" if ring is None else ring.version for ring in rings)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        return digest, self._version, versions


def _is_current(identity: Identity, now: float) -> bool:
    return identity.expires is not None and now < identity.expires


def _foreign_prefixes(settings: AuthenticationSettings) -> Mapping[str, tuple[str, ...]]:
    """By issuer, the longer prefixes that only another issuer's subjects may have."""
    prefixes = {i.subject_prefix for i in settings.issuers}
    return MappingProxyType(
        {
            i.issuer: tuple(
                p for p in prefixes if p != i.subject_prefix and p.startswith(i.subject_prefix)
            )
            for i in settings.issuers
        }
    )
