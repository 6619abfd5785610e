"""Published keys that were tampered with: they verify nothing, and spoil no other key."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tampering import JSON, fuzzed, tampered

sys.path.insert(0, str(Path(__file__).parent.parent / "identity"))

from minting import CURVES, jwk, jwks, private, sign

from pdp.identity.jwks import ring_from_jwks
from pdp.identity.jwt import parse
from pdp.identity.keys import select

ENTRIES = {alg: jwk(private(alg), kid="k1") for alg in ("RS256", "EdDSA", *CURVES)}
NEIGHBOUR = jwk(Ed25519PrivateKey.generate(), kid="k2")
MATERIAL = frozenset({"n", "e", "x", "y", "crv", "kty"})


@pytest.mark.parametrize("alg", ENTRIES)
@given(data=st.data())
@fuzzed
def test_a_published_key_that_was_tampered_with(alg: str, data: st.DataObject) -> None:
    entry = dict(ENTRIES[alg])
    name = data.draw(st.sampled_from([*entry, "use", "key_ops", "alg", "d", "k"]))
    text = str(entry.get(name, "")).encode()
    entry[name] = data.draw(JSON | tampered(text).map(lambda value: value.decode("latin-1")))
    ring = ring_from_jwks(jwks(entry, NEIGHBOUR)) if _strict(entry) else None
    if ring is None:
        return
    assert [key.kid for key in ring.keys if key.kid == "k2"] == (
        ["k2"] if entry["kid"] != "k2" else []
    )
    made = sign({}, {"alg": alg, "kid": "k1"}, alg=alg, key=private(alg))
    found = select(ring, "k1", alg)
    if found is not None and found.verifies(
        alg, made.rpartition(".")[0].encode(), parse(made).signature
    ):
        assert entry["kid"] in ("k1", None)
        assert all(entry.get(n) == v for n, v in ENTRIES[alg].items() if n in MATERIAL)


def _strict(entry: Mapping[str, Any]) -> bool:
    try:
        json.dumps(entry, allow_nan=False).encode()
    except ValueError:
        return False
    return True
