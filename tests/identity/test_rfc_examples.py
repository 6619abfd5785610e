"""The examples of the RFCs, section by section: keys, tokens and answers that are not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from minting import judged_by, jwks, settings, static

from pdp.identity import base64url
from pdp.identity.introspection import identify_introspected, read_answer
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.jwt import parse
from pdp.identity.keys import KeyRing, ring_from_secret, select
from pdp.identity.tokens import Finding
from pdp.model import Identity, Reason, Rejected

BEFORE = 1_300_819_000.0  # the `exp` of RFC 7519 §3.1 is 1300819380
CLAIMS = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)

RFC7515_A1 = (
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
A1_SECRET = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

RFC7515_A2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
    "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
    "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A2_KEY = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d"
        "4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexM"
        "dbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvU"
        "K-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
RFC7515_A3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC8037_A4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC8037_A2 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC7517_A1 = [
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "use": "enc",
        "kid": "1",
    },
    {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
            "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
            "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
            "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        ),
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    },
]


@dataclass(frozen=True)
class Example:
    """A token of an RFC, and the keys that its section gives."""

    section: str
    token: str
    alg: str
    ring: KeyRing


EXAMPLES = [
    Example("RFC 7515 A.1", RFC7515_A1, "HS256", ring_from_secret(base64url.decode(A1_SECRET))),
    Example("RFC 7515 A.2", RFC7515_A2, "RS256", ring_from_jwks(jwks(A2_KEY))),
    Example("RFC 7515 A.3", RFC7515_A3, "ES256", ring_from_jwks(jwks(A3_KEY))),
]
examples = pytest.mark.parametrize("example", EXAMPLES, ids=[e.section for e in EXAMPLES])
NOT_JSON = Example("RFC 8037 A.4", RFC8037_A4, "EdDSA", ring_from_jwks(jwks(RFC8037_A2)))


async def judged(example: Example, token: str | None = None, **changed: Any) -> Finding:
    given = {"issuer": "joe", "algorithms": (example.alg,), **changed}
    return await judged_by(settings(**given), static(example.ring), token or example.token, BEFORE)


def spoilt(token: str) -> str:
    """The token with one bit of its signature turned."""
    head, _, signature = token.rpartition(".")
    other = "A" if signature[0] != "A" else "B"
    return f"{head}.{other}{signature[1:]}"


def signed(example: Example, token: str) -> bool:
    key = select(example.ring, None, example.alg)
    assert key is not None
    head, _, signature = token.rpartition(".")
    return key.verifies(example.alg, head.encode(), base64url.decode(signature))


@pytest.mark.parametrize("example", [*EXAMPLES, NOT_JSON], ids=lambda e: e.section)
def test_the_signature_verifies_and_no_other_does(example: Example) -> None:
    assert signed(example, example.token)
    assert not signed(example, spoilt(example.token))


@examples
async def test_rfc_7519_section_3_1_has_no_audience(example: Example) -> None:
    """`iss`, `exp` and a private claim, but no `aud`: genuine, and for nobody."""
    said = {"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": True}
    assert parse(example.token).claims == said
    assert await judged(example) == Rejected(Reason.AUDIENCE_MISMATCH)


@examples
async def test_what_is_wrong_before_that_is_told_first(example: Example) -> None:
    assert await judged(example, spoilt(example.token)) == Rejected(Reason.TOKEN_INVALID)
    assert await judged(example, issuer="joe2") == Rejected(Reason.ISSUER_UNKNOWN)
    assert await judged(example, algorithms=("PS256",)) == Rejected(Reason.TOKEN_INVALID)


async def test_rfc_7519_section_6_1_is_unsecured() -> None:
    token = f"eyJhbGciOiJub25lIn0.{CLAIMS}."
    for example in EXAMPLES:
        assert await judged(example, token) == Rejected(Reason.TOKEN_INVALID)


async def test_rfc_8037_appendix_a_4_is_no_jwt() -> None:
    found = await judged(NOT_JSON)
    assert found == Rejected(Reason.TOKEN_INVALID)


async def test_no_key_verifies_for_another_algorithm() -> None:
    for example in EXAMPLES:
        for other in EXAMPLES:
            key = select(other.ring, None, example.alg)
            assert (key is not None) == (other is example)


def test_rfc_7517_appendix_a_1_holds_one_key_for_signatures() -> None:
    (key,) = ring_from_jwks(jwks(*RFC7517_A1)).keys
    assert (key.kid, key.algorithms) == ("2011-04-29", frozenset({"RS256"}))


def test_rfc_7517_appendix_a_2_is_private_and_no_key_of_ours() -> None:
    assert ring_from_jwks(jwks({**A2_KEY, "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulw"})).keys == ()


RFC7662_2_2 = b"""{
    "active": true,
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "scope": "read write dolphin",
    "sub": "Z5O3upPC88QrAjx00dis",
    "aud": "https://protected.example.net/resource",
    "iss": "https://server.example.com/",
    "exp": 1419356238,
    "iat": 1419350238,
    "extension_field": "twenty-seven"
}"""
ASKED = {
    "issuer": "https://server.example.com/",
    "jwks_file": None,
    "introspection_url": "https://server.example.com/introspect",
    "algorithms": (),
    "audiences": ("https://protected.example.net/resource",),
}


def introspected(now: float, **changed: Any) -> Finding:
    claims = read_answer(RFC7662_2_2)
    assert claims is not None
    return identify_introspected(claims, settings(**{**ASKED, **changed}), now)


def test_rfc_7662_section_2_2_says_whose_token_it_is() -> None:
    found = introspected(1_419_350_300)
    assert isinstance(found, Identity)
    assert (found.id, found.issuer) == ("Z5O3upPC88QrAjx00dis", "https://server.example.com/")
    assert found.claims["scope"] == ["read", "write", "dolphin"]
    assert found.claims["extension_field"] == "twenty-seven"
    assert "active" not in found.claims


def test_rfc_7662_section_2_2_is_for_one_service_and_a_while() -> None:
    assert introspected(1_419_356_300) == Rejected(Reason.TOKEN_EXPIRED)
    assert introspected(1_419_350_300, audiences=("x",)) == Rejected(Reason.AUDIENCE_MISMATCH)
    assert introspected(1_419_350_300, issuer="x") == Rejected(Reason.ISSUER_UNKNOWN)
    assert read_answer(b'{\n    "active": false\n}') is None
