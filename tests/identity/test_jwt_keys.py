from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import HMACAlgorithm, get_default_algorithms
from minting import (
    NOW,
    SECRET,
    CountingKeys,
    b64,
    default_ring,
    encoded,
    judged_by,
    jwk,
    jwks,
    pem,
    private,
    rsa_key,
    settings,
    sign,
    static,
)

from pdp.errors import KeysUnavailable
from pdp.identity.algorithms import ALGORITHMS, HMAC
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import Key, KeySource, StaticKeys, ring_from_public_key, ring_from_secret
from pdp.model import Identity, Reason, Rejected

INVALID = Rejected(Reason.TOKEN_INVALID)


async def judged(
    token: str, source: KeySource | None = None, **changed: Any
) -> Identity | Rejected:
    return await judged_by(settings(**changed), source or static(), token, NOW)


GOOD = sign()
CLAIMS = GOOD.split(".")[1]
HEAD: dict[str, Any] = {"alg": "RS256", "kid": "k1"}


@pytest.mark.parametrize("alg", sorted(ALGORITHMS))
async def test_every_algorithm_family_is_accepted_when_right(alg: str) -> None:
    key = SECRET if alg in HMAC else private(alg)
    ring = ring_from_secret(SECRET) if alg in HMAC else ring_from_jwks(jwks(jwk(key, kid="k1")))
    who = await judged(sign(alg=alg, key=key), StaticKeys(ring), algorithms=(alg,))
    assert isinstance(who, Identity)
    assert (who.id, who.kid) == ("alice", None if alg in HMAC else "k1")


async def test_ed448_is_eddsa() -> None:
    ring = ring_from_public_key(pem(private("Ed448")))
    token = sign(alg="EdDSA", key=private("Ed448"))
    assert isinstance(await judged(token, StaticKeys(ring), algorithms=("EdDSA",)), Identity)


def confused_secrets() -> list[bytes]:
    public = rsa_key().public_key()
    return [
        pem(rsa_key()),
        pem(rsa_key()).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        json.dumps(jwk(rsa_key())).encode(),
        rsa_key().public_key().public_numbers().n.to_bytes(256, "big"),
    ]


@pytest.mark.parametrize("secret", confused_secrets(), ids=range(6))
@pytest.mark.parametrize("algorithms", [("RS256",), ("RS256", "HS256")])
async def test_a_public_key_never_serves_as_a_secret(
    secret: bytes, algorithms: tuple[str, ...]
) -> None:
    head = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{CLAIMS}"
    mac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(head.encode(), secret)
    assert await judged(f"{head}.{b64(mac)}", algorithms=algorithms) == INVALID


SIGNED = b"header.claims"
SHORT = bytes(range(31))


def made(alg: str, key: Any) -> bytes:
    """A genuine signature, by whatever key."""
    signature: bytes = get_default_algorithms()[alg].sign(SIGNED, key)
    return signature


@pytest.mark.parametrize("alg", sorted(ALGORITHMS))
def test_a_key_verifies_by_the_algorithms_it_is_for_and_by_no_other(alg: str) -> None:
    key = SECRET if alg in HMAC else private(alg)
    public = key if alg in HMAC else key.public_key()
    signature = made(alg, key)
    assert Key("k", frozenset({alg}), public).verifies(alg, SIGNED, signature)
    assert not Key("k", frozenset({alg}), public).verifies(alg, SIGNED + b"x", signature)
    assert not Key("k", frozenset(), public).verifies(alg, SIGNED, signature)
    others = Key("k", ALGORITHMS - {alg}, public)
    assert not any(others.verifies(other, SIGNED, signature) for other in ALGORITHMS | {"none"})


UNFIT: list[tuple[str, Any, bytes]] = [
    ("HS256", SHORT, made("HS256", SHORT)),
    ("HS512", SECRET[:63], made("HS512", SECRET[:63])),
    ("HS256", pem(rsa_key()), made("HS256", pem(rsa_key()))),
    ("HS256", rsa_key().public_key(), made("HS256", pem(rsa_key()))),
    ("RS256", rsa_key(1024).public_key(), made("RS256", rsa_key(1024))),
    ("PS256", rsa_key(1024).public_key(), made("PS256", rsa_key(1024))),
    ("ES256", private("ES384").public_key(), made("ES256", private("ES384"))),
    ("ES384", private("ES256").public_key(), made("ES384", private("ES256"))),
    ("ES256", rsa_key().public_key(), made("RS256", rsa_key())),
    ("RS256", private("ES256").public_key(), made("ES256", private("ES256"))),
    ("EdDSA", rsa_key().public_key(), made("RS256", rsa_key())),
    ("EdDSA", private("ES256").public_key(), made("ES256", private("ES256"))),
    ("RS256", SECRET, made("HS256", SECRET)),
    ("none", b"", b""),
    ("none", SECRET, b""),
]


@pytest.mark.parametrize(("alg", "material", "signature"), UNFIT, ids=range(len(UNFIT)))
def test_a_key_unfit_for_its_algorithm_verifies_nothing(
    alg: str, material: Any, signature: bytes
) -> None:
    assert not Key("k", frozenset({alg}), material).verifies(alg, SIGNED, signature)


@pytest.mark.parametrize("alg", sorted(ALGORITHMS))
@pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), bytes(256), b"\xff" * 10_000])
def test_odd_signatures_are_refused(alg: str, signature: bytes) -> None:
    material = SECRET if alg in HMAC else private(alg).public_key()
    assert not Key("k", frozenset({alg}), material).verifies(alg, SIGNED, signature)


def test_a_key_shows_and_compares_nothing_that_was_made_of_it() -> None:
    key = Key("k", frozenset({"HS256"}), SECRET)
    assert repr(key) == "Key(kid='k', algorithms=frozenset({'HS256'}))"
    assert key == Key("k", frozenset({"HS256"}), SECRET) != Key("k", frozenset({"HS256"}), SHORT)


@pytest.mark.parametrize(
    "published",
    [
        jwk(rsa_key(1024), kid="k1"),
        jwk(rsa_key(), kid="k1", use="enc"),
        jwk(rsa_key(), kid="k1", key_ops=["encrypt"]),
        jwk(rsa_key(), kid="k1", alg="PS256"),
    ],
)
async def test_a_weak_or_wrong_key_is_ignored(published: dict[str, Any]) -> None:
    ring = ring_from_jwks(jwks(published))
    size = 1024 if published["n"] == jwk(rsa_key(1024))["n"] else 2048
    assert await judged(sign(key=rsa_key(size)), StaticKeys(ring)) == INVALID


async def test_a_published_secret_is_ignored() -> None:
    ring = ring_from_jwks(jwks({"kty": "oct", "k": b64(SECRET), "kid": "k1"}))
    token = sign(alg="HS256", key=SECRET)
    assert await judged(token, StaticKeys(ring), algorithms=("HS256",)) == INVALID


async def test_a_poisoned_entry_leaves_the_others_working() -> None:
    entries = jwks(
        {"kty": "oct", "kid": "x"}, {"alg": "none", "kid": "y"}, jwk(rsa_key(), kid="k1")
    )
    assert isinstance(await judged(GOOD, StaticKeys(ring_from_jwks(entries))), Identity)


async def test_a_key_of_another_curve_does_not_fit() -> None:
    ring = ring_from_jwks(jwks(jwk(private("ES384"), kid="k1")))
    refused = await judged(sign(alg="ES256"), StaticKeys(ring), algorithms=("ES256", "ES384"))
    assert refused == INVALID


async def test_a_signature_by_another_key_is_refused() -> None:
    assert await judged(sign(key=rsa_key(2048, 1))) == INVALID


async def test_an_unknown_kid_refetches_once() -> None:
    token = sign(header={**HEAD, "kid": "k2"}, key=rsa_key(2048, 1))
    learned = CountingKeys(default_ring(), ring_from_jwks(jwks(jwk(rsa_key(2048, 1), kid="k2"))))
    assert isinstance(await judged(token, learned), Identity)
    in_vain = CountingKeys(default_ring())
    assert await judged(token, in_vain) == INVALID
    assert (learned.refetched, in_vain.refetched) == (1, 1)


@pytest.mark.parametrize(
    "token",
    [
        GOOD,
        sign(header={"alg": "RS256"}),
        sign(header={"alg": "PS256", "kid": "k1"}),
        sign(header={"alg": "RS256"}, key=rsa_key(2048, 1)),
        sign(header={"alg": "HS256", "kid": "k2"}),
        sign(header={"alg": "RS256", "kid": "k\n2"}),
        "a.b.c",
    ],
)
async def test_nothing_else_refetches(token: str) -> None:
    source = CountingKeys(ring_from_jwks(jwks(jwk(rsa_key(), kid="k1", alg="RS256"))))
    await judged(token, source, algorithms=("RS256", "PS256"))
    assert source.refetched == 0


async def test_a_kid_is_required_where_there_are_several_keys() -> None:
    two = jwks(jwk(rsa_key(), kid="k1"), jwk(rsa_key(2048, 1), kid="k2"))
    source = CountingKeys(ring_from_jwks(two))
    assert await judged(sign(header={"alg": "RS256"}), source) == INVALID
    assert isinstance(await judged(GOOD, source), Identity)
    assert source.refetched == 0


class Withdrawn(CountingKeys):
    async def after_unknown_kid(self) -> None:
        self.ring = None


@pytest.mark.parametrize("source", [CountingKeys(None), Withdrawn(default_ring())])
async def test_without_keys_there_is_no_decision(source: KeySource) -> None:
    with pytest.raises(KeysUnavailable) as caught:
        await judged(sign(header={**HEAD, "kid": "gone"}), source)
    assert "gone" not in str(caught.value)


async def test_a_malformed_token_needs_no_keys() -> None:
    assert await judged("a.b.c", CountingKeys(None)) == INVALID
