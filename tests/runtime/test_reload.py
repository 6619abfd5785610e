"""What happens between two edits: only a policy that passes goes live, and it does so soon."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import support
from support import Running

from pdp.runtime.load import load
from pdp.runtime.reload import Reloader

TOML = """
[[layers]]
name = "network"
kind = "guard"
model = "network.conf"
policy = "network.csv"
[[layers]]
name = "acl"
kind = "grant"
model = "acl.conf"
policy = "acl.csv"
"""
NETWORK = """[request_definition]
r = ip
[policy_definition]
p = net, eft
[policy_effect]
e = !some(where (p.eft == deny))
[matchers]
m = ipMatch(r.ip, p.net)
"""
ACL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
OLD, NEW = "p, alice, /x, GET\n", "p, bob, /x, GET\n"
LIVE_WITHIN = 2.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    target = tmp_path / "live"
    target.mkdir()
    for name, text in (
        ("pdp.toml", TOML),
        ("network.conf", NETWORK),
        ("network.csv", "p, 198.51.100.0/24, deny\n"),
        ("acl.conf", ACL),
        ("acl.csv", OLD),
    ):
        (target / name).write_text(text)
    return target


@pytest.fixture
async def live(directory: Path) -> AsyncIterator[Running]:
    async with support.pdp(directory) as running:
        yield running


async def status(live: Running, subject: str = "bob") -> int:
    body = {"subject": subject, "action": "GET", "resource": "/x", "context": {"ip": "192.0.2.1"}}
    _, found = await live.ask("POST", "/v1/decision", json=body)
    return int(json.loads(found)["status"])


async def until(live: Running, wanted: int, subject: str = "bob") -> float:
    """Seconds until the subject's status is the wanted one."""
    started = time.monotonic()
    while await status(live, subject) != wanted:
        assert time.monotonic() - started < LIVE_WITHIN
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def in_place(directory: Path, text: str) -> None:
    (directory / "acl.csv").write_text(text)


def renamed(directory: Path, text: str) -> None:
    temporary = directory / ".acl.csv.tmp"
    temporary.write_text(text)
    temporary.replace(directory / "acl.csv")


def like_an_editor(directory: Path, text: str) -> None:
    (directory / "acl.csv").rename(directory / "acl.csv~")
    (directory / "4913").write_text("")
    (directory / "4913").unlink()
    (directory / "acl.csv").write_text(text)
    (directory / "acl.csv~").unlink()


@pytest.mark.parametrize("edit", [in_place, renamed, like_an_editor])
async def test_an_edit_is_live_within_two_seconds(
    live: Running, directory: Path, edit: Callable[[Path, str], None]
) -> None:
    assert await status(live) == 403
    revision = live.service.snapshot.revision
    edit(directory, NEW)
    await until(live, 200)
    assert live.service.snapshot.revision != revision


async def test_a_configmap_swap_is_live_within_two_seconds(tmp_path: Path, directory: Path) -> None:
    volume = tmp_path / "volume"
    for name, text in (("..old", OLD), ("..new", NEW)):
        shutil.copytree(directory, volume / name)
        (volume / name / "acl.csv").write_text(text)
    (volume / "..data").symlink_to("..old")
    for file in sorted(directory.iterdir()):
        (volume / file.name).symlink_to(f"..data/{file.name}")
    async with support.pdp(volume) as live:
        assert await status(live) == 403
        (volume / "..data_tmp").symlink_to("..new")
        os.replace(volume / "..data_tmp", volume / "..data")  # noqa: PTH105 - as the kubelet does
        await until(live, 200)


def git(directory: Path, *command: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *command], cwd=directory, check=True, capture_output=True)  # noqa: S603, S607


async def test_a_git_checkout_is_live_within_two_seconds(directory: Path) -> None:
    git(directory, "init", "-q", "-b", "old")
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "old")
    git(directory, "checkout", "-qb", "new")
    (directory / "acl.csv").write_text(NEW)
    git(directory, "commit", "-qam", "new")
    git(directory, "checkout", "-q", "old")
    async with support.pdp(directory) as live:
        assert await status(live) == 403
        git(directory, "checkout", "-q", "new")
        await until(live, 200)


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("acl.csv", "p, bob, /x\n", "acl.csv:1 short-row"),
        ("acl.csv", "", "acl.csv empty-file"),
        ("acl.conf", ACL.replace("m = ", "m = ("), "acl.conf:8 bad-matcher"),
        ("pdp.toml", TOML + "\n[conceal]\n", "pdp.toml unknown-key"),
        ("pdp.toml", "[[layers]]" + TOML.split("[[layers]]")[2], "pdp.toml guard-removed"),
        ("pdp.toml", TOML + '[authentication]\nrealm = "other"\n', "pdp.toml restart-needed"),
        ("cases.yaml", "- {action: GET, resource: /x, expect: {status: 200}}\n",
         "cases.yaml:1 case-failed"),
        ("cases.yaml", "- {action: GET}\n", "cases.yaml:1 missing-key"),
        ("policy.sha256", f"{'0' * 64}  acl.csv\n", "acl.csv manifest-mismatch"),
        ("policy.sha256", "what is this\n", "policy.sha256:1 bad-manifest"),
    ],
)  # fmt: skip
async def test_a_bad_edit_keeps_the_last_good_policy_and_says_so(
    live: Running, directory: Path, file: str, text: str, code: str
) -> None:
    revision = live.service.snapshot.revision
    (directory / "acl.csv").write_text(NEW)  # a good edit beside the bad one
    (directory / file).write_text(text)
    response, body = await live.ask("POST", "/v1/reload", admin=True)
    answer = json.loads(body)
    assert (response.status, answer["result"]) == (409, "rejected")
    assert answer["revision"] == revision
    assert await status(live, "alice") == 200
    _, body = await live.ask("GET", "/readyz")
    assert any(problem.startswith(code) for problem in json.loads(body)["stale"])
    _, metrics = await live.ask("GET", "/metrics", admin=True)
    assert b"pdp_policy_stale 1.0" in metrics
    assert b'pdp_policy_reloads_total{result="rejected"}' in metrics


async def reloaded(live: Running) -> tuple[str, list[str]]:
    _, body = await live.ask("POST", "/v1/reload", admin=True)
    answer = json.loads(body)
    return answer["result"], [problem["code"] for problem in answer["problems"]]


@pytest.mark.parametrize("name", ["cases.yaml", "entities.json", "pdp.toml", "policy.sha256"])
async def test_a_file_that_protects_does_not_just_go(directory: Path, name: str) -> None:
    (directory / "entities.json").write_text("[]")
    (directory / "cases.yaml").write_text(
        "- {subject: alice, action: GET, resource: /x, context: {ip: 192.0.2.1},"
        " expect: {status: 200}}\n"
    )
    (directory / "model.conf").write_text(ACL)
    (directory / "policy.csv").write_text(OLD)
    async with support.pdp(directory) as live:
        (directory / "policy.sha256").write_text(manifest_of(directory, "entities.json"))
        assert await reloaded(live) == ("unchanged", [])
        (directory / name).unlink()
        result, found = await reloaded(live)
        assert result == "rejected"
        assert set(found) <= {"restart-needed", "guard-removed", "manifest-mismatch"}
        assert await status(live, "alice") == 200


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("network.csv", "# nobody\n"),
        ("pdp.toml", TOML.replace('[[layers]]\nname = "acl"',
         '[layers.request]\nip = "127.0.0.1"\n[[layers]]\nname = "acl"')),
    ],
    ids=["without its rows", "asked about a constant"],
)  # fmt: skip
async def test_a_guard_is_not_made_idle(
    live: Running, directory: Path, file: str, text: str
) -> None:
    (directory / file).write_text(text)
    assert await reloaded(live) == ("rejected", ["guard-removed"])


DENIES, HONOURED = "!some(where (p.eft == deny))", "some(where (p.eft == allow)) && "
EVERYWHERE, BARRED = "p, 0.0.0.0/0, allow\n", "p, 198.51.100.0/24, deny\n"


@pytest.mark.parametrize("effect", [HONOURED + DENIES, "priority(p.eft) || deny"])
async def test_a_guard_does_not_lose_its_last_deny_row_though_it_needs_an_allow(
    directory: Path, effect: str
) -> None:
    (directory / "network.conf").write_text(NETWORK.replace(DENIES, effect))
    (directory / "network.csv").write_text(BARRED * 2 + EVERYWHERE)
    async with support.pdp(directory) as live:
        (directory / "network.csv").write_text(BARRED + EVERYWHERE)
        assert await reloaded(live) == ("activated", [])
        (directory / "network.csv").write_text(EVERYWHERE)
        assert await reloaded(live) == ("rejected", ["guard-removed"])
        (directory / "network.csv").write_text(BARRED)
        assert await reloaded(live) == ("activated", [])


async def test_concealment_is_not_given_up(directory: Path) -> None:
    (directory / "pdp.toml").write_text(TOML + '[concealment]\nresources = ["/x"]\n')
    async with support.pdp(directory) as live:
        (directory / "pdp.toml").write_text(TOML)
        assert await reloaded(live) == ("rejected", ["restart-needed"])


async def test_an_edit_does_not_switch_off_its_own_gate(directory: Path) -> None:
    (directory / "cases.yaml").write_text(
        "- {subject: bob, action: GET, resource: /x, context: {ip: 192.0.2.1},"
        " expect: {status: 403}}\n"
    )
    async with support.pdp(directory) as live:
        (directory / "acl.csv").write_text(NEW)
        (directory / "pdp.toml").write_text('[server]\nactivate = "checked"\n' + TOML)
        assert await reloaded(live) == ("rejected", ["case-failed"])
        assert await status(live) == 403


@pytest.mark.parametrize(
    "text", ["- token: {sub: a}\n  action: a\n  resource: b\n  expect: {status: 200}\n"]
)
async def test_cases_that_cannot_be_judged_end_no_watch(
    live: Running, directory: Path, text: str
) -> None:
    (directory / "cases.yaml").write_text(text)
    (directory / "acl.csv").write_text(NEW)
    await asyncio.sleep(1)
    assert await status(live) == 403
    assert live.service.stale
    (directory / "cases.yaml").unlink()
    await until(live, 200)


async def test_an_edit_while_it_starts_is_seen(directory: Path) -> None:
    loaded = load(directory, flags=support.places())
    (directory / "acl.csv").write_text(NEW)
    async with support.served(loaded) as live:
        assert await until(live, 200) < LIVE_WITHIN


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"{'0' * 64}  absent.csv\n", "manifest-mismatch"),
        (f"{'0' * 64}  cases.yaml\n", "manifest-mismatch"),
        ("SAME", "bad-manifest"),
    ],
)
async def test_a_manifest_binds_all_that_it_lists(
    live: Running, directory: Path, line: str, code: str
) -> None:
    manifest = manifest_of(directory)
    added = manifest.splitlines()[0] + "\n" if line == "SAME" else line
    (directory / "policy.sha256").write_text(manifest + added)
    assert await reloaded(live) == ("rejected", [code])


async def test_strangers_are_told_the_place_of_a_problem_and_not_what_it_says(
    live: Running, directory: Path
) -> None:
    (directory / "acl.csv").write_text("p, bob, /merger, GET, allow\n")
    await reloaded(live)
    _, public = await live.ask("GET", "/readyz")
    _, admin = await live.ask("GET", "/readyz", admin=True)
    assert json.loads(public)["stale"] == ["acl.csv:1 long-row"]
    assert json.loads(admin)["stale"][0].startswith("acl.csv:1 long-row `p` has 3 fields")


async def test_the_next_good_edit_ends_staleness(live: Running, directory: Path) -> None:
    (directory / "acl.csv").write_text("p, bob\n")
    await live.ask("POST", "/v1/reload", admin=True)
    (directory / "acl.csv").write_text(NEW)
    response, body = await live.ask("POST", "/v1/reload", admin=True)
    assert (response.status, json.loads(body)["result"]) == (200, "activated")
    _, body = await live.ask("GET", "/readyz")
    assert json.loads(body)["stale"] == []
    assert (await live.ask("GET", "/metrics", admin=True))[1].count(b"pdp_policy_stale 0.0") == 1


async def test_going_back_to_the_live_policy_ends_staleness(live: Running, directory: Path) -> None:
    (directory / "acl.csv").write_text("p, bob\n")
    await live.ask("POST", "/v1/reload", admin=True)
    (directory / "acl.csv").write_text(OLD)
    response, body = await live.ask("POST", "/v1/reload", admin=True)
    assert (response.status, json.loads(body)["result"]) == (200, "unchanged")
    assert json.loads((await live.ask("GET", "/readyz"))[1])["stale"] == []


async def test_cases_can_be_left_out(directory: Path) -> None:
    (directory / "cases.yaml").write_text("- {action: GET, resource: /x, expect: {status: 404}}\n")
    async with support.pdp(directory, activate="checked") as live:
        (directory / "acl.csv").write_text(NEW)
        await live.ask("POST", "/v1/reload", admin=True)
        assert await status(live) == 200


def manifest_of(directory: Path, *more: str) -> str:
    names = ("pdp.toml", "network.conf", "network.csv", "acl.conf", "acl.csv", *more)
    digest = {n: hashlib.sha256((directory / n).read_bytes()).hexdigest() for n in names}
    return "".join(f"{digest[n]}  {n}\n" for n in names)


async def test_with_a_manifest_a_cut_at_a_row_boundary_never_goes_live(directory: Path) -> None:
    (directory / "acl.csv").write_text("p, alice, /y, GET\n" + OLD)
    (directory / "policy.sha256").write_text("# all of them\n" + manifest_of(directory))
    async with support.pdp(directory) as live:
        (directory / "acl.csv").write_text("p, alice, /y, GET\n")
        response, _ = await live.ask("POST", "/v1/reload", admin=True)
        assert (response.status, await status(live, "alice")) == (409, 200)
        (directory / "policy.sha256").unlink()
        response, body = await live.ask("POST", "/v1/reload", admin=True)
        assert response.status == 409
        assert b"restart-needed" in body
        (directory / "policy.sha256").write_text(manifest_of(directory))
        response, _ = await live.ask("POST", "/v1/reload", admin=True)
        assert (response.status, await status(live, "alice")) == (200, 404)


async def test_a_bug_while_loading_keeps_the_last_good_policy(
    live: Running, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = live.service.loaded

    class Broken:
        def __getattr__(self, name: str) -> object:
            return getattr(loaded, name)

        def again(self) -> None:
            raise ZeroDivisionError("secret")

    live.service.loaded = Broken()  # type: ignore[assignment]
    attempt = await Reloader(live.service, lambda _: []).reload()
    assert (attempt.result, attempt.problems[0].code) == ("rejected", "internal-error")
    assert "secret" not in str(attempt.problems)
    assert len([r for r in caplog.records if r.name == "pdp.reload"]) == 1
    assert await status(live, "alice") == 200


async def test_a_signal_reloads_without_waiting(live: Running, directory: Path) -> None:
    (directory / "acl.csv").write_text(NEW)
    live.context.reloader.soon()
    assert await until(live, 200) < LIVE_WITHIN


async def test_a_directory_that_goes_and_comes_back_is_watched_again(
    live: Running, directory: Path
) -> None:
    away = directory.with_name("away")
    directory.rename(away)
    await asyncio.sleep(1)
    assert await status(live, "alice") == 200
    (away / "acl.csv").write_text(NEW)
    away.rename(directory)
    await until(live, 200)


async def test_other_files_are_no_reason_to_reload(live: Running, directory: Path) -> None:
    before = live.service.snapshot
    (directory / "notes.txt").write_text("nothing to see")
    await asyncio.sleep(0.8)
    assert live.service.snapshot is before


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("limits", 'requests_per_address = "2 per minute"'),
        ("server", "require_https = true"),
    ],
)
async def test_what_only_a_restart_takes_over_is_told(
    live: Running, directory: Path, section: str, text: str
) -> None:
    """The policy goes live, and nobody believes that the rest has."""
    (directory / "pdp.toml").write_text(f"[{section}]\n{text}\n{TOML}")
    result, codes = await reloaded(live)
    assert codes == ["restart-needed"]
    assert result in ("activated", "unchanged")  # the watcher may have been quicker


async def test_whom_the_policy_refuses_is_not_throttled(tmp_path: Path) -> None:
    """A 429 would tell that the key is a good one."""
    target = support.copy_policies(tmp_path)
    key = "pdp_" + "a" * 43
    row = f"k1, {hashlib.sha256(key.encode()).hexdigest()}, member\n"  # named like a role
    (target / "api-keys.csv").write_text(row)
    text = (target / "pdp.toml").read_text()
    extra = '[limits]\nrequests_per_api_key = "1 per minute"\n[authentication.api_keys]\n'
    (target / "pdp.toml").write_text(text.replace("[[layers]]", extra + "[[layers]]", 1))
    async with support.pdp(target) as live:
        question = {"action": "GET", "resource": "/docs/a", "context": {"ip": "203.0.113.9"}}
        for _ in range(3):
            _, body = await live.ask("POST", "/v1/decision", json={**question, "api_key": key})
            assert json.loads(body)["status"] == 401
