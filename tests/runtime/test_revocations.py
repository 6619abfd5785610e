"""What is taken back is refused within two seconds, by a real server, whatever else is edited."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import support
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm
from support import ISSUER, PEM, Running, token

from pdp.errors import ConfigurationError, Problem
from pdp.identity.revocation import FILE
from pdp.model import Credentials, Identity, Rejected
from pdp.runtime.fetch import JwksSource
from pdp.runtime.following import INTERVAL_SECONDS, Take, follow, signature
from pdp.runtime.keys import FileKeys
from pdp.runtime.load import load

LIVE_WITHIN = 2.0
QUESTION: Mapping[str, Any] = {
    "action": "GET", "resource": "/docs/a", "context": {"ip": "203.0.113.9"}
}  # fmt: skip
OTHER = Ed25519PrivateKey.generate()
OTHER_PEM = OTHER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def answer(server: Running, mine: str) -> tuple[int, str]:
    _, body = await server.ask("POST", "/v1/decision", json={**QUESTION, "token": mine})
    told = json.loads(body)
    return told["status"], told["reason"]


async def status(server: Running, mine: str) -> int:
    return (await answer(server, mine))[0]


async def until(server: Running, mine: str, wanted: int) -> None:
    started = time.monotonic()
    while await status(server, mine) != wanted:
        assert time.monotonic() - started < LIVE_WITHIN
        await asyncio.sleep(0.02)


async def eventually(holds: Callable[[], object]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < LIVE_WITHIN
        await asyncio.sleep(0.02)


async def a_while() -> None:
    """Long enough for every file to be read and to be settled."""
    await asyncio.sleep(2.5 * INTERVAL_SECONDS)


def codes(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.code for problem in problems]


async def gauge(server: Running, name: str) -> float:
    _, body = await server.ask("GET", "/metrics", admin=True)
    (line,) = (s for s in body.decode().splitlines() if s.startswith(f"{name} "))
    return float(line.split()[1])


def append(policies: Path, *rows: str) -> None:
    with (policies / FILE).open("a") as file:
        file.write("".join(f"{row}\n" for row in rows))


@pytest.mark.parametrize(
    "row",
    ["jti, t-1", "sub, alice", "sid, s-1", "issued_before, alice, {now}", "sub, zoe\nsub, alice"],
)
async def test_a_token_that_is_known_is_refused_soon_after_its_row(
    server: Running, policies: Path, row: str
) -> None:
    now = time.time()
    mine = token("alice", jti="t-1", sid="s-1", iat=now - 60)
    theirs = token("bob", jti="t-2", sid="s-2", iat=now - 60)
    assert [await status(server, each) for each in (mine, theirs)] == [200, 200]
    append(policies, "# taken back", row.format(now=int(now)))
    await until(server, mine, 401)
    assert await answer(server, mine) == (401, "token_revoked")
    assert await status(server, theirs) == 200
    if row.startswith("issued"):
        assert await status(server, token("alice", iat=now + 5)) == 200
        assert await status(server, token("alice")) == 401
    headers = {
        "Authorization": f"Bearer {mine}",
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/docs/a",
        "X-Forwarded-Host": "shop.test",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9",
    }
    response, body = await server.ask("GET", "/authz/forward", headers=headers)
    assert response.status == 401, body
    challenge = response.headers["WWW-Authenticate"]
    assert 'error="invalid_token"' in challenge
    assert "revoked" not in challenge


def jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    return {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


def signed(key: Ed25519PrivateKey, kid: str) -> str:
    claims = {"iss": ISSUER, "aud": "api", "sub": "alice", "exp": time.time() + 3600}
    return jwt.encode(claims, key, "EdDSA", {"kid": kid})


def use_jwks(policies: Path, **keys: Ed25519PrivateKey) -> None:
    settings = (policies / "pdp.toml").read_text()
    settings = settings.replace('public_key_file = "issuer.pem"', 'jwks_file = "jwks.json"')
    (policies / "pdp.toml").write_text(settings)
    entries = [jwk(key, kid) for kid, key in keys.items()]
    (policies / "jwks.json").write_text(json.dumps({"keys": entries}))


async def test_a_key_is_revoked_by_its_kid(policies: Path) -> None:
    use_jwks(policies, a=support.KEY, b=OTHER)
    one, two = signed(support.KEY, "a"), signed(OTHER, "b")
    async with support.pdp(policies) as server:
        assert [await status(server, each) for each in (one, two)] == [200, 200]
        append(policies, "kid, a")
        await until(server, one, 401)
        assert await status(server, two) == 200


async def test_a_key_set_without_a_key_ends_what_it_signed(policies: Path) -> None:
    use_jwks(policies, a=support.KEY, b=OTHER)
    one, two = signed(support.KEY, "a"), signed(OTHER, "b")
    async with support.pdp(policies) as server:
        assert [await status(server, each) for each in (one, two)] == [200, 200]
        (policies / "jwks.json").write_text(json.dumps({"keys": [jwk(OTHER, "b")]}))
        await until(server, one, 401)
        assert await status(server, two) == 200


async def test_what_was_revoked_before_the_start_is_revoked(policies: Path) -> None:
    append(policies, "sub, alice")
    async with support.pdp(policies) as server:
        assert await answer(server, token("alice")) == (401, "token_revoked")
        assert await gauge(server, "pdp_revocations") == 1
        await a_while()
        assert await status(server, token("alice")) == 401
        assert server.service.watch.problems("revocations") == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty-file"), (b"sbu, alice\n", "unknown-revocation"), (b"\xef\xbb\xbf", "empty-file")],
)
def test_nothing_starts_with_a_mistake_in_the_file(policies: Path, data: bytes, code: str) -> None:
    (policies / FILE).write_bytes(data)
    with pytest.raises(ConfigurationError) as caught:
        load(policies)
    assert code in codes(caught.value.problems)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("absent"), os.mkfifo])
def test_nothing_starts_with_what_is_no_file(policies: Path, make: Callable[[Path], None]) -> None:
    make(policies / FILE)
    with pytest.raises(ConfigurationError) as caught:
        load(policies)
    assert [(p.file, p.code) for p in caught.value.problems] == [(FILE, "missing-file")]


async def test_a_typo_takes_nothing_back_and_good_rows_count(
    server: Running, policies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.files")
    append(policies, "sub, alice")
    await until(server, token("alice"), 401)
    (policies / FILE).write_text("sub, bob\nsbu, carol\n")  # alice is gone, too
    await until(server, token("bob"), 401)
    await a_while()
    who = [token(name) for name in ("alice", "bob", "carol")]
    assert [await status(server, each) for each in who] == [401, 401, 200]
    (problem,) = server.service.watch.problems("revocations")
    assert str(problem).startswith("revoked.csv:2 unknown-revocation")
    assert await gauge(server, "pdp_revocations_stale") == 1
    assert await gauge(server, "pdp_revocations") == 2
    assert server.service.stale == ()
    (policies / FILE).write_text("sub, carol\n")
    await until(server, who[2], 401)
    await until(server, who[0], 200)  # a file without problems is what holds
    assert await status(server, who[1]) == 200
    assert server.service.watch.problems("revocations") == ()
    assert await gauge(server, "pdp_revocations_stale") == 0
    told = [record.message for record in caplog.records if record.name == "pdp.files"]
    assert told.count("file has problems") == 1
    assert told.count("file is good again") == 1


async def test_a_broken_policy_delays_no_revocation_and_no_key(
    server: Running, policies: Path
) -> None:
    old, new = token("alice"), token("alice", key=OTHER)
    assert [await status(server, each) for each in (old, new)] == [200, 401]
    (policies / "rbac.csv").write_text("p, who\n")
    (policies / "pdp.toml").write_text("what is this")
    append(policies, "sub, bob")
    await until(server, token("bob"), 401)
    (policies / "issuer.pem").write_bytes(OTHER_PEM)
    await until(server, new, 200)
    await eventually(lambda: server.service.stale)
    assert server.service.watch.problems("revocations") == ()
    assert server.service.watch.problems("keys") == ()


async def test_a_mistake_in_revocations_and_keys_delays_no_policy(
    server: Running, policies: Path
) -> None:
    assert await status(server, token("alice")) == 200
    append(policies, "sbu, alice")
    (policies / "issuer.pem").write_bytes(PEM[:60])
    rules = (policies / "rbac.csv").read_text()
    (policies / "rbac.csv").write_text(rules.replace("p, anonymous, /docs/*, ^GET$\n", ""))
    await until(server, token("alice"), 404)
    assert server.service.stale == ()
    watch = server.service.watch
    await eventually(lambda: watch.problems("revocations") and watch.problems("keys"))


def removed(file: Path) -> None:
    file.unlink()


def truncated(file: Path) -> None:
    file.write_bytes(b"")


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_dead_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("absent")


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("lose", [removed, truncated, a_directory, a_dead_link, a_pipe])
async def test_a_file_that_is_lost_keeps_what_it_revoked(
    server: Running, policies: Path, lose: Callable[[Path], None]
) -> None:
    append(policies, "sub, alice")
    await until(server, token("alice"), 401)
    await a_while()
    lose(policies / FILE)
    await eventually(lambda: server.service.watch.problems("revocations"))
    await a_while()
    assert await status(server, token("alice")) == 401
    expected = ["empty-file"] if lose is truncated else ["missing-file"]
    assert codes(server.service.watch.problems("revocations")) == expected


async def test_a_file_that_comes_back_holds(server: Running, policies: Path) -> None:
    append(policies, "sub, alice")
    await until(server, token("alice"), 401)
    await a_while()
    (policies / FILE).unlink()
    await eventually(lambda: server.service.watch.problems("revocations"))
    append(policies, "sub, bob")
    await until(server, token("bob"), 401)
    await until(server, token("alice"), 200)
    assert server.service.watch.problems("revocations") == ()


async def test_a_row_that_is_removed_revokes_no_longer(server: Running, policies: Path) -> None:
    append(policies, "sub, alice", "sub, bob")
    await until(server, token("alice"), 401)
    await a_while()
    (policies / FILE).write_text("# alice is back\nsub, bob\n")
    await until(server, token("alice"), 200)
    assert await status(server, token("bob")) == 401


async def test_what_is_taken_away_counts_only_once_the_file_stands_still(
    server: Running, policies: Path
) -> None:
    append(policies, "sub, alice")
    await until(server, token("alice"), 401)
    for number in range(25):  # a slow writer begins anew, and alice's row comes last
        (policies / FILE).write_text("# revoked\n" + f"sub, s{number}\n" * number)
        assert await status(server, token("alice")) == 401
        await asyncio.sleep(0.06)
    append(policies, "sub, alice")
    await a_while()
    assert await status(server, token("alice")) == 401
    await until(server, token("s3"), 200)
    assert await status(server, token("s24")) == 401


async def test_an_edit_that_stat_does_not_show_is_found_when_the_file_is_settled(
    server: Running, policies: Path
) -> None:
    append(policies, "sub, bobby")
    await until(server, token("bobby"), 401)
    before = (policies / FILE).stat()
    (policies / FILE).write_text("sub, alice\n")  # as long
    os.utime(policies / FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    await until(server, token("alice"), 401)


async def test_an_atomic_rename_is_noticed(server: Running, policies: Path) -> None:
    for name in ("alice", "bob"):
        temporary = policies / ".revoked.csv.tmp"
        temporary.write_text(f"sub, {name}\n")
        temporary.replace(policies / FILE)
        await until(server, token(name), 401)
        await a_while()


async def test_a_swapped_link_is_noticed(tmp_path: Path, policies: Path) -> None:
    volume = tmp_path / "volume"
    for name, row in (("..1", "sub, alice\n"), ("..2", "sub, bobby\n")):
        shutil.copytree(policies, volume / name)
        (volume / name / FILE).write_text(row)
        os.utime(volume / name / FILE, (1, 1))
    (volume / "..2" / "issuer.pem").write_bytes(OTHER_PEM)
    (volume / "..data").symlink_to("..1")
    for name in [file.name for file in policies.iterdir()] + [FILE]:
        (volume / name).symlink_to(f"..data/{name}")
    async with support.pdp(volume) as server:
        assert await status(server, token("alice")) == 401
        assert await status(server, token("carol")) == 200
        (volume / "..new").symlink_to("..2")
        (volume / "..new").replace(volume / "..data")
        await until(server, token("alice", key=OTHER), 200)
        assert await answer(server, token("bobby", key=OTHER)) == (401, "token_revoked")
        assert await status(server, token("carol")) == 401


async def test_a_replaced_key_is_live_at_once(server: Running, policies: Path) -> None:
    old, new = token("alice"), token("alice", key=OTHER)
    assert [await status(server, each) for each in (old, new)] == [200, 401]
    (policies / "issuer.pem").write_bytes(OTHER_PEM)
    await until(server, new, 200)
    assert await answer(server, old) == (401, "token_invalid")
    assert server.service.stale == ()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda file: file.write_bytes(b""), "bad-key"),
        (lambda file: file.write_bytes(PEM[:40]), "bad-key"),
        (removed, "no-key-file"),
        (a_directory, "no-key-file"),
        (a_pipe, "no-key-file"),
    ],
)
async def test_a_bad_key_file_leaves_the_last_good_key(
    server: Running, policies: Path, spoil: Callable[[Path], None], code: str
) -> None:
    file = policies / "issuer.pem"
    spoil(file)
    await eventually(lambda: server.service.watch.problems("keys"))
    await a_while()
    assert await status(server, token("alice")) == 200
    assert codes(server.service.watch.problems("keys")) == [code]
    assert await gauge(server, "pdp_keys_stale") == 1
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(OTHER_PEM)
    await until(server, token("alice", key=OTHER), 200)
    assert server.service.watch.problems("keys") == ()
    assert await gauge(server, "pdp_keys_stale") == 0


async def test_a_secret_file_is_followed(policies: Path) -> None:
    settings = (policies / "pdp.toml").read_text().replace("EdDSA", "HS256")
    settings = settings.replace('public_key_file = "issuer.pem"', 'secret_file = "secret"')
    (policies / "pdp.toml").write_text(settings)
    first, second = b"a" * 40, b"b" * 40
    (policies / "secret").write_bytes(first)
    claims = {"iss": ISSUER, "aud": "api", "sub": "alice", "exp": time.time() + 3600}
    old, new = (jwt.encode(claims, secret, "HS256") for secret in (first, second))
    async with support.pdp(policies) as server:
        assert [await status(server, each) for each in (old, new)] == [200, 401]
        (policies / "secret").write_bytes(second)
        await until(server, new, 200)
        assert await status(server, old) == 401


async def test_only_files_are_followed(policies: Path) -> None:
    settings = (policies / "pdp.toml").read_text()
    settings = settings.replace(
        'public_key_file = "issuer.pem"', 'jwks_url = "http://127.0.0.1:1/"'
    )
    (policies / "pdp.toml").write_text(settings)
    async with support.pdp(policies) as server:
        (source,) = server.service.loaded.sources.values()
        assert isinstance(source, JwksSource)
        append(policies, "sub, alice")
        await eventually(lambda: server.service.authenticator.revocations.size)


async def test_without_a_file_all_is_well(server: Running, policies: Path) -> None:
    await a_while()
    assert server.service.watch.problems("revocations") == ()
    assert await status(server, token("alice")) == 200
    assert await gauge(server, "pdp_revocations") == 0


async def test_revocations_are_no_part_of_the_policy(server: Running, policies: Path) -> None:
    revision = server.service.snapshot.revision
    append(policies, "sub, alice")
    await until(server, token("alice"), 401)
    await server.ask("POST", "/v1/reload", admin=True)
    assert server.service.snapshot.revision == revision
    assert load(policies).snapshot.revision == revision
    assert await status(server, token("alice")) == 401


class Broken:
    """A file whose reading has a bug, twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = ()
        self.read_times = 0

    def read(self) -> Take:
        self.read_times += 1
        if self.read_times <= 2:
            raise KeyError("secret")

        def take(_settled: bool) -> None:
            self.problems = ()

        return take


async def test_a_bug_ends_no_following_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    file = Broken(tmp_path / "f")
    task = asyncio.create_task(follow(file))
    await eventually(lambda: file.problems)
    assert str(file.problems[0]) == "f internal-error could not be read: KeyError"
    await eventually(lambda: file.read_times == 3 and not file.problems)
    await asyncio.sleep(3 * INTERVAL_SECONDS)
    assert file.read_times == 3  # it stood still by then
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_watch_ends_and_what_is_live_stays(policies: Path) -> None:
    append(policies, "sub, alice")
    async with support.pdp(policies) as server:
        await server.service.watch.stop()
        (policies / FILE).write_text("# nobody\n")
        await a_while()
        assert await status(server, token("alice")) == 401


async def test_what_serves_nobody_knows_the_revoked_too(policies: Path) -> None:
    append(policies, "sub, alice")
    loaded = load(policies)
    found = await loaded.authenticator.authenticate(Credentials(token=token("alice")), time.time())
    assert isinstance(found, Rejected)
    found = await loaded.authenticator.authenticate(Credentials(token=token("bob")), time.time())
    assert isinstance(found, Identity)


async def test_keys_of_a_file_learn_nothing_from_an_unknown_kid(policies: Path) -> None:
    (source,) = load(policies).sources.values()
    assert isinstance(source, FileKeys)
    assert await source.after_unknown_kid() is source.current()


@pytest.mark.parametrize("path", [Path("/absent"), Path("a\0b")])
def test_what_is_not_there_has_no_signature(path: Path) -> None:
    assert signature(path) == ()
