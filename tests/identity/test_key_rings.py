from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from minting import SECRET, b64, jwk, jwks, pem, private, rsa_key

from pdp.identity.algorithms import EDDSA, HMAC, RSA
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import (
    Key,
    KeyRing,
    StaticKeys,
    ring,
    ring_from_public_key,
    ring_from_secret,
    select,
)

KINDS = [
    ("RS256", RSA),
    ("ES256", {"ES256"}),
    ("ES384", {"ES384"}),
    ("ES512", {"ES512"}),
    ("EdDSA", EDDSA),
    ("Ed448", EDDSA),
]


@pytest.mark.parametrize(("kind", "algorithms"), KINDS)
def test_a_key_is_bound_to_the_algorithms_of_its_type(kind: str, algorithms: set[str]) -> None:
    (published,) = ring_from_jwks(jwks(jwk(private(kind), kid="a"))).keys
    (filed,) = ring_from_public_key(pem(private(kind))).keys
    assert published.algorithms == filed.algorithms == algorithms
    assert (published.kid, filed.kid) == ("a", None)


EC = jwk(private("ES256"))
RSA_JWK = jwk(rsa_key())
OKP = jwk(private("EdDSA"))
PRIVATE_D = b64(b"\1" * 32)

BAD_ENTRIES: list[object] = [
    jwk(rsa_key(1024)),
    {**RSA_JWK, "use": "enc"},
    {**RSA_JWK, "use": None},
    {**RSA_JWK, "key_ops": ["encrypt"]},
    {**RSA_JWK, "key_ops": "verify"},
    {"kty": "oct", "k": b64(SECRET)},
    {"kty": "oct"},
    {**RSA_JWK, "alg": "none"},
    {**RSA_JWK, "alg": "HS256"},
    {**RSA_JWK, "alg": "ES256"},
    {**RSA_JWK, "alg": "RSA-OAEP"},
    {**RSA_JWK, "alg": ["RS256"]},
    {**EC, "alg": "ES384"},
    {**RSA_JWK, "kid": 1},
    {**RSA_JWK, "kid": "a\nb"},
    {**RSA_JWK, "kid": ""},
    {**RSA_JWK, "n": 5},
    {**RSA_JWK, "n": "***"},
    {**RSA_JWK, "n": RSA_JWK["n"] + "="},
    {**RSA_JWK, "n": b64(b"\xff" * 3000)},
    {**RSA_JWK, "e": b64(b"\2")},
    {"kty": "RSA", "e": "AQAB"},
    {**RSA_JWK, "d": PRIVATE_D},
    {**EC, "crv": "P-384"},
    {**EC, "crv": "P-999"},
    {**EC, "crv": ["P-256"]},
    {**EC, "x": b64(b"\1" * 32)},
    {**EC, "x": b64(b"\1" * 31)},
    jwk(ec.generate_private_key(ec.SECP256K1())),
    {**OKP, "crv": "X25519"},
    {**OKP, "x": b64(b"short")},
    {**RSA_JWK, "kty": "quantum"},
    {**RSA_JWK, "kty": ["RSA"]},
    {},
    None,
    "key",
    [],
]


@pytest.mark.parametrize("entry", BAD_ENTRIES)
def test_a_bad_entry_spoils_only_itself(entry: object) -> None:
    kept = ring_from_jwks(jwks(entry, jwk(private("ES256"), kid="good"))).keys
    assert [key.kid for key in kept] == ["good"]


@pytest.mark.parametrize("extra", [{"use": "sig"}, {"key_ops": ["sign", "verify"]}])
def test_an_entry_for_signatures_is_used(extra: dict[str, Any]) -> None:
    assert len(ring_from_jwks(jwks({**RSA_JWK, **extra})).keys) == 1


def test_an_alg_narrows_the_algorithms() -> None:
    (key,) = ring_from_jwks(jwks({**RSA_JWK, "alg": "PS256"})).keys
    assert key.algorithms == {"PS256"}


def test_keys_that_share_a_kid_are_left_out() -> None:
    shared = jwks(
        jwk(private("ES256"), kid="a"), jwk(rsa_key(), kid="a"), jwk(private("ES384"), kid="b")
    )
    assert [key.kid for key in ring_from_jwks(shared).keys] == ["b"]


def test_an_unusable_key_does_not_spoil_the_kid_it_shares() -> None:
    entries = jwks(jwk(rsa_key(), kid="a", use="enc"), jwk(private("ES256"), kid="a"))
    assert len(ring_from_jwks(entries).keys) == 1


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [', b"\xff", b'{"keys":[],"keys":[]}', b"null"],
)
def test_what_is_no_key_set_raises_value_error(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[^\xff]*$"):
        ring_from_jwks(document)


def test_an_empty_key_set_is_an_empty_ring() -> None:
    assert ring_from_jwks(b'{"keys": []}').keys == ()


def test_the_version_follows_the_keys_and_not_their_order() -> None:
    a, b = jwk(rsa_key(), kid="a"), jwk(private("ES256"), kid="b")
    versions = {ring_from_jwks(jwks(*order)).version for order in ((a, b), (b, a))}
    assert len(versions) == 1
    others = [(a,), (b,), (), ({**a, "kid": "c"}, b), ({**a, "alg": "RS256"}, b)]
    versions |= {ring_from_jwks(jwks(*other)).version for other in others}
    versions |= {ring_from_secret(SECRET).version, ring_from_secret(SECRET[1:]).version}
    assert len(versions) == 8


@pytest.mark.parametrize(
    ("size", "algorithms"),
    [
        (32, {"HS256"}),
        (47, {"HS256"}),
        (48, {"HS256", "HS384"}),
        (63, {"HS256", "HS384"}),
        (64, HMAC),
    ],
)
def test_a_secret_serves_the_algorithms_it_is_long_enough_for(
    size: int, algorithms: set[str]
) -> None:
    (key,) = ring_from_secret(b"\xe9" * size + b" \r\n").keys
    assert key.algorithms == algorithms
    assert key.material == b"\xe9" * size


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"x" * 31, b"x" * 31 + b"\n\n", pem(rsa_key()), json.dumps(EC).encode()]
)
def test_what_is_weak_or_no_secret_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(is shorter|holds a key)"):
        ring_from_secret(data)


def test_a_secret_is_in_no_repr_and_in_no_version() -> None:
    made = ring_from_secret(b"correct horse battery staple 12345")
    assert "horse" not in repr(made)
    assert "material" not in repr(made)


def private_pem() -> bytes:
    return rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "exactly one PEM block"),
        (pem(rsa_key()) * 2, "exactly one PEM block"),
        (private_pem(), "private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "does not hold"),
        (public_pem(x25519.X25519PrivateKey.generate()), "not supported"),
        (public_pem(dsa.generate_private_key(2048)), "not supported"),
        (pem(rsa_key(1024)), "at least 2048 bits"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "curve is not supported"),
    ],
)
def test_an_unusable_public_key_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ring_from_public_key(data)
    assert "BEGIN" not in str(caught.value)


def key(kid: str | None, *algorithms: str) -> Key:
    return Key(kid, frozenset(algorithms), SECRET)


SELECTIONS: list[tuple[list[Key], str | None, str, int | None]] = [
    ([key("a", "RS256")], "a", "RS256", 0),
    ([key("a", "RS256")], "b", "RS256", None),
    ([key("a", "RS256")], "A", "RS256", None),
    ([key("a", "RS256")], None, "RS256", 0),
    ([key("a", "RS256")], "a", "HS256", None),
    ([key("a", "RS256")], None, "HS256", None),
    ([key("a", "RS256"), key("b", "ES256")], None, "ES256", None),
    ([key("a", "RS256"), key("b", "RS256")], "b", "RS256", 1),
    ([key(None, "RS256")], "any", "RS256", 0),
    ([key(None, "RS256")], None, "RS256", 0),
    ([key(None, "RS256"), key("a", "RS256")], "a", "RS256", 1),
    ([key(None, "RS256"), key("a", "RS256")], "b", "RS256", 0),
    ([key(None, "RS256"), key("a", "ES256")], "a", "RS256", None),
    ([key(None, "RS256"), key(None, "ES256")], "x", "ES256", 1),
    ([key(None, "RS256"), key(None, "RS256")], "x", "RS256", None),
    ([], "a", "RS256", None),
    ([], None, "RS256", None),
]


@pytest.mark.parametrize(("keys", "kid", "alg", "index"), SELECTIONS)
def test_a_key_is_selected_by_kid_and_algorithm(
    keys: list[Key], kid: str | None, alg: str, index: int | None
) -> None:
    assert select(ring(keys), kid, alg) is (None if index is None else keys[index])


async def test_static_keys_know_no_others() -> None:
    made = KeyRing((), "v")
    source = StaticKeys(made)
    assert source.current() is made
    assert await source.after_unknown_kid() is made
