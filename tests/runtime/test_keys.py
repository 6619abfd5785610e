from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm

from pdp.identity.settings import AuthenticationSettings, IssuerSettings
from pdp.runtime.fetch import JwksSource
from pdp.runtime.keys import FileKeys, key_sources, load_ring

EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PRIVATE = EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
WEAK = (
    rsa.generate_private_key(65_537, 1024)  # noqa: S505 - weak on purpose
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)
JWK = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)
JWKS = json.dumps({"keys": [{**JWK, "kid": "a"}]}).encode()
SECRET = b"s3cr3t-" * 8
KEY = "authentication.issuers[0]"


def settings(**changed: Any) -> IssuerSettings:
    given: dict[str, Any] = {"issuer": "i", "audiences": ("a",), "algorithms": ("ES256",)}
    return IssuerSettings(**(given | changed))


@pytest.mark.parametrize(
    ("source", "content", "algorithms"),
    [
        ("jwks_file", JWKS, ("ES256",)),
        ("jwks_file", JWKS, ("RS256", "ES256")),
        ("public_key_file", PUBLIC, ("ES256",)),
        ("secret_file", SECRET + b"\n", ("HS256", "HS384")),
    ],
)
def test_a_key_file_is_found_beside_the_file_that_names_it(
    tmp_path: Path, source: str, content: bytes, algorithms: tuple[str, ...]
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "k").write_bytes(content)
    issuer = settings(**{source: "keys/k", "algorithms": algorithms})
    ring, problems = load_ring(issuer, "pdp.toml", KEY, tmp_path, {})
    assert problems == []
    assert ring is not None
    assert len(ring.keys) == 1


def test_an_absolute_path_and_a_variable_are_read(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(JWKS)
    absolute = settings(jwks_file=str(tmp_path / "k"))
    variable = settings(secret_env="KEY", algorithms=("HS256",))
    for issuer in (absolute, variable):
        ring, problems = load_ring(issuer, "f", KEY, Path("/nowhere"), {"KEY": SECRET.decode()})
        assert (ring is not None, problems) == (True, [])


BAD: list[tuple[str, bytes, tuple[str, ...], str, str]] = [
    ("public_key_file", WEAK, ("RS256",), "bad-key", "2048 bits"),
    ("public_key_file", PRIVATE, ("ES256",), "bad-key", "private key"),
    ("public_key_file", b"", ("ES256",), "bad-key", "one PEM block"),
    ("public_key_file", PUBLIC, ("RS256",), "wrong-key", "no key for any"),
    ("jwks_file", b"{}", ("ES256",), "bad-key", "not a key set"),
    ("jwks_file", b'{"keys": []}', ("ES256",), "bad-key", "no usable key"),
    ("jwks_file", JWKS, ("RS256",), "wrong-key", "no key for any"),
    ("jwks_file", b" " * 1_048_577, ("ES256",), "bad-key", "larger than"),
    ("secret_file", SECRET[:20], ("HS256",), "bad-key", "shorter than 32"),
    ("secret_file", SECRET[:40], ("HS256", "HS512"), "weak-key", "too short for `HS512`"),
    ("secret_file", PUBLIC, ("HS256",), "bad-key", "key or certificate"),
    ("secret_file", SECRET, ("ES256",), "wrong-key", "no key for any"),
]


@pytest.mark.parametrize(("source", "content", "algorithms", "code", "part"), BAD)
def test_a_bad_key_file_is_a_problem_that_quotes_nothing(
    tmp_path: Path, source: str, content: bytes, algorithms: tuple[str, ...], code: str, part: str
) -> None:
    (tmp_path / "k").write_bytes(content)
    issuer = settings(**{source: "k", "algorithms": algorithms})
    ring, (problem,) = load_ring(issuer, "pdp.toml", KEY, tmp_path, {})
    assert ring is None
    assert (problem.file, problem.code) == ("pdp.toml", code)
    assert f"`{KEY}.{source}`: `k`" in problem.message
    assert part in problem.message
    assert problem.help
    assert "s3cr3t" not in repr(problem)
    assert "BEGIN PRIVATE" not in repr(problem)


@pytest.mark.parametrize("name", ["absent", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str) -> None:
    _, (problem,) = load_ring(settings(jwks_file=name), "pdp.toml", KEY, tmp_path, {})
    assert problem.code == "no-key-file"
    assert "cannot be read" in problem.message
    assert "relative to" in problem.help


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}])
def test_a_variable_that_is_not_set_is_a_problem(environment: dict[str, str]) -> None:
    issuer = settings(secret_env="KEY", algorithms=("HS256",))
    _, (problem,) = load_ring(issuer, "pdp.toml", KEY, Path(), environment)
    assert problem.code == "no-secret"
    assert f"`{KEY}.secret_env`: `KEY` is not set" in problem.message


@pytest.mark.parametrize(
    "sources",
    [{}, {"jwks_url": "https://h/"}, {"jwks_file": "absent", "public_key_file": "absent"}],
)
def test_what_is_no_key_file_is_not_read(sources: dict[str, str]) -> None:
    assert load_ring(settings(**sources), "f", KEY, Path(), {}) == (None, [])


def test_every_issuer_has_a_source(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(JWKS)
    section = AuthenticationSettings(
        issuers=(
            settings(issuer="file", jwks_file="k"),
            settings(issuer="url", jwks_url="https://idp.example.com/jwks"),
            settings(issuer="bad", jwks_file="absent"),
            settings(issuer="https://idp.example.com/"),
            settings(issuer="asked", introspection_url="https://idp.example.com/introspect"),
        )
    )
    sources, (problem,) = key_sources(section, "pdp.toml", tmp_path, {})
    assert "issuers[2]" in problem.message
    assert isinstance(sources["file"], FileKeys)
    assert isinstance(sources["url"], JwksSource)
    assert isinstance(sources["https://idp.example.com/"], JwksSource)
    assert "asked" not in sources  # an endpoint judges its tokens
    assert [sources[n].current() is None for n in ("file", "url", "bad")] == [False, True, True]


def test_settings_say_how_long_fetched_keys_serve() -> None:
    fetched = settings(jwks_url="https://h/", jwks_stale_max_seconds=60, jwks_refresh_seconds=20)
    sources, _ = key_sources(AuthenticationSettings(issuers=(fetched,)), "pdp.toml", Path(), {})
    source = sources["i"]
    assert isinstance(source, JwksSource)
    assert (source._stale_max, source._interval) == (60, 20)
