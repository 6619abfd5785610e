from __future__ import annotations

from typing import Any

from minting import (
    ISSUER,
    NOW,
    CountingKeys,
    claims,
    default_ring,
    jwk,
    jwks,
    rsa_key,
    settings,
    sign,
)

from pdp.identity.chain import Authenticator, Means
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing
from pdp.identity.settings import AuthenticationSettings
from pdp.identity.tokens import TokenCache, Verified, digest
from pdp.model import ANONYMOUS, Credentials, Identity, Reason, Rejected

GOOD = sign()
INVALID = Rejected(Reason.TOKEN_INVALID)


def authenticator(source: CountingKeys | None = None, **section: Any) -> Authenticator:
    given = AuthenticationSettings(**({"issuers": (settings(),)} | section))
    return Authenticator(given, Means({ISSUER: source or CountingKeys(default_ring())}))


NEW_RING = ring_from_jwks(jwks(jwk(rsa_key(), kid="k1"), jwk(rsa_key(2048, 1), kid="k2")))


class Caching:
    """An authenticator whose source tells whether a token was verified or remembered."""

    def __init__(self, ring: KeyRing | None = None, **section: Any) -> None:
        self.source = CountingKeys(ring or default_ring())
        self.chain = authenticator(self.source, **section)

    async def ask(self, token: str, now: float = NOW) -> tuple[Identity | Rejected, int]:
        before = self.source.looked
        found = await self.chain.authenticate(Credentials(token=token), now)
        return found, self.source.looked - before


async def test_a_hit_does_not_verify_again() -> None:
    asked = Caching()
    first, looked = await asked.ask(GOOD)
    again, looked_again = await asked.ask(GOOD)
    assert again is first
    assert looked_again == 1 < looked


async def test_a_hit_is_never_served_past_expiry() -> None:
    asked = Caching()
    (who, _) = await asked.ask(GOOD)
    assert isinstance(who, Identity)
    assert who.expires == NOW + 630
    last, _ = await asked.ask(GOOD, NOW + 629.9)
    assert last is who
    late, _ = await asked.ask(GOOD, NOW + 630)
    assert late == Rejected(Reason.TOKEN_EXPIRED)


async def test_a_withdrawn_key_ends_what_it_signed() -> None:
    asked = Caching()
    await asked.ask(GOOD)
    asked.source.ring = ring_from_jwks(jwks(jwk(rsa_key(2048, 1), kid="k2")))
    assert (await asked.ask(GOOD))[0] == INVALID


async def test_other_keys_mean_another_verification() -> None:
    asked = Caching()
    first, _ = await asked.ask(GOOD)
    asked.source.ring = NEW_RING
    second, _ = await asked.ask(GOOD)
    assert second == first
    assert second is not first


async def test_refused_tokens_are_not_kept() -> None:
    asked = Caching()
    for token in ("a.b.c", sign(claims(exp=1)), sign(key=rsa_key(2048, 1))):
        await asked.ask(token)
    assert len(asked.chain.tokens.cache) == 0


async def test_the_cache_is_bounded_and_forgets_the_least_recently_used() -> None:
    asked = Caching(token_cache_size=2)
    tokens = [sign(claims(sub=name)) for name in ("a", "b", "c")]
    for token in (tokens[0], tokens[1], tokens[0], tokens[2]):
        await asked.ask(token)
    assert len(asked.chain.tokens.cache) == 2
    assert (await asked.ask(tokens[0]))[1] == 1
    assert (await asked.ask(tokens[1]))[1] > 1


async def test_a_cache_of_size_zero_keeps_nothing() -> None:
    asked = Caching(token_cache_size=0)
    await asked.ask(GOOD)
    assert len(asked.chain.tokens.cache) == 0
    assert isinstance((await asked.ask(GOOD))[0], Identity)


def test_the_cache_tells_tokens_and_ways_apart() -> None:
    cache, keys = TokenCache(9), CountingKeys(default_ring())
    found = Verified(ANONYMOUS, keys, default_ring())
    cache.put(digest("bearer", "t"), found)
    assert cache.get(digest("bearer", "t")) is found
    assert cache.get(digest("bearer", "u")) is None
    assert cache.get(digest("cookie", "t")) is None
    keys.ring = NEW_RING
    assert not found.current()


async def test_an_unknown_kid_is_cached_under_the_keys_it_brought() -> None:
    asked = Caching()
    asked.source.later = NEW_RING
    token = sign(header={"alg": "RS256", "kid": "k2"}, key=rsa_key(2048, 1))
    assert isinstance((await asked.ask(token))[0], Identity)
    assert (await asked.ask(token))[1] == 1
