from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
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
from pdp.identity.claims import search
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing
from pdp.identity.revocation import NONE, Revocations
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


@dataclass(frozen=True)
class Counted(Revocations):
    """Revocations that count how often they are asked."""

    asked: list[str] = field(default_factory=list)

    def refusal(self, identity: Identity) -> Reason | None:
        self.asked.append(identity.id)
        return super().refusal(identity)


PRESENTED = [Credentials(token=GOOD), Credentials(authorization=f"Bearer {GOOD}")]


REVOKED = pytest.mark.parametrize(
    ("revoked", "reason"),
    [
        (Revocations(sub=frozenset({"alice"})), Reason.TOKEN_REVOKED),
        (Revocations(kid=frozenset({"k1"})), Reason.TOKEN_REVOKED),
        (Revocations(account=frozenset({"alice"})), Reason.ACCOUNT_DISABLED),
        (Revocations(issued_before={"alice": NOW}), Reason.TOKEN_REVOKED),
    ],
)


@pytest.mark.parametrize("credentials", PRESENTED)
@REVOKED
async def test_what_is_new_is_refused_if_it_is_revoked(
    credentials: Credentials, revoked: Revocations, reason: Reason
) -> None:
    chain = authenticator()
    chain.revocations = revoked
    for _ in range(2):
        assert await chain.authenticate(credentials, NOW) == Rejected(reason)


@pytest.mark.parametrize("credentials", PRESENTED)
@REVOKED
async def test_what_is_remembered_is_refused_as_soon_as_it_is_revoked(
    credentials: Credentials, revoked: Revocations, reason: Reason
) -> None:
    chain = authenticator()
    for _ in range(2):
        assert isinstance(await chain.authenticate(credentials, NOW), Identity)
    for revocations, expected in ((revoked, reason), (NONE, None), (revoked, reason)):
        chain.revocations = revocations
        for _ in range(2):
            found = await chain.authenticate(credentials, NOW)
            assert getattr(found, "reason", None) == expected
    assert await chain.authenticate(credentials, NOW + 630) == Rejected(Reason.TOKEN_EXPIRED)


@pytest.mark.parametrize("credentials", PRESENTED)
async def test_revocations_are_asked_anew_when_they_are_replaced(credentials: Credentials) -> None:
    first, second = Counted(), Counted(account=frozenset({"alice"}))
    chain = authenticator()
    await chain.authenticate(credentials, NOW)
    for revocations in (first, second):
        chain.revocations = revocations
        for _ in range(9):
            await chain.authenticate(credentials, NOW)
    assert first.asked
    assert second.asked
    assert len(second.asked) < 9


NESTED = claims(r=["b", "a"], o={"x": [{"n": 2}, {"n": 1}]}, scope="write read")
EXPRESSIONS = [
    "r",
    "o.x",
    "sort(r)",
    "reverse(r)",
    "sort_by(o.x, &n)",
    "merge(o, {x: `[]`})",
    "map(&n, o.x)",
    "to_array(o)",
    "[r, scope, o][]",
    "o.x[?n > `1`] | [0]",
    "{roles: r, all: @}",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
async def test_whoever_searches_shared_claims_leaves_them_as_they_were(expression: str) -> None:
    asked = Caching()
    who, _ = await asked.ask(sign(NESTED))
    assert isinstance(who, Identity)
    before = copy.deepcopy(dict(who.claims))
    assert search(expression, who.claims) == search(expression, dict(who.claims)) != None  # noqa: E711
    assert dict(who.claims) == before
    with pytest.raises(TypeError):
        who.claims["r"] = []  # type: ignore[index]
