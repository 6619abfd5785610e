"""Faults put where a bug or a broken disk would be: 503 or the last good state, never an allow."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import support
from support import Running, token

from pdp.policy.index.branch import Branch
from pdp.policy.index.build import Index, Indexes
from pdp.policy.snapshot import Snapshot
from pdp.runtime.sources import MAX_FILE_BYTES, read_file, read_policy

QUESTION = {"action": "GET", "resource": "/invoices/7", "context": {"ip": "203.0.113.9"}}
FORWARD = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/invoices/7",
    "X-Forwarded-Host": "app.test",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
}


def fail(*_: object) -> Any:
    raise ZeroDivisionError("the secret of a bug")


class BrokenBranch:
    first = fail
    levels = positions = literals = ()  # for those who ask how much it has to look at
    lenient, root, rest = False, (), (None,)


def broken_index(snapshot: Snapshot, name: str) -> Snapshot:
    """A snapshot one of whose layers has a bug in its index."""
    index = Index((cast(Branch, BrokenBranch()),))
    broken = Indexes(index, index, index)

    def spoil(layers: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            dataclasses.replace(layer, indexes=broken) if layer.name == name else layer
            for layer in layers
        )

    return dataclasses.replace(
        snapshot,
        early_guards=spoil(snapshot.early_guards),
        late_guards=spoil(snapshot.late_guards),
        grants=spoil(snapshot.grants),
    )


@pytest.mark.parametrize("layer", ["network", "site", "age", "acl", "rbac"])
async def test_a_bug_in_any_layer_is_a_503_and_one_line(
    server: Running, layer: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.service.snapshot = broken_index(server.service.snapshot, layer)
    bearer = {"Authorization": f"Bearer {token('alice')}"}
    response, body = await server.ask("GET", "/authz/forward", headers=FORWARD | bearer)
    assert response.status == 503
    assert json.loads(body)["error"] == "unavailable"
    assert "X-Auth-Subject" not in response.headers
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    facts = record.facts  # type: ignore[attr-defined]
    assert facts["error"] == "ZeroDivisionError"
    assert "tests/test_faults.py" in facts["at"][-1]
    assert "secret" not in caplog.text + str(facts)
    asked = {**QUESTION, "token": token("alice")}
    response, body = await server.ask("POST", "/v1/decision", json=asked)
    assert (response.status, json.loads(body)["verdict"]) == (503, "fault")
    batch = {"decisions": [asked, {**asked, "resource": "/docs/a"}]}
    _, body = await server.ask("POST", "/v1/decisions", json=batch)
    assert json.loads(body)["decisions"][0]["status"] == 503


async def test_a_bug_behind_an_endpoint_is_a_503_and_one_line(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    server.service.metrics.exposition = fail  # type: ignore[method-assign]
    response, body = await server.ask("GET", "/metrics", admin=True)
    assert (response.status, json.loads(body)["error"]) == (503, "unavailable")
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert "secret" not in str(vars(record))


async def test_keys_that_were_never_fetched_are_not_ready_and_not_a_refusal(policies: Path) -> None:
    settings = (policies / "pdp.toml").read_text()
    url = f'jwks_url = "http://127.0.0.1:{support.free_port()}/jwks.json"'
    (policies / "pdp.toml").write_text(settings.replace('public_key_file = "issuer.pem"', url))
    async with support.pdp(policies) as server:
        response, body = await server.ask("GET", "/readyz")
        keys = json.loads(body)["keys"]["https://idp.test/"]
        assert (response.status, keys["loaded"], keys["age_seconds"]) == (503, False, None)
        asked = {**QUESTION, "token": token("alice")}
        response, body = await server.ask("POST", "/v1/decision", json=asked)
        assert (response.status, json.loads(body)["reason"]) == (503, "keys_unavailable")
        _, body = await server.ask("POST", "/v1/decision", json={**QUESTION, "resource": "/docs/a"})
        assert json.loads(body)["status"] == 200


async def test_a_compressed_body_is_refused_unread(server: Running) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    options: dict[str, Any] = {"data": b"\x1f\x8b", "headers": headers}
    response, body = await server.ask("POST", "/v1/decision", **options)
    assert (response.status, json.loads(body)["message"].split(":")[0]) == (400, "Content-Encoding")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "code"),
    [(huge, "huge-file"), (Path.mkdir, "missing-file")],
)
def test_a_file_that_cannot_be_read_is_a_problem(
    tmp_path: Path, make: Callable[[Path], None], code: str
) -> None:
    make(tmp_path / "policy.csv")
    data, (problem,) = read_file(tmp_path / "policy.csv", "policy.csv")
    assert (data, problem.code, problem.file) == (None, code, "policy.csv")


def test_a_name_that_no_file_can_have_is_a_problem(tmp_path: Path) -> None:
    data, (problem,) = read_file(tmp_path / ("x" * 300), "x")
    assert (data, problem.code) == (None, "unreadable-file")


def test_a_manifest_that_appears_while_the_policy_is_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "acl.csv").write_text("p, alice\n")

    def names() -> Iterator[str]:
        (tmp_path / "policy.sha256").write_text(f"{'0' * 64}  acl.csv\n")
        yield "acl.csv"

    files, (problem,) = read_policy(tmp_path, names())
    assert (list(files), problem.code) == (["acl.csv"], "manifest-mismatch")


async def test_a_watcher_that_cannot_watch_tries_again(policies: Path, tmp_path: Path) -> None:
    async with support.pdp(policies) as server:
        await server.context.reloader.stop()
        policies.rename(tmp_path / "away")
        server.context.reloader.start()
        await asyncio.sleep(0.7)
        revision = server.service.snapshot.revision
        (tmp_path / "away" / "acl.csv").write_text("p, erin, /reports/:id, GET, allow\n")
        (tmp_path / "away").rename(policies)
        deadline = time.monotonic() + 2
        while server.service.snapshot.revision == revision:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_a_watch_that_fails_is_taken_up_again(policies: Path, tmp_path: Path) -> None:
    async with support.pdp(policies) as server:
        policies.rename(tmp_path / "away")
        for name in ("one", "two"):
            attempt = await server.context.reloader.reload()
            assert attempt.result == "rejected", name
            assert attempt.problems[0].code == "missing-directory"
        assert server.service.stale
        (tmp_path / "away").rename(policies)
        assert (await server.context.reloader.reload()).result == "unchanged"
        assert server.service.stale == ()
