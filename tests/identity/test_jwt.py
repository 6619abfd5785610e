from __future__ import annotations

import json
import time
from typing import Any

import jwt as pyjwt
import pytest
from minting import (
    ISSUER,
    NOW,
    PAYLOAD,
    claims,
    encoded,
    judged_by,
    jwk,
    rsa_key,
    settings,
    sign,
    static,
)

from pdp.identity.jwt import LONGEST_TOKEN, _known_header
from pdp.identity.keys import KeySource
from pdp.model import Identity, Reason, Rejected

INVALID = Rejected(Reason.TOKEN_INVALID)


async def judged(
    token: str, source: KeySource | None = None, **changed: Any
) -> Identity | Rejected:
    return await judged_by(settings(**changed), source or static(), token, NOW)


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"]
)
async def test_a_jwt_or_an_access_token_may_say_so(typ: str) -> None:
    token = sign(header={"alg": "RS256", "kid": "k1", "typ": typ})
    assert isinstance(await judged(token), Identity)


HEAD: dict[str, Any] = {"alg": "RS256", "kid": "k1"}

BAD_HEADERS: list[object] = [
    # 1: alg none, in any spelling; not on the list; absent
    *({**HEAD, "alg": alg} for alg in ("none", "nOnE", "NONE", "", "rs256", "RS512", "ES256K")),
    {"kid": "k1"},
    # 3: odd types
    *({**HEAD, "alg": alg} for alg in (["RS256"], {"RS256": 1}, 1, None, True)),
    *({**HEAD, "kid": kid} for kid in (1, None, ["k1"], {"k1": 1}, True)),
    # 4: kid injection
    *({**HEAD, "kid": kid} for kid in ("../../dev/null", "k1\n", "http://evil/", "", "k" * 256)),
    # 5: keys brought along
    *({**HEAD, name: "http://evil.example/"} for name in ("jku", "x5u")),
    {**HEAD, "jwk": jwk(rsa_key())},
    {**HEAD, "x5c": ["AAAA"]},
    # 6: critical extensions
    *({**HEAD, "crit": crit} for crit in (["x"], [], ["b64"], "b64")),
    {**HEAD, "b64": False, "crit": ["b64"]},
    {**HEAD, "b64": True},
    # 8: duplicates
    b'{"alg":"RS256","kid":"k1","kid":"k1"}',
    # 9: malformed
    b"[]",
    b'"RS256"',
    b"null",
    b"",
    b"{",
    b"\xef\xbb\xbf" + json.dumps(HEAD).encode(),
    json.dumps(HEAD).encode("utf-16"),
    b'{"alg":"RS256","kid":"k1","x":NaN}',
    b'{"alg":"RS256","kid":"k1","x":"\\ud800"}',
    b'{"alg":"RS256","kid":"k1","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    # 13: another kind of JWT
    *({**HEAD, "typ": typ} for typ in ("logout+jwt", "dpop+jwt", "", None, 1, ["JWT"])),
    {**HEAD, "typ": "\u212aWT"},
]


@pytest.mark.parametrize("header", BAD_HEADERS)
async def test_a_bad_header_is_an_invalid_token(header: object) -> None:
    assert await judged(sign(header=header)) == INVALID


@pytest.mark.parametrize("filler", [0, 200, 2_000])
async def test_a_header_that_was_read_before_vouches_for_nothing(filler: int) -> None:
    header = {**HEAD, "filler": "x" * filler}
    good = sign(header=header)
    head, body, signature = good.split(".")
    for _ in range(2):
        assert isinstance(await judged(good), Identity)
        assert await judged(f"{head}.{encoded(claims(sub='bob'))}.{signature}") == INVALID
        assert await judged(sign(header=header, key=rsa_key(2048, 1))) == INVALID
        assert await judged(f"{head}.{body}.AAAA") == INVALID
        assert await judged(good, algorithms=("PS256",)) == INVALID
        assert await judged(sign(header={**header, "crit": ["x"]})) == INVALID


async def test_only_short_headers_are_kept() -> None:
    kept = _known_header.cache_info().currsize
    assert isinstance(await judged(sign(header={**HEAD, "filler": "y" * 400})), Identity)
    assert _known_header.cache_info().currsize == kept


DEEP = [
    b'{"iss":"%s","x":' % ISSUER.encode() + b"[" * d + b'"\\u0041"' + b"]" * d + b"}"
    for d in (*range(960, 1000), 2000)
]

BAD_CLAIMS: list[object] = [
    b'{"iss":"%s","aud":"api","sub":"alice","sub":"bob","exp":1900000600}' % ISSUER.encode(),
    b'{"iss":"%s","aud":"api","sub":"alice","exp":NaN}' % ISSUER.encode(),
    b'{"iss":"%s","aud":"api","sub":"alice","exp":1e400}' % ISSUER.encode(),
    b"\xef\xbb\xbf" + json.dumps(PAYLOAD).encode(),
    json.dumps(PAYLOAD).encode("utf-16"),
    json.dumps(PAYLOAD).encode() + b"{}",
    b"[]",
    b"not json",
    *DEEP,
    claims("exp"),
    claims(exp="1900000600"),
    claims(exp=True),
    claims(sub=""),
    claims(cnf={"jkt": "x"}),
]


@pytest.mark.parametrize("payload", BAD_CLAIMS)
async def test_bad_claims_are_an_invalid_token(payload: object) -> None:
    assert await judged(sign(payload)) == INVALID


GOOD = sign()
HEADER, CLAIMS, SIGNATURE = GOOD.split(".")
FLIPPED = SIGNATURE[:9] + ("A" if SIGNATURE[9] != "A" else "B") + SIGNATURE[10:]

MALFORMED = [
    "",
    ".",
    "..",
    "...",
    "abc",
    f"{HEADER}.{CLAIMS}",
    f"{HEADER}.{CLAIMS}.",
    f".{CLAIMS}.{SIGNATURE}",
    f"{HEADER}..{SIGNATURE}",
    f"{GOOD}.",
    f"{GOOD}.{SIGNATURE}",
    f"{GOOD}=",
    f"{GOOD}==",
    f"{GOOD}\n",
    f" {GOOD}",
    f"{HEADER}.{CLAIMS}.{SIGNATURE[:-1]}",
    f"{HEADER}.{CLAIMS}.{SIGNATURE}A",
    f"{HEADER}.{CLAIMS}.{FLIPPED}",
    f"{HEADER}.{encoded(claims(sub='bob'))}.{SIGNATURE}",
    f"{HEADER}.{CLAIMS}.{'A' * 342}",
    f"{HEADER}.{CLAIMS}.{SIGNATURE[:-1]}{chr(ord(SIGNATURE[-1]) + 1)}",
    GOOD.replace(".", "\uff0e"),
    GOOD.replace("e", "\u0435", 1),
    "\ud800" + GOOD,
    GOOD + "\x00",
    "a" * 200_000,
    "." * 200_000,
    f"{HEADER}.{'A' * 200_000}.{SIGNATURE}",
    sign(claims(filler="x" * LONGEST_TOKEN)),
]


@pytest.mark.parametrize("token", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_malformed_token_is_refused_at_once(token: str) -> None:
    began = time.perf_counter()
    refused = await judged(token)
    assert refused == INVALID
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("iss", [ISSUER + "x", ISSUER.rstrip("/"), "", None, 1, [ISSUER], {}])
async def test_the_issuer_is_selected_exactly(iss: object) -> None:
    assert await judged(sign(claims(iss=iss))) == Rejected(Reason.ISSUER_UNKNOWN)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": NOW - 60}, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW + 60}, Reason.TOKEN_NOT_YET_VALID),
        ({"aud": "other"}, Reason.AUDIENCE_MISMATCH),
    ],
)
async def test_claims_are_judged_after_the_signature(
    changed: dict[str, Any], reason: Reason
) -> None:
    assert await judged(sign(claims(**changed))) == Rejected(reason)
    assert await judged(sign(claims(**changed), key=rsa_key(2048, 1))) == INVALID


async def test_pyjwt_is_not_asked_for_the_time() -> None:
    token = sign(claims(exp=1))
    with pytest.raises(pyjwt.ExpiredSignatureError):
        pyjwt.decode(token, rsa_key().public_key(), ["RS256"], audience="api")
    assert isinstance(await judged_by(settings(), static(), token, 0), Identity)
