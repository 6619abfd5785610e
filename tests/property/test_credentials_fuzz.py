"""Credentials that were tampered with: never a 5xx, never an allow, and nothing is echoed.

`PDP_FUZZ=N` makes up N of each sort, others every time.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from attacked import RUN, Attacked, attacked, runs
from credentialed import COOKIE, Presented, basic, bearer, key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from support import KEY, PEM, token
from tampering import BYTES, JSON, PLACE, fuzzed, tampered

sys.path.insert(0, str(Path(__file__).parent.parent / "identity"))

from minting import encoded, sign


@pytest.fixture(scope="module")
def pdp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("attacked")) as live:
        yield live


def field(presented: Presented) -> bytes:
    (value,) = presented.fields.values()
    return value.encode()


def secret(value: bytes) -> bytes:
    """What follows the scheme."""
    scheme, space, rest = value.partition(b" ")
    return rest if space and scheme.isalpha() else value


def meaning(value: bytes) -> tuple[bytes, bytes]:
    """What HTTP lets nobody tell apart: the case of a scheme, and blanks around its value."""
    scheme, _, rest = value.strip(b" \t").partition(b" ")
    return scheme.lower(), rest.lstrip(b" ")


GOOD = {
    "token": field(bearer()),
    "password": field(basic("bea")),
    "key": b"ApiKey " + key("robot").encode(),
}
TOKEN = token()


def check(pdp: Attacked, name: bytes, value: bytes, *, same: bool) -> None:
    said = pdp.forward(name, value)
    assert said.status in ((200,) if same else (400, 401)), said
    pdp.check_silence(said, secret(value))


@pytest.mark.parametrize("kind", GOOD)
@given(data=st.data())
@fuzzed
def test_an_authorization_that_was_tampered_with(
    pdp: Attacked, kind: str, data: st.DataObject
) -> None:
    value = data.draw(tampered(GOOD[kind]))
    check(pdp, b"Authorization", value, same=meaning(value) == meaning(GOOD[kind]))


@given(value=tampered(key("robot").encode()))
@fuzzed
def test_a_key_that_was_tampered_with(pdp: Attacked, value: bytes) -> None:
    check(pdp, b"X-API-Key", value, same=value.strip(b" \t") == key("robot").encode())


@given(value=tampered(TOKEN.encode()))
@fuzzed
def test_a_session_that_was_tampered_with(pdp: Attacked, value: bytes) -> None:
    said = pdp.forward(b"Cookie", f"a=1; {COOKIE}=".encode() + value)
    read = value.partition(b";")[0].strip(b" \t")
    same = read in (TOKEN.encode(), b'"%s"' % TOKEN.encode())
    assert said.status in ((200,) if same else (400, 401)), said
    pdp.check_silence(said, value)


@pytest.mark.parametrize("kind", ["Authorization", "X-API-Key", "Cookie"])
@given(value=BYTES | st.binary(max_size=200).map(lambda v: v.translate(None, b"\r\n")))
@fuzzed
def test_bytes_that_never_were_a_credential(pdp: Attacked, kind: str, value: bytes) -> None:
    check(pdp, kind.encode(), value, same=False)


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\0", b"\x7f", b"\x85", b"\xff", b"\r\n folded"])
def test_a_line_that_ends_otherwise(pdp: Attacked, kind: str, end: bytes) -> None:
    for value in (GOOD[kind][:-9] + end + GOOD[kind][-9:], GOOD[kind] + end + b"x"):
        said = pdp.forward(b"Authorization", value)
        assert said.status in (400, 401), said
        pdp.check_silence(said, secret(GOOD[kind]))


NAMES = ("alg", "typ", "kid", "crit", "jku", "jwk", "x5u", "x5c", "b64", "cty", "zip", "enc")
STRANGER = Ed25519PrivateKey.generate()
CLAIMS = {"iss": "https://idp.test/", "aud": "api", "sub": "alice", "exp": 4_000_000_000}


def signed(header: object, claims: object, how: str) -> str:
    head = f"{encoded(header)}.{encoded(claims)}"
    by = {
        "nobody": b"",
        "a stranger": STRANGER.sign(head.encode()),
        "the public key": jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            head.encode(), PEM
        ),
    }
    return f"{head}.{base64.urlsafe_b64encode(by[how]).rstrip(b'=').decode()}"


@given(
    header=st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["none", "HS256"])),
    alg=st.sampled_from(["EdDSA", "none", "NONE", "HS256", "HS512", "RS256", "ES256", "", "PS256"]),
    claims=st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "roles"]), JSON),
    how=st.sampled_from(["nobody", "a stranger", "the public key"]),
)
@fuzzed
def test_a_token_that_somebody_else_signed(
    pdp: Attacked, header: Mapping[str, Any], alg: str, claims: Mapping[str, Any], how: str
) -> None:
    made = signed({"alg": alg, **header}, {**CLAIMS, **claims}, how)
    check(pdp, b"Authorization", b"Bearer " + made.encode(), same=False)


@given(name=st.sampled_from(["iss", "aud", "sub", "cnf"]), value=JSON)
@fuzzed
def test_a_genuine_token_that_says_something_else(pdp: Attacked, name: str, value: Any) -> None:
    made = sign({**CLAIMS, name: value}, {"alg": "EdDSA"}, alg="EdDSA", key=KEY)
    said = pdp.forward(b"Authorization", b"Bearer " + made.encode())
    granted = name == "sub" and value in ("alice", "bob", "robot")
    assert said.status in ((200,) if granted else (401, 403)), said
    assert said.status == 401 or name == "sub"
    pdp.check_silence(said, made.encode())


MEMBERS = {
    "token": TOKEN,
    "authorization": GOOD["token"].decode(),
    "api_key": key("robot"),
    "cookie": f"{COOKIE}={TOKEN}",
}


@pytest.mark.parametrize("member", MEMBERS)
@given(text=st.text(max_size=40), place=PLACE, kept=st.booleans())
@fuzzed
def test_a_member_that_was_tampered_with(
    pdp: Attacked, member: str, text: str, place: float, kept: bool
) -> None:
    good = MEMBERS[member]
    start = int(place * len(good))
    value = good[:start] + text + (good[start:] if kept else "")
    asked = {"action": "GET", "resource": "/invoices/7", "context": {"country": "DE"}}
    said = pdp.decide(json.dumps({**asked, member: value}).encode())
    assert said.status in (200, 400), said
    if said.status == 200:
        verdict = json.loads(said.data.partition(b"\r\n\r\n")[2])
        harmless = value in (good, f"{good} ") or (member == "cookie" and _reads_same(value))
        harmless = harmless or meaning(value.encode("utf-8", "surrogatepass")) == meaning(
            good.encode()
        )
        assert harmless or verdict["status"] == 401, value
    pdp.check_silence(said, secret(good.removeprefix(f"{COOKIE}=").encode()))


def _reads_same(header: str) -> bool:
    pairs = [pair.partition("=") for pair in header.split(";")]
    return any((n.strip(), v.strip().strip('"')) == (COOKIE, TOKEN) for n, _, v in pairs)


@given(name=st.text(max_size=20), password=st.text(min_size=8, max_size=30))
@fuzzed
def test_names_and_passwords_of_any_kind(pdp: Attacked, name: str, password: str) -> None:
    value = base64.b64encode(f"{name}:{password}".encode("utf-8", "surrogatepass"))
    said = pdp.forward(b"Authorization", b"Basic " + value)
    assert said.status == 401, said
    pdp.check_silence(said, value, password.encode("utf-8", "surrogatepass"))


def test_the_search_for_echoes_finds_them() -> None:
    assert list(runs(b"abcdefghi")) == [b"abcdefgh", b"bcdefghi"]
    assert list(runs(b"00000000000")) == []


@pytest.mark.parametrize("logged", [True, False])
def test_an_echo_would_be_found(pdp: Attacked, logged: bool) -> None:
    said = pdp.forward(b"Authorization", GOOD["token"])
    pdp.check_silence(said, TOKEN.encode())
    said = pdp.forward(b"Authorization", GOOD["token"])
    if logged:
        logging.getLogger("some.library").debug("seen: %s", TOKEN[40:50])
    else:
        said = replace(said, data=said.data + TOKEN[:RUN].encode())
    with pytest.raises(AssertionError):
        pdp.check_silence(said, TOKEN.encode())
