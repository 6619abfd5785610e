"""`pdp token`: tokens that the PDP accepts, and clear words where there can be none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cli_runs import Ran, pdp, write_pair
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm

from pdp.cli.minting import fresh_key, pem_pair, read_key
from pdp.cli.times import parse_duration, parse_time

LAYER = """[[layers]]
name = "one"
kind = "grant"
model = "model.conf"
policy = "policy.csv"
"""
ISSUER = """[[authentication.issuers]]
issuer = "https://{name}.test/"
subject_prefix = "{prefix}"
audiences = ["api", "other"]
algorithms = ["{algorithm}"]
{more}
"""
PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65_537, 2_048),
}
SECRET = "0123456789abcdef" * 4


def pem(key: Any, encryption: Any = None) -> bytes:
    how = encryption or NoEncryption()
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    return made


def issuer(algorithm: str, more: str, name: str = "idp", prefix: str = "") -> str:
    return ISSUER.format(algorithm=algorithm, more=more, name=name, prefix=prefix)


def directory_for(place: Path, algorithm: str = "EdDSA", more: str = "") -> Path:
    """A directory that accepts tokens of `algorithm`, with `key` beside it."""
    if algorithm.startswith("HS"):
        toml = issuer(algorithm, f'secret_file = "secret"\n{more}')
        directory = write_pair(place / "policies", toml=toml + LAYER)
        for file in (directory / "secret", place / "key"):
            file.write_text(SECRET + "\n")
        return directory
    toml = issuer(algorithm, f'public_key_file = "public.pem"\n{more}')
    directory = write_pair(place / "policies", toml=toml + LAYER)
    public = PRIVATE[algorithm].public_key()
    (directory / "public.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (place / "key").write_bytes(pem(PRIVATE[algorithm]))
    return directory


def mint(directory: Path, *args: object, key: Path | None = None) -> Ran:
    where = key or directory.parent / "key"
    return pdp("token", "--policies", directory, "--key", where, "--sub", "alice", *args)


def claims(found: Ran) -> dict[str, Any]:
    assert found.code == 0, found.err
    assert found.out.count("\n") == 1
    payload: dict[str, Any] = jwt.decode(found.out.strip(), options={"verify_signature": False})
    return payload


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "ES384", "RS256", "HS256", "HS512"])
def test_the_pdp_accepts_it(tmp_path: Path, algorithm: str) -> None:
    directory = directory_for(tmp_path, algorithm)
    found = mint(directory)
    assert claims(found)["sub"] == "alice"
    asked = ("--action", "GET", "--resource", "/a", "--token-file", "-")
    assert pdp("explain", directory, *asked, stdin=found.out).out.startswith("200 allow  granted")


def test_its_claims_are_the_issuers(tmp_path: Path) -> None:
    found = claims(mint(directory_for(tmp_path), "--ttl", "15m"))
    assert (found["iss"], found["aud"]) == ("https://idp.test/", "api")
    assert found["exp"] - found["iat"] == 900
    assert abs(found["iat"] - time.time()) < 60


def test_further_claims_win(tmp_path: Path) -> None:
    args = ("--claim", 'aud=["x"]', "--claim", "n=7", "--claim", 'd="a=b"')
    found = claims(mint(directory_for(tmp_path), *args))
    assert (found["aud"], found["n"], found["d"]) == (["x"], 7, "a=b")


def test_roles_go_where_they_are_looked_for(tmp_path: Path) -> None:
    more = 'roles_claim = "realm_access.roles"\nroles = ["member"]\nsubject_claim = "uid"'
    found = mint(directory_for(tmp_path, more=more), "--role", "member", "--role", "boss")
    given = claims(found)
    assert given["realm_access"] == {"roles": ["member", "boss"]}
    assert given["uid"] == "alice"
    assert "may not assert the role `boss`" in found.err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "reads no roles"),
        ('roles_claim = "a[*].b"\nroles = ["member"]', "computes roles by `a[*].b`"),
    ],
)
def test_roles_that_cannot_be_placed_are_2(tmp_path: Path, more: str, told: str) -> None:
    found = mint(directory_for(tmp_path, more=more), "--role", "member")
    assert (found.code, found.out) == (2, "")
    assert told in found.err


def test_another_issuer_can_be_named(tmp_path: Path) -> None:
    directory = directory_for(tmp_path)
    toml = (directory / "pdp.toml").read_text()
    second = issuer("EdDSA", 'public_key_file = "public.pem"', "two", "two:")
    (directory / "pdp.toml").write_text(second + toml)
    assert claims(mint(directory))["iss"] == "https://two.test/"
    named = mint(directory, "--issuer", "https://idp.test/")
    assert claims(named)["iss"] == "https://idp.test/"
    unknown = mint(directory, "--issuer", "x")
    assert unknown.code == 2
    assert "known: `https://two.test/`, `https://idp.test/`" in unknown.err


def test_without_an_issuer_there_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(pem(PRIVATE["EdDSA"]))
    found = mint(write_pair(tmp_path / "policies"))
    assert (found.code, "known: none" in found.err) == (2, True)


def test_the_kid_is_that_of_the_public_half(tmp_path: Path) -> None:
    directory = directory_for(tmp_path, "ES256")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    entries = [
        {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid}
        for kid, key in (("mine", PRIVATE["ES256"].public_key()), ("other", other))
    ]
    (directory / "set.json").write_text(str({"keys": entries}).replace("'", '"'))
    toml = issuer("ES256", 'jwks_file = "set.json"') + LAYER
    (directory / "pdp.toml").write_text(toml)
    assert jwt.get_unverified_header(mint(directory).out.strip())["kid"] == "mine"
    given = mint(directory, "--kid", "k9").out.strip()
    assert jwt.get_unverified_header(given)["kid"] == "k9"


def test_keys_published_elsewhere_are_not_compared(tmp_path: Path) -> None:
    directory = directory_for(tmp_path)
    toml = issuer("EdDSA", 'jwks_url = "https://idp.test/jwks"') + LAYER
    (directory / "pdp.toml").write_text(toml)
    assert "kid" not in jwt.get_unverified_header(mint(directory).out.strip())


def bad_keys() -> dict[str, tuple[bytes, str]]:
    weak = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - the point of it
    old = dsa.generate_private_key(1_024)  # noqa: S505
    curve = ec.generate_private_key(ec.SECP256K1())
    locked = pem(PRIVATE["EdDSA"], BestAvailableEncryption(b"x"))
    public = pem_pair(fresh_key())[1]
    return {
        "encrypted": (locked, "is encrypted"),
        "public": (public, "does not hold a private key"),
        "broken": (b"-----BEGIN PRIVATE KEY-----\nx\n-----END", "does not hold a private key"),
        "short": (b"secret", "is shorter than 32 bytes"),
        "weak": (pem(weak), "at least 2048 bits"),
        "dsa": (pem(old), "not supported"),
        "curve": (pem(curve), "not supported"),
        "huge": (b"x" * 1_048_577, "too large"),
        "another": (pem_pair(fresh_key())[0], "is not the key that `https://idp.test/`"),
        "family": (pem(PRIVATE["ES256"]), "is not the key that"),
    }


BAD_KEYS = bad_keys()


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_key_that_will_not_do_is_2(tmp_path: Path, name: str) -> None:
    directory = directory_for(tmp_path)
    content, told = BAD_KEYS[name]
    (tmp_path / "bad").write_bytes(content)
    found = mint(directory, key=tmp_path / "bad")
    assert (found.code, found.out) == (2, "")
    assert told in found.err
    assert "secret\n" not in found.err


def test_a_key_of_another_family_is_2(tmp_path: Path) -> None:
    directory = directory_for(tmp_path)
    toml = issuer("ES256", 'jwks_url = "https://idp.test/jwks"') + LAYER
    (directory / "pdp.toml").write_text(toml)
    found = mint(directory)
    assert found.code == 2
    assert "signs with EdDSA, but `https://idp.test/` accepts ES256 only" in found.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--ttl", "soon"], "--ttl: must be a duration"),
        (["--ttl", "0s"], "--ttl: must be a duration"),
        (["--claim", "x"], "--claim: must be NAME=JSON"),
        (["--claim", "=1"], "--claim: must be NAME=JSON"),
        (["--claim", "x=abc"], "--claim: must be NAME=JSON"),
        (["--sub", ""], "--sub: must be"),
        (["--sub", "a\nb"], "--sub: must be"),
        (["--sub", "\udcff"], "not UTF-8"),
        (["--key", "/nowhere"], "--key: cannot read `/nowhere`: no such file"),
        (["--key", "/"], "--key: cannot read `/`: is a directory"),
    ],
)
def test_bad_options_are_2(tmp_path: Path, args: list[str], told: str) -> None:
    found = mint(directory_for(tmp_path), *args)
    assert (found.code, found.out) == (2, "")
    assert told in found.err


def test_no_repr_shows_a_key() -> None:
    shown = repr(read_key(SECRET.encode()))
    assert SECRET not in shown
    with pytest.raises(TypeError):
        pem_pair(read_key(SECRET.encode()))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", [None, True, "", "x", "nan", "1e999", -1, 1e15, float("nan")])
def test_no_times(value: object) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(value)
