"""Signs development tokens, and makes keys to sign them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pdp.identity.algorithms import ALGORITHMS
from pdp.identity.issuer import IssuerSettings
from pdp.identity.keys import Key, KeyRing, Material, algorithms_for, ring_from_secret

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

_LARGEST: Final = 1_048_576  # bytes of a key file
_JWS: Final = jwt.PyJWS(sorted(ALGORITHMS), {"enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs, what verifies, and by which algorithms; no repr shows either."""

    algorithms: frozenset[str]
    private: PrivateKey | bytes = field(repr=False)
    public: Material = field(repr=False)


def fresh_key() -> SigningKey:
    """A new Ed25519 key."""
    return _asymmetric(Ed25519PrivateKey.generate())


def pem_pair(key: SigningKey) -> tuple[bytes, bytes]:
    """The private and the public half of an asymmetric key, in PEM form."""
    if isinstance(key.private, bytes) or isinstance(key.public, bytes):
        raise TypeError("a secret has no halves")
    private = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_key_file(path: Path) -> SigningKey:
    """The key of a PEM or secret file; OSError, or ValueError that quotes nothing of it."""
    with path.open("rb") as opened:
        data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("is too large for a key")
    return read_key(data)


def read_key(data: bytes) -> SigningKey:
    """A private key in PEM form, or else a shared secret; ValueError if it is not usable."""
    if b"-----BEGIN " not in data:
        (key,) = ring_from_secret(data).keys
        if not isinstance(key.material, bytes):  # pragma: no cover - the type of a secret
            raise TypeError
        return SigningKey(key.algorithms, key.material, key.material)
    try:
        private = load_pem_private_key(data, None)
    except TypeError:
        raise ValueError("is encrypted: decrypt it first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("does not hold a private key in PEM form") from None
    if not isinstance(private, PrivateKey):
        raise ValueError("holds a kind of key that is not supported")  # noqa: TRY004 - a file's fault
    return _asymmetric(private)


def _asymmetric(private: PrivateKey) -> SigningKey:
    public = private.public_key()
    return SigningKey(algorithms_for(public), private, public)


def sign(
    key: SigningKey, claims: Mapping[str, Any], issuer: IssuerSettings, kid: str | None
) -> str:
    """A signed token; ValueError if the issuer accepts no algorithm of this key."""
    algorithm = next((name for name in issuer.algorithms if name in key.algorithms), None)
    if algorithm is None:
        accepted, able = ", ".join(issuer.algorithms), ", ".join(sorted(key.algorithms))
        raise ValueError(f"signs with {able}, but `{issuer.issuer}` accepts {accepted} only")
    headers = None if kid is None else {"kid": kid}
    return _JWS.encode(msgspec.json.encode(claims), key.private, algorithm, headers)


def counterpart(key: SigningKey, ring: KeyRing) -> Key | None:
    """The key of an issuer's ring that verifies what `key` signs."""
    wanted = _public_bytes(key.public)
    return next((other for other in ring.keys if _public_bytes(other.material) == wanted), None)


def _public_bytes(material: Material) -> bytes:
    if isinstance(material, bytes):
        return material
    return material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
