"""Keys of every kind and tokens by them, for tokens.py and tokens_flood.py."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from policies_made import ISSUER

KID = secrets.token_urlsafe(32)  # as long as the thumbprint of a key
RSA = rsa.generate_private_key(65_537, 2048)
KEYS: dict[str, Any] = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "PS256": RSA,
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "HS256": secrets.token_bytes(32),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS512": RSA,
}


def claims() -> dict[str, Any]:
    """What an ordinary access token says, of a subject that was never seen before."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": "api",
        "sub": str(uuid.uuid4()),
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + 3600,
        "scope": "openid read write",
        "realm_access": {"roles": ["member", "accountant"]},
    }


def sign(alg: str) -> str:
    return jwt.encode(claims(), KEYS[alg], alg, {"kid": KID})


def published(alg: str) -> bytes:
    entry = get_default_algorithms()[alg].to_jwk(KEYS[alg].public_key(), as_dict=True)
    return json.dumps({"keys": [{**entry, "kid": KID}]}).encode()
