"""Keys that verify signatures, each bound to the algorithms it may be used with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from jwt.algorithms import Algorithm, HMACAlgorithm

from pdp.identity.algorithms import (
    ALGORITHMS,
    BY_CURVE,
    EDDSA,
    HMAC_MINIMUM,
    RSA,
    RSA_MAXIMUM,
    RSA_MINIMUM,
)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey
Material = PublicKey | bytes

# A secret's fingerprint is worth nothing outside this process.
_PEPPER: Final = secrets.token_bytes(32)

_JWS: Final = jwt.PyJWS(sorted(ALGORITHMS))
_UNUSABLE: Final = (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError)
_Prepared = Mapping[str, tuple[Algorithm, Any]]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: a public key, or the bytes of a shared secret, which no repr shows."""

    kid: str | None
    algorithms: frozenset[str]
    material: Material = field(repr=False)
    _prepared: _Prepared = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prepared = {alg: _prepare(alg, self.material) for alg in self.algorithms}
        fit = {alg: found for alg, found in prepared.items() if found is not None}
        object.__setattr__(self, "_prepared", MappingProxyType(fit))

    def verifies(self, alg: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key made `signature` over `signed`, by an algorithm that it is for."""
        # INVARIANT: only what was found fit for `alg` is tried, so a public key is never a secret.
        if alg not in self._prepared:
            return False
        algorithm, material = self._prepared[alg]
        try:
            return algorithm.verify(signed, material, signature)
        except _UNUSABLE:
            return False  # refused as `token_invalid`


def _prepare(alg: str, material: Material) -> tuple[Algorithm, Any] | None:
    """How `material` verifies by `alg`; None if it is of another type or curve, or too short."""
    try:
        algorithm = _JWS.get_algorithm_by_name(alg)
        key = algorithm.prepare_key(material)
        return None if algorithm.check_key_length(key) else (algorithm, key)
    except (*_UNUSABLE, NotImplementedError):
        return None  # this key verifies nothing by `alg`


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The usable keys of one issuer; `version` differs whenever they do, for cache keys."""

    keys: tuple[Key, ...]
    version: str


class KeySource(Protocol):
    """Where an issuer's keys come from, as far as authentication needs to know."""

    def current(self) -> KeyRing | None:
        """The last good keys, without waiting; None if there never were any."""
        ...

    async def after_unknown_kid(self) -> KeyRing | None:
        """The keys after at most one bounded attempt to learn newer ones."""
        ...


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys that change only with the configuration."""

    ring: KeyRing | None

    def current(self) -> KeyRing | None:
        """The keys."""
        return self.ring

    async def after_unknown_kid(self) -> KeyRing | None:
        """The same keys: there is nowhere to look for others."""
        return self.ring


def ring(keys: Iterable[Key]) -> KeyRing:
    """These keys, with the version that follows from them, whatever their order."""
    kept = tuple(keys)
    digest = hashlib.sha256()
    for mark in sorted(_fingerprint(key) for key in kept):
        digest.update(mark)
    return KeyRing(kept, digest.hexdigest())


def _fingerprint(key: Key) -> bytes:
    name = repr((key.kid, sorted(key.algorithms))).encode("utf-8", "backslashreplace")
    material = key.material
    public = (
        material
        if isinstance(material, bytes)
        else material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    return hashlib.blake2b(hashlib.sha256(name).digest() + public, key=_PEPPER).digest()


def select(ring: KeyRing, kid: str | None, alg: str) -> Key | None:
    """The key that must have signed, or None.

    A `kid` is required where the ring holds several keys. A key without one answers to every
    `kid` that no other key has; two such keys for one algorithm are ambiguous.
    """
    if kid is None and len(ring.keys) > 1:
        return None
    exact = [key for key in ring.keys if key.kid == kid]
    candidates = exact or [key for key in ring.keys if None in {kid, key.kid}]
    fitting = [key for key in candidates if alg in key.algorithms]
    return fitting[0] if len(fitting) == 1 else None


def ring_from_public_key(pem: bytes) -> KeyRing:
    """The one public key of a PEM file; ValueError, quoting nothing, if it is not usable."""
    if pem.count(b"-----BEGIN ") != 1:
        raise ValueError("must hold exactly one PEM block")
    if b"PRIVATE KEY-----" in pem:
        raise ValueError("holds a private key where the public key belongs")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("does not hold a public key in PEM form") from None
    if not isinstance(key, PublicKey):
        raise ValueError("holds a kind of key that is not supported")  # noqa: TRY004 - a file's fault
    return ring([Key(None, algorithms_for(key), key)])


def ring_from_secret(data: bytes) -> KeyRing:
    """A shared secret, without trailing white space; ValueError if weak, or no secret at all."""
    secret = data.rstrip()
    algorithms = frozenset(a for a, least in HMAC_MINIMUM.items() if len(secret) >= least)
    if not algorithms:
        raise ValueError(f"is shorter than {min(HMAC_MINIMUM.values())} bytes")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ValueError("holds a key or certificate where a secret belongs") from None
    return ring([Key(None, algorithms, secret)])


def algorithms_for(key: PublicKey) -> frozenset[str]:
    """The algorithms that a public key may verify; ValueError if it is weak or unsupported."""
    if isinstance(key, RSAPublicKey):
        if not RSA_MINIMUM <= key.key_size <= RSA_MAXIMUM:
            raise ValueError(f"an RSA key must have at least {RSA_MINIMUM} bits")
        return RSA
    if isinstance(key, EllipticCurvePublicKey):
        if key.curve.name not in BY_CURVE:
            raise ValueError("the curve is not supported")
        return frozenset({BY_CURVE[key.curve.name]})
    return EDDSA
