"""Reads a JSON Web Key Set entry by entry, so that one bad entry spoils only itself (RFC 7517)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from pdp import strict_json
from pdp.identity import base64url
from pdp.identity.algorithms import RSA_MAXIMUM
from pdp.identity.keys import Key, KeyRing, PublicKey, algorithms_for, ring
from pdp.identity.text import is_name

Entry = Mapping[str, Any]

_CURVES: Final[Mapping[str, EllipticCurve]] = MappingProxyType(
    {"P-256": SECP256R1(), "P-384": SECP384R1(), "P-521": SECP521R1()}
)


def ring_from_jwks(data: bytes) -> KeyRing:
    """The usable keys of a JWKS document; ValueError, quoting nothing, if it is no key set.

    Left out: keys that are weak, secret, private, malformed, of an unknown type, or not meant
    for signatures, and every key whose `kid` another usable key has, too.
    """
    document = strict_json.loads(data)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a key set: no array `keys`")  # noqa: TRY004 - the document's fault
    keys = [key for key in map(_key, entries) if key is not None]
    times = Counter(key.kid for key in keys)
    return ring(key for key in keys if key.kid is None or times[key.kid] == 1)


def _key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or not _is_for_signatures(entry):
        return None
    kid = entry.get("kid")
    if kid is not None and not is_name(kid):
        return None
    try:
        public = _public_key(entry)
        algorithms = algorithms_for(public)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if "alg" in entry:
        algorithms &= frozenset({entry["alg"]} if isinstance(entry["alg"], str) else ())
    return Key(kid, algorithms, public) if algorithms else None


def _is_for_signatures(entry: Entry) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in entry  # a private key that was published is everybody's
    )


def _public_key(entry: Entry) -> PublicKey:
    kind = entry.get("kty")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError("unknown `kty`")
    return _KINDS[kind](entry)


def _bytes(entry: Entry, name: str) -> bytes:
    value = entry.get(name)
    if not isinstance(value, str):
        raise ValueError(f"no `{name}`")  # noqa: TRY004 - the document's fault
    return base64url.decode(value)


def _rsa(entry: Entry) -> PublicKey:
    modulus, exponent = _bytes(entry, "n"), _bytes(entry, "e")
    if max(len(modulus), len(exponent)) * 8 > RSA_MAXIMUM:
        raise ValueError("too long")
    return RSAPublicNumbers(
        int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")
    ).public_key()


def _elliptic(entry: Entry) -> PublicKey:
    name = entry.get("crv")
    if not isinstance(name, str) or name not in _CURVES:
        raise ValueError("unknown `crv`")
    curve, x, y = _CURVES[name], _bytes(entry, "x"), _bytes(entry, "y")
    if not len(x) == len(y) == (curve.key_size + 7) // 8:
        raise ValueError("wrong length of a coordinate")  # RFC 7518 §6.2.1.2
    return EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve
    ).public_key()


def _edwards(entry: Entry) -> PublicKey:
    if entry.get("crv") == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(_bytes(entry, "x"))
    if entry.get("crv") == "Ed448":
        return Ed448PublicKey.from_public_bytes(_bytes(entry, "x"))
    raise ValueError("unknown `crv`")


_KINDS: Final[Mapping[str, Callable[[Entry], PublicKey]]] = MappingProxyType(
    {"RSA": _rsa, "EC": _elliptic, "OKP": _edwards}
)
