"""Real keys and tokens of every sort, the ill-formed ones included."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from pdp.identity.issuer import IssuerSettings
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import KeyRing, KeySource, StaticKeys
from pdp.identity.settings import AuthenticationSettings
from pdp.identity.tokens import Finding, Tokens

NOW = 1_900_000_000.0
ISSUER = "https://idp.example.com/"
SECRET = bytes(range(64))
PAYLOAD: Mapping[str, Any] = {"iss": ISSUER, "aud": "api", "sub": "alice", "exp": NOW + 600}

Private = Any
CURVES: Mapping[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@functools.cache
def _rsa_key(bits: int, number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    return _rsa_key(bits, number)


@functools.cache
def private(alg: str) -> Private:
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg]())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa_key()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value: object) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def sign(
    claims: object = PAYLOAD, header: object = None, *, alg: str = "RS256", key: Any = None
) -> str:
    """A token whose signature is good for `alg`, whatever header and claims say."""
    shown = {"alg": alg, "typ": "JWT", "kid": "k1"} if header is None else header
    head = f"{encoded(shown)}.{encoded(claims)}"
    by = private(alg) if key is None else key
    signature = get_default_algorithms()[alg].sign(head.encode(), by)
    return f"{head}.{b64(signature)}"


def claims(*without: str, **changed: Any) -> dict[str, Any]:
    merged = {**PAYLOAD, **changed}
    return {name: value for name, value in merged.items() if name not in without}


def jwk(key: Any, **extra: Any) -> dict[str, Any]:
    public = key.public_key() if hasattr(key, "public_key") else key
    return {**_jwk(public), **extra}


def _jwk(public: Any) -> dict[str, Any]:
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        n, e = (v.to_bytes((v.bit_length() + 7) // 8, "big") for v in (numbers.n, numbers.e))
        return {"kty": "RSA", "n": b64(n), "e": b64(e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.key_size + 7) // 8
        crv = {256: "P-256", 384: "P-384", 521: "P-521"}.get(public.key_size, "?")
        if public.curve.name == "secp256k1":
            crv = "secp256k1"
        x, y = (b64(v.to_bytes(size, "big")) for v in (point.x, point.y))
        return {"kty": "EC", "crv": crv, "x": x, "y": y}
    crv = "Ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else "Ed448"
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": crv, "x": b64(raw)}


def jwks(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def settings(**changed: Any) -> IssuerSettings:
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": ("api",),
        "algorithms": ("RS256",),
        "jwks_file": "jwks.json",
    }
    return IssuerSettings(**(given | changed))


@functools.cache
def default_ring() -> KeyRing:
    return ring_from_jwks(jwks(jwk(rsa_key(), kid="k1")))


class CountingKeys:
    """A KeySource that counts its calls and may learn another ring on a refetch."""

    def __init__(self, ring: KeyRing | None, later: KeyRing | None = None) -> None:
        self.ring = ring
        self.later = later
        self.looked = 0
        self.refetched = 0

    def current(self) -> KeyRing | None:
        self.looked += 1
        return self.ring

    async def after_unknown_kid(self) -> KeyRing | None:
        self.refetched += 1
        self.ring = self.later or self.ring
        return self.ring


def static(ring: KeyRing | None = None) -> KeySource:
    return StaticKeys(ring or default_ring())


async def judged_by(issuer: IssuerSettings, source: KeySource, token: str, now: float) -> Finding:
    """What an issuer's keys say of a token."""
    section = AuthenticationSettings(issuers=(issuer,), token_cache_size=0)
    tokens = Tokens(section, {issuer.issuer: source}, {})
    return await tokens.find(token, "bearer", now, b"")
