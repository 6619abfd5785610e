"""The signature algorithms we accept, by the kind of key they need (RFC 7518, RFC 8037)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

HMAC_MINIMUM: Final[Mapping[str, int]] = MappingProxyType(
    {"HS256": 32, "HS384": 48, "HS512": 64}
)  # bytes: a key as long as the hash, RFC 7518 §3.2
RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
RSA_MINIMUM: Final = 2048  # bits, RFC 7518 §3.3
RSA_MAXIMUM: Final = 16_384  # bits: verifying with more costs too much
BY_CURVE: Final[Mapping[str, str]] = MappingProxyType(
    {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
)
EDDSA: Final = frozenset({"EdDSA"})

HMAC: Final = frozenset(HMAC_MINIMUM)
ASYMMETRIC: Final = RSA | EDDSA | frozenset(BY_CURVE.values())
ALGORITHMS: Final = HMAC | ASYMMETRIC
