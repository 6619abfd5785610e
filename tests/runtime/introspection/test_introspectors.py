from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from introspection_server import ISSUER, NOW, SECRET, Endpoint, serving

from pdp.errors import Problem
from pdp.identity.settings import AuthenticationSettings, IssuerSettings
from pdp.runtime.introspection import Introspector
from pdp.runtime.introspectors import introspectors


def made(
    directory: Path, environment: dict[str, str], **changed: Any
) -> tuple[dict[str, Introspector], list[Problem]]:
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "introspection_url": "https://idp.example.com/introspect",
        "client_id": "pdp",
    }
    issuers = (IssuerSettings(**(given | changed)),)
    settings = AuthenticationSettings(issuers=issuers)
    return introspectors(settings, "pdp.toml", directory, environment)


async def asked_as(endpoint: Endpoint, introspector: Introspector) -> str:
    await introspector.start()
    try:
        assert await introspector.inspect("token", NOW) == {"active": True, "sub": "alice"}
    finally:
        await introspector.stop()
    _, _, encoded = endpoint.asked[-1].headers["Authorization"].partition(" ")
    return base64.b64decode(encoded).decode()


@pytest.mark.parametrize("written", ["s e", "s e\n", "s e \r\n"])
async def test_the_secret_is_read_from_a_file(tmp_path: Path, written: str) -> None:
    (tmp_path / "secret").write_bytes(written.encode())
    async with serving() as endpoint:
        given = {"client_secret_file": "secret", "introspection_url": endpoint.url}
        found, problems = made(tmp_path, {}, **given)
        assert not problems
        assert await asked_as(endpoint, found[ISSUER]) == "pdp:s+e"


async def test_the_secret_is_read_from_the_environment(tmp_path: Path) -> None:
    async with serving() as endpoint:
        given = {"client_secret_env": "S", "introspection_url": endpoint.url}
        found, problems = made(tmp_path, {"S": SECRET}, **given)
        assert not problems
        assert await asked_as(endpoint, found[ISSUER]) == "pdp:s%3Ae%25c+r%2Bt%2F%C3%A9"


def test_the_settings_bound_what_is_remembered(tmp_path: Path) -> None:
    given = {"client_secret_env": "S", "introspection_cache_seconds": 7.0}
    found, _ = made(tmp_path, {"S": SECRET}, **given)
    assert found[ISSUER]._cache_seconds == 7
    assert found[ISSUER]._bounds.answers == 10_000


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"client_secret_file": "", "client_secret_env": None},
        {"client_secret_file": "a", "client_secret_env": "S"},
        {"client_secret_env": "S", "client_id": None},
        {"client_secret_env": "S", "client_id": ""},
        {"client_secret_env": "S", "introspection_url": None},
    ],
)
def test_what_the_check_complains_of_is_not_made(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert made(tmp_path, {"S": SECRET}, **changed) == ({}, [])


BAD: list[tuple[bytes | None, str]] = [
    (None, "no-secret"),
    (b"", "bad-secret"),
    (b"\n", "bad-secret"),
    (b"hidden\nhidden", "bad-secret"),
    (b"hidden\x00", "bad-secret"),
    (b"hidden\xff", "bad-secret"),
    (b"hidden" * 1000, "bad-secret"),
]


@pytest.mark.parametrize(("content", "code"), BAD)
def test_a_bad_secret_is_a_problem_that_does_not_quote_it(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    found, (problem,) = made(tmp_path, {}, client_secret_file="secret")
    assert not found
    assert (problem.file, problem.code) == ("pdp.toml", code)
    assert "`authentication.issuers[0].client_secret_file`" in problem.message
    assert "hidden" not in f"{problem}{problem.help}"


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    _, (problem,) = made(tmp_path, {}, client_secret_file="secret")
    assert problem.code == "no-secret"


@pytest.mark.parametrize("environment", [{}, {"S": ""}])
def test_a_variable_that_is_not_set_is_a_problem(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    _, (problem,) = made(tmp_path, environment, client_secret_env="S")
    assert problem.code == "no-secret"
    assert "`authentication.issuers[0].client_secret_env`: `S`" in problem.message
