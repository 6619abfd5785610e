"""Finds whose a token is: a signed one by its issuer's keys, an opaque one by asking its issuer."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pdp.identity.introspection import TokenInspector, identify_introspected, looks_like_jws
from pdp.identity.issuer import Kind
from pdp.identity.jwt import LONGEST_TOKEN, Issuer, Parsed, parse, verify
from pdp.identity.keys import KeyRing, KeySource
from pdp.identity.revocation import Revocations
from pdp.identity.settings import AuthenticationSettings
from pdp.model import Identity, Reason, Rejected, rejected

Finding = Identity | Rejected

_INVALID: Final = Rejected(Reason.TOKEN_INVALID)
_UNKNOWN: Final = Rejected(Reason.ISSUER_UNKNOWN)
_EXPIRED: Final = Rejected(Reason.TOKEN_EXPIRED)


class Verified:
    """A token that was found good, and the keys by which it was."""

    __slots__ = ("_asked", "_finding", "identity", "ring", "source")

    def __init__(self, identity: Identity, source: KeySource, ring: KeyRing) -> None:
        self.identity = identity
        self.source = source
        self.ring = ring
        self._asked: Revocations | None = None
        self._finding: Finding = identity

    def current(self) -> bool:
        """Whether the issuer's keys are still those, whatever object holds them."""
        ring = self.source.current()
        return ring is self.ring or (ring is not None and ring.version == self.ring.version)

    def unless_in(self, revocations: Revocations) -> Finding:
        """The identity, or the refusal of one that these revoke."""
        # INVARIANT: neither they nor an identity ever change, so each is asked once, and none of
        # what they said outlives them.
        if self._asked is not revocations:
            reason = revocations.refusal(self.identity)
            self._finding = self.identity if reason is None else rejected(self.identity, reason)
            self._asked = revocations
        return self._finding


class TokenCache:
    """A bounded LRU of verified tokens, by a digest of what was presented; it sees no token.

    It lives as long as one configuration, and what it holds as long as the keys.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: OrderedDict[bytes, Verified] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: bytes) -> Verified | None:
        """What is stored under `key`, which then is the most recently used."""
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
        return found

    def put(self, key: bytes, found: Verified) -> None:
        """Store `found`, at the expense of the least recently used."""
        self._found[key] = found
        while len(self._found) > self._size:
            self._found.popitem(last=False)


class Tokens:
    """The issuers whose tokens are accepted, and the tokens verified lately.

    `sources` holds the keys of every issuer that has some, `inspectors` whoever answers for the
    others, by the issuer's name.
    """

    def __init__(
        self,
        authentication: AuthenticationSettings,
        sources: Mapping[str, KeySource],
        inspectors: Mapping[str, TokenInspector],
    ) -> None:
        self.cache = TokenCache(authentication.token_cache_size)
        settings = {issuer.issuer: issuer for issuer in authentication.issuers}
        self._signing = MappingProxyType(
            {name: Issuer(settings[name], source) for name, source in sources.items()}
        )
        self._asked = MappingProxyType(
            {name: (settings[name], inspector) for name, inspector in inspectors.items()}
        )
        self._opaque: Mapping[Kind, str] = MappingProxyType(
            {kind: name for name in inspectors for kind in settings[name].accepts}
        )
        self._foreign = MappingProxyType(
            {
                name: authentication.foreign_prefixes(issuer.subject_prefix)
                for name, issuer in settings.items()
            }
        )

    def accepts(self, kind: Kind) -> bool:
        """Whether there is an issuer of such tokens."""
        named = [*self._signing.values()]
        return kind in self._opaque or any(kind in issuer.settings.accepts for issuer in named)

    def recall(self, key: bytes, now: float, revocations: Revocations) -> Finding | None:
        """What is true now of a token found good before; None if that was by other keys."""
        found = self.cache.get(key)
        if found is None or not found.current():
            return None
        expires = found.identity.expires
        return found.unless_in(revocations) if expires and now < expires else _EXPIRED

    async def find(self, token: str, kind: Kind, now: float, key: bytes) -> Finding:
        """Whose the token is; `key` is where a good answer is remembered.

        KeysUnavailable or DeadlineExceeded if that cannot be found out now.
        """
        if len(token) > LONGEST_TOKEN:
            return _INVALID
        try:
            parsed = parse(token)
        except (ValueError, RecursionError):
            name = None if looks_like_jws(token) else self._opaque.get(kind)
            return _INVALID if name is None else await self._ask(name, token, now)
        named = parsed.claims.get("iss")
        if not isinstance(named, str):
            return _UNKNOWN
        if named in self._asked and kind in self._asked[named][0].accepts:
            return await self._ask(named, token, now)
        issuer = self._signing.get(named)
        if issuer is None or kind not in issuer.settings.accepts:
            return _UNKNOWN
        return await self._verify(token, parsed, issuer, now, key)

    async def _verify(
        self, token: str, parsed: Parsed, issuer: Issuer, now: float, key: bytes
    ) -> Finding:
        found = await verify(token, parsed, issuer, now)
        if not isinstance(found, Identity):
            return found
        if found.id.startswith(self._foreign[issuer.settings.issuer]):
            return _INVALID
        ring = issuer.source.current()
        if ring is not None:
            self.cache.put(key, Verified(found, issuer.source, ring))
        return found

    async def _ask(self, name: str, token: str, now: float) -> Finding:
        settings, inspector = self._asked[name]
        claims = await inspector.inspect(token, now)
        found = _INVALID if claims is None else identify_introspected(claims, settings, now)
        foreign = isinstance(found, Identity) and found.id.startswith(self._foreign[name])
        return _INVALID if foreign else found


def digest(kind: str, presented: str) -> bytes:
    """Where what was presented is remembered: SHA-256 over it and how it was presented."""
    return hashlib.sha256(f"{kind} {presented}".encode("utf-8", "surrogatepass")).digest()
